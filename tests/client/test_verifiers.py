"""Both verifiers against a real server: what they say, what they keep, and that they fail closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from keyscope.client import Answer, AsyncVerifier, AuthorityRefused, AuthorityUnavailable, Verifier
from keyscope.derive import attenuate
from keyscope.errors import BadRequest
from tests.live import Live
from tests.recorder import Recorder, Reply

CALL = {"method": "GET", "path": "/v1/devboxes"}


class Asking(Protocol):
    """What both verifiers can do, without await."""

    def verify(self, key: str, **asked: Any) -> Answer: ...
    def close(self) -> None: ...


class Awaiting:
    """The asynchronous verifier with a loop of its own, so that the same tests hold for both."""

    def __init__(self, url: str, key: str, **more: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self.verifier = self._run(self._made(url, key, more))

    async def _made(self, url: str, key: str, more: dict[str, Any]) -> AsyncVerifier:
        return AsyncVerifier(url, key, **more)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def turn() -> Any:
            await asyncio.sleep(0.005)  # let the follower hear what came meanwhile
            return await work

        return self._loop.run_until_complete(turn())

    def verify(self, key: str, **asked: Any) -> Answer:
        answer: Answer = self._run(self.verifier.verify(key, **asked))
        return answer

    def close(self) -> None:
        self._run(self.verifier.aclose())
        self._loop.close()


Make = Callable[..., Asking]


@pytest.fixture(params=[Verifier, Awaiting], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Asking] = []

    def new(url: str, key: str, **more: Any) -> Asking:
        made.append(request.param(url, key, **more))
        return made[-1]

    yield new
    for verifier in made:
        verifier.close()


@pytest.fixture(scope="module")
def server(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


def cache_of(verifier: Any) -> Any:
    return getattr(verifier, "verifier", verifier)._settings.cache


def until_kept(verifier: Asking, key: str, **asked: Any) -> Answer:
    """Ask until the answer is kept, which needs the stream to be open."""
    end = time.monotonic() + 10
    while not len(cache_of(verifier)):
        assert time.monotonic() < end
        answer = verifier.verify(key, **asked)
    return answer


def until(verifier: Asking, key: str, wanted: Callable[[Answer], bool], **asked: Any) -> Answer:
    end = time.monotonic() + 10
    while not wanted(answer := verifier.verify(key, **asked)):
        assert time.monotonic() < end
    return answer


def test_it_says_what_the_server_says(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first)
    made = server.mint("devboxes:read")
    allowed = verifier.verify(made["key_secret"], **CALL)
    assert (bool(allowed), allowed.operation, allowed.chain[0]) == (True, "listDevboxes", made["id"])
    denied = verifier.verify(made["key_secret"], method="POST", path="/v1/devboxes")
    assert (bool(denied), denied.valid, denied.reasons) == (False, True, ("missing_scope",))
    assert (denied.missing_scopes, "keyscope keys update" in denied.next[0]) == (("devboxes:write",), True)
    assert verifier.verify(made["key_secret"], scopes=["devboxes:write"]).missing_scopes == ("devboxes:write",)
    assert verifier.verify("rk_nonsense", **CALL).valid is False
    narrower = attenuate(made["key_secret"], scopes=[])
    assert verifier.verify(narrower, **CALL).missing_scopes == ("devboxes:read",)


def test_a_body_decides_where_the_policy_says_so(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first)
    key = server.mint("devboxes:write")["key_secret"]
    call = {"method": "POST", "path": "/v1/devboxes"}
    assert verifier.verify(key, **call).judged_by_body
    assert verifier.verify(key, **call, body={"blueprint_id": "b"}).missing_scopes == ("blueprints:read",)
    assert verifier.verify(key, **call).allowed


def test_a_revocation_is_heard_and_ends_what_was_kept(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first, max_age_s=3600)
    parent = server.mint("devboxes:read", "account:write")
    child = server.mint("devboxes:read", by=parent["key_secret"])
    assert until_kept(verifier, child["key_secret"], **CALL).allowed
    assert verifier.verify(child["key_secret"], **CALL).allowed
    server.revoke(parent["id"])
    until(verifier, child["key_secret"], lambda answer: not answer.valid, **CALL)


def test_a_narrowed_key_is_narrow_here_too(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first, max_age_s=3600)
    made = server.mint("devboxes:read")
    assert until_kept(verifier, made["key_secret"], **CALL).allowed
    server.call("POST", f"/v1/restricted_keys/{made['id']}", json={"scopes": []})
    until(verifier, made["key_secret"], lambda answer: not answer.allowed, **CALL)


def test_what_is_kept_costs_no_question(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first, max_age_s=3600)
    made = server.mint("devboxes:read")
    kept = until_kept(verifier, made["key_secret"], **CALL)
    assert verifier.verify(made["key_secret"], **CALL) is kept


def test_a_dead_authority_is_never_an_allow(make: Make, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        verifier = make(live.url, live.first, max_age_s=3600, timeout_s=2)
        key = live.mint("devboxes:read")["key_secret"]
        until_kept(verifier, key, **CALL)
        live.kill()
        with pytest.raises(AuthorityUnavailable):
            until(verifier, key, lambda answer: not answer, **CALL)
        assert len(cache_of(verifier)) == 0
        live.start()
        until_kept(verifier, key, **CALL)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(503),
        Reply(204),
        Reply(200, b""),
        Reply(200, b"[]"),
        Reply(200, b'{"valid": true, "allowed": true}'),
        Reply(200, b"<html>", [("content-type", "text/html")]),
        Reply(302, b"", [("location", "/elsewhere")]),
        Reply(
            200,
            b'{"valid":false,"allowed":true,"key":null,"chain":[],"operation":null,"judged_by_body":false,"reasons":[],'
            b'"missing_scopes":[],"message":"","next":[],"now_ms":1}',
        ),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}",
)
def test_what_is_no_answer_of_a_keyscope_server_is_never_an_allow(make: Make, reply: Reply) -> None:
    with Recorder(lambda _: reply) as stranger, pytest.raises(AuthorityUnavailable):
        make(stranger.url, "ak_x").verify("rk_x", **CALL)


def test_a_verifier_whose_own_key_is_not_good_says_so(make: Make, server: Live) -> None:
    weak = make(server.url, server.mint("devboxes:read")["key_secret"])
    with pytest.raises(AuthorityRefused):
        weak.verify("rk_x", **CALL)
    dead = server.mint("account:read")
    verifier = make(server.url, dead["key_secret"], max_age_s=3600)
    good = server.mint("devboxes:read")["key_secret"]
    until_kept(verifier, good, **CALL)
    server.revoke(dead["id"])
    with pytest.raises(AuthorityRefused):
        until(verifier, good, lambda answer: not answer, **CALL)


def test_a_call_that_is_none_is_an_error_and_no_answer(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first)
    with pytest.raises(BadRequest):
        verifier.verify("rk_x", method="GET", path="/a/../b")
    with pytest.raises(ValueError, match="together"):
        verifier.verify("rk_x", method="GET")


def test_without_an_age_nothing_is_kept_and_nobody_follows(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first, max_age_s=0)
    key = server.mint("devboxes:read")["key_secret"]
    assert [verifier.verify(key, **CALL).allowed for _ in range(3)] == [True] * 3
    assert vars(getattr(verifier, "verifier", verifier))["_follower"] is None


def test_no_secret_shows(make: Make) -> None:
    verifier = make("http://127.0.0.1:9", "ak_SECRETOFTHEVERIFIER")
    with pytest.raises(AuthorityUnavailable) as caught:
        verifier.verify("rk_SECRETOFTHECALLER", **CALL)
    shown = f"{caught.value!r} {caught.value} {caught.value.detail} {verifier!r} {getattr(verifier, 'verifier', '')!r}"
    assert "SECRETOF" not in shown
    assert caught.value.__suppress_context__


def test_using_a_key_through_a_verifier_counts_as_use(make: Make, server: Live) -> None:
    verifier = make(server.url, server.first)
    made = server.mint("devboxes:read")
    assert verifier.verify(made["key_secret"], **CALL)
    end = time.monotonic() + 10
    while server.call("GET", f"/v1/restricted_keys/{made['id']}").json()["last_used_at_ms"] is None:
        assert time.monotonic() < end
        time.sleep(0.05)
