"""The middleware in real servers: what it lets through, what it refuses, and what the application sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from keyscope.derive import attenuate
from tests.gate.raw import Raw
from tests.inprocess.guarded import REACHED
from tests.inprocess.serving import SERVERS, NotStarted, Served, guard_environment
from tests.live import Live, new_first_key

APP = "tests.inprocess.guarded:app"
LIST = "/v1/devboxes"


@pytest.fixture(scope="module")
def authority(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


@pytest.fixture(scope="module", params=[(s, j) for s in SERVERS for j in ("embedded", "remote")], ids="-".join)
def served(request: pytest.FixtureRequest, authority: Live) -> Iterator[Served]:
    server, source = request.param
    with Served(server, authority.directory, APP, guard_environment(authority, source)) as app:
        yield app


def test_an_allowed_call_arrives_with_its_caller_and_without_its_credential(served: Served, authority: Live) -> None:
    made = authority.mint("devboxes:read")
    answer = served.call("GET", LIST, made["key_secret"])
    assert (answer.status_code, answer.headers[REACHED]) == (200, "1")
    shown = answer.json()
    assert shown["caller"]["key_id"] == made["id"]
    assert (shown["caller"]["scopes"], shown["caller"]["full_access"]) == (["devboxes:read"], False)
    assert shown["caller"]["chain"][0] == made["id"]
    assert len(shown["caller"]["chain"]) == 2
    assert made["key_secret"] not in answer.text
    assert "authorization" not in dict(shown["headers"])


def test_a_derived_key_is_named_in_the_chain(served: Served, authority: Live) -> None:
    made = authority.mint("devboxes:write")
    narrower = attenuate(made["key_secret"], scopes=["devboxes:read"])
    caller = served.call("GET", LIST, narrower).json()["caller"]
    assert (caller["chain"][0][:4], caller["chain"][1], caller["scopes"]) == ("drv_", made["id"], ["devboxes:read"])
    assert served.call("POST", LIST, narrower).status_code == 403


def test_the_refusals_are_the_built_in_gates_own(served: Served, authority: Live) -> None:
    made = authority.mint("devboxes:read")
    for method, path, key in (
        ("POST", LIST, made["key_secret"]),
        ("GET", "/v1/nowhere", made["key_secret"]),
        ("GET", LIST, ""),
        ("GET", LIST, "rk_nonsense"),
        ("FOO", LIST, made["key_secret"]),
    ):
        here, there = served.call(method, path, key), authority.call(method, path, key)
        assert REACHED not in here.headers
        assert (here.status_code, here.json()) == (there.status_code, there.json())
        assert here.headers.get("www-authenticate") == there.headers.get("www-authenticate")


def test_a_standard_key_reaches_what_the_policy_does_not_list_and_a_restricted_one_does_not(
    served: Served, authority: Live
) -> None:
    assert served.call("GET", "/not/in/the/policy", authority.first).status_code == 200
    key = authority.mint("devboxes:write", "account:write")["key_secret"]
    refused = served.call("GET", "/not/in/the/policy", key)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_in_policy")


@pytest.mark.parametrize(
    "target", ["/v1//devboxes", "/v1/devboxes/", "/v1/%64evboxes", "/v1/x/../devboxes", "/healthz/"]
)
def test_a_path_that_is_not_canonical_is_refused_whoever_calls(served: Served, authority: Live, target: str) -> None:
    with Raw(served.port) as raw:
        raw.send(f"GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {authority.first}\r\n\r\n".encode())
        assert raw.head().status == 400


def test_two_credentials_are_refused(served: Served, authority: Live) -> None:
    key = authority.mint("devboxes:read")["key_secret"]
    refused = served.call("GET", LIST, key, headers=[("authorization", f"Bearer {authority.first}")])
    assert (refused.status_code, refused.json()["code"]) == (400, "repeated_credential")


def test_what_would_make_the_application_read_another_call_is_hidden(served: Served, authority: Live) -> None:
    sent = [
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/v1/secrets"),
        ("x_rewrite_url", "/x"),
        ("x-a", "b"),
    ]
    shown = served.call("GET", LIST, authority.first, headers=sent).json()
    names = {name for name, _ in shown["headers"]}
    assert "x-a" in names
    assert not names & {"x-http-method-override", "x-original-url", "x_rewrite_url"}


def test_an_exempt_path_needs_no_key_and_is_exact(served: Served, authority: Live) -> None:
    answer = served.call("GET", "/healthz?x=1", "rk_nonsense")
    assert (answer.status_code, answer.json()["caller"]) == (200, None)
    assert served.call("GET", "/healthz/more").status_code == 401
    assert served.call("GET", "/HEALTHZ").status_code == 401


def test_a_body_that_decides_is_judged_and_arrives_byte_for_byte(served: Served, authority: Live) -> None:
    key = authority.mint("devboxes:write")["key_secret"]
    sent = '{ "name" : "ü",\n "n": 1.50 }'
    json_type = [("content-type", "application/json")]
    plain = served.call("POST", LIST, key, content=sent.encode(), headers=json_type)
    assert (plain.status_code, plain.json()["body"]) == (200, sent)
    for body, code in (
        ('{"blueprint_id": "b"}', "insufficient_scope"),
        ('{"name": 1, "name": 2}', "invalid_request"),
        ("{", "invalid_request"),
    ):
        refused = served.call("POST", LIST, key, content=body.encode(), headers=json_type)
        assert (refused.json()["code"], REACHED in refused.headers) == (code, False)
    assert served.call("POST", LIST, key, content=b"{}").json()["code"] == "unsupported_media_type"
    assert served.call("POST", LIST, key).status_code == 200
    # What is not judged passes unread, whatever it is.
    other = served.call("POST", LIST, authority.first, content=b"{{{")
    assert (other.status_code, other.json()["body"]) == (200, "{{{")


def test_a_large_body_streams_through_where_it_is_not_judged(served: Served, authority: Live) -> None:
    sent = "x" * 3_000_000
    assert served.call("POST", "/v1/unlisted", authority.first, content=sent.encode()).json()["body"] == sent


def test_a_revocation_by_another_process_binds(served: Served, authority: Live) -> None:
    parent = authority.mint("devboxes:read", "account:write")
    child = authority.mint("devboxes:read", by=parent["key_secret"])
    for _ in range(3):
        assert served.call("GET", LIST, child["key_secret"]).status_code == 200
    assert authority.revoke(parent["id"]).status_code == 200
    if "embedded" in _source(served):
        assert served.call("GET", LIST, child["key_secret"]).status_code == 401
    else:
        end = time.monotonic() + 10
        while served.call("GET", LIST, child["key_secret"]).status_code != 401:
            assert time.monotonic() < end


def _source(served: Served) -> str:
    return "remote" if "GUARD_URL" in served.environment else "embedded"


def test_the_use_of_a_key_is_recorded(served: Served, authority: Live) -> None:
    made = authority.mint("devboxes:read")
    assert served.call("GET", LIST, made["key_secret"]).status_code == 200
    end = time.monotonic() + 10
    while authority.call("GET", f"/v1/restricted_keys/{made['id']}").json()["last_used_at_ms"] is None:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_secret_is_in_the_log(served: Served, authority: Live) -> None:
    key = authority.mint("devboxes:read")["key_secret"]
    for path in (LIST, "/v1/nowhere", "/a//b"):
        served.call("GET", path, key)
    assert key not in served.log
    assert authority.first not in served.log
    assert "Traceback" not in served.log


@pytest.mark.parametrize("server", SERVERS)
def test_a_dead_authority_refuses_everything(server: str, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        key = live.mint("devboxes:read")["key_secret"]
        with Served(server, live.directory, APP, guard_environment(live, "remote")) as served:
            assert served.call("GET", LIST, key).status_code == 200
            live.kill()
            end = time.monotonic() + 10
            while (refused := served.call("GET", LIST, key)).status_code == 200:
                assert time.monotonic() < end
            assert (refused.status_code, refused.json()["code"]) == (503, "authority_unavailable")
            assert served.call("GET", "/healthz").status_code == 200
            live.start()
            while served.call("GET", LIST, key).status_code != 200:
                assert time.monotonic() < end + 10


@pytest.mark.parametrize("server", SERVERS)
def test_a_database_that_vanished_refuses_everything(server: str, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        key = live.mint("devboxes:read")["key_secret"]
        with Served(server, live.directory, APP, guard_environment(live, "embedded")) as served:
            assert served.call("GET", LIST, key).status_code == 200
            live.stop()
            live.database.rename(live.database.with_suffix(".gone"))
            end = time.monotonic() + 10
            while served.call("GET", LIST, key).status_code != 503:
                assert time.monotonic() < end
                time.sleep(0.05)


@pytest.mark.parametrize("server", SERVERS)
def test_a_database_that_is_not_there_is_not_made_and_nothing_is_let_through(server: str, tmp_path: Path) -> None:
    environment = {"GUARD_DATABASE": f"sqlite:///{tmp_path}/nothing.db"}
    with suppress(NotStarted), Served(server, tmp_path, APP, environment) as served:
        assert served.call("GET", LIST, new_first_key()).status_code == 503
    assert "there is no database at" in "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert not (tmp_path / "nothing.db").exists()
