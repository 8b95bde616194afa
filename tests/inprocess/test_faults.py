"""Trouble anywhere in the judgement closes the gate: 503, and the application is not reached. No server is needed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from keyscope.asgi import KeyscopeMiddleware
from keyscope.authority.bootstrap import bootstrap
from keyscope.client import AsyncVerifier
from keyscope.errors import ConfigurationError, KeyscopeError
from keyscope.gate.embedded import EmbeddedJudge
from keyscope.gate.judge import Caller, Pending
from keyscope.gate.middleware import Middleware
from keyscope.policy.document import Policy, load
from keyscope.store.memory import MemoryStore
from keyscope.system import SystemClock, SystemEntropy
from keyscope.wire.call import Call

CALLER = Caller(key_id="key_1", account_id="acc_1", full_access=True, scopes=(), chain=("key_1",))
LIMITS: dict[str, Any] = {"max_header_bytes": 16384, "max_body_bytes": 1000, "body_timeout_s": 5.0}


class App:
    """Counts how often it is reached."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Broken:
    """A judge in which one thing fails, or that answers with something that is no verdict."""

    def __init__(self, where: str, fault: BaseException | None = None, verdict: Any = None) -> None:
        self.where = where
        self.fault = fault
        self.verdict = verdict

    def open(self) -> None:
        if self.where == "open" and self.fault:
            raise self.fault

    async def admit(self, call: Call) -> Any:
        if not any(name == b"x-real" for name, _ in call.headers):
            raise KeyscopeError("the self-test")
        if self.where == "admit":
            if self.fault:
                raise self.fault
            return self.verdict
        return Pending(self._settle)

    async def _settle(self, value: object) -> Any:
        if self.fault:
            raise self.fault
        return self.verdict

    async def close(self) -> None:
        pass


def scope(**more: Any) -> dict[str, Any]:
    headers = [(b"host", b"x"), (b"x-real", b"1"), (b"content-type", b"application/json"), *more.pop("headers", [])]
    path = more.pop("path", "/v1/devboxes")
    plain = {"type": "http", "method": "POST", "http_version": "1.1", "query_string": b"", "client": ("127.0.0.1", 1)}
    return {**plain, "path": path, "raw_path": path.encode(), "headers": headers, **more}


def ask(middleware: Any, asked: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the caller is sent."""
    waiting = [*messages] or [{"type": "http.request", "body": b'{"a":1}', "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(middleware(asked, receive, send))
    return sent


FAULTS = [RuntimeError("x"), OSError(5, "x"), MemoryError(), RecursionError(), KeyError("x"), ConfigurationError("x")]


@pytest.mark.parametrize("where", ["open", "admit", "settle"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_anywhere_in_the_judgement_is_503(where: str, fault: Exception) -> None:
    app = App()
    sent = ask(Middleware(app, Broken(where, fault), **LIMITS), scope())
    assert (sent[0]["status"], app.reached) == (503, 0)
    assert json.loads(sent[1]["body"])["code"] == "unavailable"


@pytest.mark.parametrize("where", ["admit", "settle"])
@pytest.mark.parametrize("verdict", [None, True, 1, "allow", {"allowed": True}, object()], ids=repr)
def test_what_is_no_verdict_lets_nothing_through(where: str, verdict: object) -> None:
    app = App()
    sent = ask(Middleware(app, Broken(where, verdict=verdict), **LIMITS), scope())
    assert (sent[0]["status"], app.reached) == (503, 0)


@pytest.mark.parametrize("name", ["raw_path", "path", "headers", "query_string"])
def test_a_scope_that_lacks_something_lets_nothing_through(name: str) -> None:
    app, asked = App(), scope()
    del asked[name]
    middleware = Middleware(app, Broken("admit", verdict=CALLER), **LIMITS)
    if name == "headers":
        with pytest.raises(KeyError):
            ask(middleware, asked)
    else:
        assert ask(middleware, asked)[0]["status"] == 503
    assert app.reached == 0


def test_a_path_that_the_server_reads_in_two_ways_is_refused() -> None:
    app = App()
    sent = ask(Middleware(app, Broken("admit", verdict=CALLER), **LIMITS), scope(raw_path=b"/v1/other"))
    assert (sent[0]["status"], app.reached) == (400, 0)
    encoded = scope(path="/v1/é", raw_path=b"/v1/%C3%A9")
    assert ask(Middleware(app, Broken("admit", verdict=CALLER), **LIMITS), encoded)[0]["status"] == 200


@pytest.mark.parametrize("kind", ["http2", "webtransport", "", "lifespans", None])
def test_an_unknown_kind_of_scope_gets_no_answer(kind: object) -> None:
    app = App()
    assert ask(Middleware(app, Broken("admit", verdict=CALLER), **LIMITS), scope(type=kind)) == []
    assert app.reached == 0


def test_a_judge_that_lets_everything_through_fails_the_self_test() -> None:
    class Open(Broken):
        async def admit(self, call: Call) -> Any:
            return CALLER

    app = App()
    middleware = Middleware(app, Open("nowhere"), **LIMITS)
    assert ask(middleware, scope())[0]["status"] == 503
    assert ask(middleware, scope())[0]["status"] == 503
    started = ask(middleware, {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert (started[0]["type"], started[0]["message"][:10]) == ("lifespan.startup.failed", "keyscope: ")
    assert app.reached == 0


def test_a_body_that_is_cut_off_too_large_or_silent_never_arrives() -> None:
    app = App()
    middleware = Middleware(app, Broken("settle", verdict=CALLER), **{**LIMITS, "body_timeout_s": 0.05})
    cut = ask(
        middleware, scope(), {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}
    )
    large = ask(middleware, scope(), {"type": "http.request", "body": b" " * 1001, "more_body": False})
    assert (cut[0]["status"], large[0]["status"], app.reached) == (400, 413, 0)


def test_a_websocket_is_refused_in_the_words_that_the_server_knows() -> None:
    app = App()
    middleware = Middleware(app, Broken("admit", RuntimeError("x")), **LIMITS)
    plain = scope(type="websocket")
    assert [message["type"] for message in ask(middleware, plain)] == ["websocket.close"]
    able = scope(type="websocket", extensions={"websocket.http.response": {}})
    assert ask(middleware, able)[0]["type"] == "websocket.http.response.start"
    assert app.reached == 0


def test_the_applications_own_faults_are_its_own() -> None:
    async def failing(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(Middleware(failing, Broken("admit", verdict=CALLER), **LIMITS), scope())


class Faulty(MemoryStore):
    """A store that can be read until it is told otherwise."""

    fault: Exception | None = None

    def find(self, digest: bytes) -> Any:
        if self.fault is not None:
            raise self.fault
        return super().find(digest)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_of_the_store_is_503(fault: Exception) -> None:
    async def follow() -> list[int]:
        store, clock = Faulty(), SystemClock()
        first = bootstrap(store, clock, SystemEntropy(), None)
        assert first is not None
        judge = EmbeddedJudge(lambda: store, lambda: load("runloop").table(), clock)
        app, statuses = App(), list[int]()
        middleware = Middleware(app, judge, **LIMITS)

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        for store.fault in (None, fault, None):
            asked = scope(headers=[(b"authorization", f"Bearer {first.secret.reveal()}".encode())])
            await middleware(asked, receive, send)
        await judge.close()
        assert app.reached == 2
        return [status for status in statuses if status]

    assert asyncio.run(follow()) == [200, 503, 200]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"database": "sqlite:///x.db"},
        {"policy": "runloop"},
        {"database": "sqlite:///x.db", "policy": "runloop", "verifier": "also"},
        {"verifier": "and", "policy": "runloop"},
        {"database": "sqlite:///x.db", "policy": "no such policy"},
        {"database": "sqlite:///x.db", "policy": "runloop", "exempt": ["/a/*/../b"]},
        {"database": "sqlite:///x.db", "policy": "runloop", "exempt": ["health"]},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_when_it_is_made(options: dict[str, Any], tmp_path: Path) -> None:
    if "verifier" in options:
        options = {**options, "verifier": AsyncVerifier("http://127.0.0.1:9", "ak_x")}
    with pytest.raises(ConfigurationError):
        KeyscopeMiddleware(App(), **options)


def test_nothing_is_open_before_something_is_asked(tmp_path: Path) -> None:
    opened: list[bool] = []

    def make() -> Policy:
        opened.append(True)
        return load("runloop")

    KeyscopeMiddleware(App(), database=f"sqlite:///{tmp_path}/x.db", policy=make)
    assert opened == []


def test_an_application_that_knows_no_lifespan_is_served_without_it() -> None:
    async def only_http(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await App()(scope, receive, send)

    middleware = Middleware(only_http, Broken("admit", verdict=CALLER), **LIMITS)
    with pytest.raises(AssertionError):
        ask(middleware, {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert ask(middleware, scope())[0]["status"] == 200
