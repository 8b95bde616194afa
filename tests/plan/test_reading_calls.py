"""Files of calls are read whole or refused with every fault by place; what is secret in them is never taken over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import UNSET

from keyscope.plan.calls import Attempt, BadFile
from keyscope.plan.har import Base
from keyscope.plan.read import Form, read_calls
from tests.plan.files import API, SECRET, entry, har, trace

OPENAPI = Path(__file__).parents[1] / "data" / "openapi" / "runloop.yaml"


def calls(raw: bytes, form: Form | None = None, base: str | None = None) -> list[Attempt]:
    return read_calls(raw, form, Base.parse(base) if base else None)


def faults(raw: bytes, base: str | None = None) -> list[tuple[str, str]]:
    with pytest.raises(BadFile) as caught:
        calls(raw, base=base)
    return [(fault.path, fault.message) for fault in caught.value.faults]


def test_a_list_has_ids_and_calls_and_comments() -> None:
    found = calls(b"# mine\ncreateDevbox\n\nGET /v1/devboxes/{id}?limit=1   # one\nHEAD /v1/devboxes\n")
    assert [(one.operation, one.method, one.path) for one in found] == [
        ("createDevbox", "", ""),
        (None, "GET", "/v1/devboxes/{id}"),
        (None, "GET", "/v1/devboxes"),
    ]
    assert all(one.body is UNSET for one in found)


def test_a_har_file_gives_method_path_and_body_and_nothing_else() -> None:
    raw = har(entry("POST", f"/v1/devboxes?token={SECRET}", {"name": "a"}), entry("GET", "/v1/devboxes"))
    found = calls(raw)
    assert [(one.method, one.path, one.body) for one in found] == [
        ("POST", "/v1/devboxes", {"name": "a"}),
        ("GET", "/v1/devboxes", None),
    ]
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "made",
    [
        entry("POST", "/v1/devboxes", "name=a", kind="application/x-www-form-urlencoded"),
        entry("POST", "/v1/devboxes", '{"a": 1, "a": 2}'),
        entry("POST", "/v1/devboxes", bodySize=12),
    ],
)
def test_a_body_that_no_gate_could_judge_counts_as_unknown(made: dict[str, object]) -> None:
    assert [one.body for one in calls(har(made))] == [UNSET]


def test_calls_to_other_origins_are_left_out_and_must_be_told_apart() -> None:
    raw = har(entry("GET", "/v1/devboxes"), entry("GET", "https://u:p@tracker.example:8443/v1/objects"))
    [(place, message)] = faults(raw)
    assert place == "log.entries"
    assert "https://api.example.com, https://tracker.example:8443" in message
    assert "u:p" not in message
    assert [one.path for one in calls(raw, base=API)] == ["/v1/devboxes"]


def test_a_base_url_with_a_path_is_taken_off() -> None:
    raw = har(entry("GET", "/base/v1/devboxes"), entry("GET", "/based/v1/objects"), entry("GET", "blob://x"))
    assert [one.path for one in calls(raw, base=f"{API}/base/")] == ["/v1/devboxes"]
    assert faults(raw, base=f"{API}/elsewhere") == [("log.entries", f"there is no call to {API}/elsewhere in it")]


def test_preflights_are_left_out() -> None:
    preflight = entry("OPTIONS", "/v1/devboxes")
    preflight["request"]["headers"].append({"name": "Access-Control-Request-Method", "value": "POST"})
    assert [one.method for one in calls(har(preflight, entry("POST", "/v1/devboxes")))] == ["POST"]


def test_a_trace_is_json_lines_and_an_audit_exports_other_entries_are_left_out() -> None:
    raw = trace(
        {"method": "POST", "path": "/v1/devboxes?x=1", "body": {"name": "a"}},
        {"operation": "listDevboxes"},
        {"kind": "key.minted", "key_id": "key_1", "method": None, "path": None},
        {"kind": "call.denied", "code": "missing_credential", "times": 9},
        {"kind": "call.denied", "method": "POST", "path": "/v1/objects", "missing": ["objects:write"]},
    )
    found = calls(raw)
    assert [one.shown for one in found] == ["POST /v1/devboxes", "listDevboxes", "POST /v1/objects"]
    assert [str(scope) for scope in found[-1].more] == ["objects:write"]


def test_an_openapi_document_gives_its_operations() -> None:
    found = calls(OPENAPI.read_bytes())
    assert len(found) == 150
    assert calls(b'{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}')[0].shown == "GET /a"


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"\xff\xfe", "byte 0", "not UTF-8"),
        (b"", "line 1", "no call in it"),
        (b"GET\tv1/devboxes\n", "line 1", "write an operation id"),
        (b'{"log": {"entries": [', "$", "not JSON"),
        (b'{"log": {}}', "log.entries", "list of entries"),
        (har(), "log.entries", "no HTTP call"),
        (har(entry("GET", "/a"), "x"), "log.entries[1].request", "method and url"),
        (har({"request": {"method": "GET"}}), "log.entries[0].request.url", "not empty"),
        (har({"request": {"method": "GET", "url": "http://[::1/"}}), "log.entries[0].request.url", "not a URL"),
        (har({"request": {"method": "GET", "url": "http://a:x/"}}), "log.entries[0].request.url", "not a URL"),
        (b'{"method": "GET", "path": "/a"}\n{"method": 1}\n', "line 2", "write an object like"),
        (b'{"method": "GET", "path": "/a"}\n[1]\n', "line 2", "write an object like"),
        (b'{"method": "GET", "path": "/a"}\n{"meth', "line 2", "not JSON"),
        (b'{"openapi": "3.1.0", "paths": 3}', "paths", "mapping"),
        (b"openapi: 3.1.0\n", "paths", "no operation"),
        (b"openapi: [\n", "line 2", ""),
    ],
)
def test_a_bad_file_names_the_place_and_the_fault(raw: bytes, place: str, words: str) -> None:
    found = faults(raw)
    assert place in [where for where, _ in found]
    assert any(words in message for _, message in found)


def test_no_fault_repeats_what_stands_in_the_file() -> None:
    secret = "rk_" + "A" * 49
    broken = [
        har({"request": {"method": secret}}),
        f'{{"method": "{secret}", "path": 1}}\n'.encode(),
        f'{{"log": "{secret}'.encode(),
        f"GET {secret} x\n".encode(),
    ]
    for raw in broken:
        assert secret not in json.dumps(faults(raw))


def test_what_looks_like_a_key_in_a_path_is_not_shown() -> None:
    [one] = calls(f"GET /v1/keys/rk_{'A' * 49}\n".encode())
    assert one.shown == "GET /v1/keys/(a key)"
