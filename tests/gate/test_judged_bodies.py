"""Operations whose scopes depend on the body: it is read once, strictly, and what was judged is what goes on."""

from __future__ import annotations

import json

import pytest

from tests.gate.raw import Raw
from tests.live import Live
from tests.recorder import Recorder

JUDGED = "/v1/devboxes"
JSON = ("content-type", "application/json")

AMBIGUOUS = {
    "duplicate-member": b'{"blueprint_id": null, "blueprint_id": "bpt_1"}',
    "duplicate-deep": b'{"launch_parameters": {"a": 1, "a": 2}}',
    "duplicate-by-escape": b'{"blueprint_id": null, "blueprint\\u005fid": "bpt_1"}',
    "nan": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "beyond-double": b'{"name": 1e400}',
    "lone-surrogate": b'{"name": "\\ud800"}',
    "lone-surrogate-name": b'{"\\udc00": 1}',
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "not-utf-8": b'{"name": "\xff"}',
    "trailing": b"{} {}",
    "comment": b"{/**/}",
    "deep": b"[" * 40 + b"]" * 40,
    "very-deep": b"[" * 100_000,
    "many-digits": b'{"name": ' + b"9" * 5000 + b"}",
    "cut": b'{"name": ',
    "nothing-but-space": b"  ",
}


@pytest.mark.parametrize("body", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_two_parsers_could_read_in_two_ways_is_refused(
    raw: Raw, upstream: Recorder, key: str, body: bytes
) -> None:
    answer = raw.ask("POST", JUDGED, key, [JSON], body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert upstream.take() == []


NOT_JSON = {
    "none": [],
    "form": [("content-type", "application/x-www-form-urlencoded")],
    "text": [("content-type", "text/plain")],
    "multipart": [("content-type", "multipart/form-data; boundary=b")],
    "other-charset": [("content-type", "application/json; charset=utf-16")],
    "twice": [JSON, ("content-type", "text/plain")],
    "gzip": [JSON, ("content-encoding", "gzip")],
    "identity": [JSON, ("content-encoding", "identity")],
}


@pytest.mark.parametrize("fields", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_body_that_is_not_said_to_be_plain_json_is_415(
    raw: Raw, upstream: Recorder, key: str, fields: list[tuple[str, str]]
) -> None:
    answer = raw.ask("POST", JUDGED, key, fields, b"{}")
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    assert upstream.take() == []


SAME_VALUE = {
    "big-integer": b'{"name": 123456789012345678901234567890, "minus": -9007199254740993}',
    "floats": b'{"name": 0.1, "exponent": 1e-7, "big": 1.7976931348623157e308, "zero": -0.0}',
    "unicode": '{"name": "ü€😀\u2028", "\\u00e9": "\\ud83d\\ude00"}'.encode(),
    "control": b'{"name": "a\\u0000\\n\\t\\u001f\\\\\\"/"}',
    "html": b'{"name": "</script><!--"}',
    "empty": b'{"a": {}, "b": [], "c": "", "d": null}',
    "order": b'{"b": 1, "a": 2}',
    "not-an-object": b'["name", 1]',
}


@pytest.mark.parametrize("body", SAME_VALUE.values(), ids=SAME_VALUE.keys())
def test_what_goes_on_is_the_same_value(raw: Raw, upstream: Recorder, key: str, body: bytes) -> None:
    assert raw.ask("POST", JUDGED, key, [JSON], body).status == 200
    [seen] = upstream.take()
    sent, got = json.loads(body), json.loads(seen.body)
    assert got == sent
    assert repr(got) == repr(sent), "types, order and the sign of zero too"
    assert seen.all("content-length") == [str(len(seen.body))]


def test_what_goes_on_is_written_anew_from_the_value(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("POST", JUDGED, key, [JSON], b' { "name" :\t"\\u0061" ,\n"n": 1.0e0 } ').status == 200
    assert upstream.take()[0].body == b'{"name":"a","n":1.0}'


def test_a_chunked_body_is_judged_as_any_other(raw: Raw, live: Live, upstream: Recorder, key: str) -> None:
    body = b'5\r\n{"blu\r\n19\r\neprint_id": "bpt_000001"}\r\n0\r\n\r\n'
    fields = [JSON, ("transfer-encoding", "chunked")]
    head = f"POST {JUDGED} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    raw.send(head.encode() + body)
    answer = raw.answer()
    assert (answer.status, answer.json()["missing_scopes"]) == (403, ["blueprints:read"])
    assert upstream.take() == []
    both = live.mint("devboxes:write", "blueprints:read")["key_secret"]
    raw.send(head.replace(key, both).encode() + body)
    assert raw.answer().status == 200
    assert json.loads(upstream.take()[0].body) == {"blueprint_id": "bpt_000001"}


def test_no_body_needs_no_more_than_the_path(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("POST", JUDGED, key).status == 200
    assert upstream.take()[0].body == b""


def test_null_is_as_good_as_absent(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("POST", JUDGED, key, [JSON], b'{"blueprint_id": null}').status == 200
    assert json.loads(upstream.take()[0].body) == {"blueprint_id": None}


def test_a_body_over_the_limit_is_413_before_it_is_read(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = f"host: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 1048577\r\n"
    raw.send(f"POST {JUDGED} HTTP/1.1\r\n{fields}\r\n".encode())
    assert raw.head().status == 413
    assert upstream.take() == []


def test_a_standard_keys_body_is_not_judged_and_arrives_byte_for_byte(raw: Raw, live: Live, upstream: Recorder) -> None:
    for body in (b'{"a": 1, "a": 2}', b" \xff not json "):
        assert raw.ask("POST", JUDGED, live.first, [("content-type", "text/plain")], body).status == 200
        assert upstream.take()[0].body == body
