"""The built-in gate and the middleware, embedded and remote, judge alike: all operations times sets of scopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyscope.model.scope import Scope
from tests.attacks.fixtures import NINE
from tests.inprocess.serving import Served, guard_environment
from tests.live import Live
from tests.matrix.cases import Case, body_cases, static_cases, tied_cases
from tests.matrix.wire import Wire
from tests.recorder import Recorder

CASES = [*static_cases(), *body_cases(), *tied_cases()]
APP = "tests.inprocess.guarded:app"
ALL_READ = ("devboxes:read", "blueprints:read", "snapshots:read", "objects:read", "agents:read", "account:read")


class Doors:
    """The built-in gate, and the two that are to judge like it; keys by their scopes, each minted once."""

    def __init__(self, live: Live, others: list[Served]) -> None:
        self.gate = Wire(live.port)
        self.others = [Wire(other.port) for other in others]
        self._live = live
        self._secrets: dict[tuple[str, ...], str] = {}

    def key(self, scopes: tuple[str, ...]) -> str:
        if scopes not in self._secrets:
            self._secrets[scopes] = self._live.mint(*scopes)["key_secret"]
        return self._secrets[scopes]

    def restricted_key(self, restrictions: dict[str, Any]) -> str:
        secret: str = self._live.mint(*(f"{name}:write" for name in NINE), restrictions=restrictions)["key_secret"]
        return secret


@pytest.fixture(scope="module")
def doors(new_directory: Callable[[], Path], upstream: Recorder) -> Iterator[Doors]:
    with Live(new_directory(), upstream=upstream.url, environment={"KEYSCOPE_TRUSTED_PROXIES": "none"}) as live:
        embedded, remote = (
            Served("uvicorn", live.directory, APP, guard_environment(live, source)) for source in ("embedded", "remote")
        )
        with embedded, remote:
            doors = Doors(live, [embedded, remote])
            yield doors
            for wire in (doors.gate, *doors.others):
                wire.close()


def _sets(case: Case) -> Iterator[tuple[str, ...]]:
    """What it needs, that with one too few, nothing, and much that is beside the point."""
    yield tuple(map(str, case.needs))
    for _, left in case.one_too_few():
        yield tuple(str(scope) for scope in left if scope.level)
    yield ()
    yield ALL_READ


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_door_gives_the_same_verdict(case: Case, doors: Doors) -> None:
    for scopes in dict.fromkeys(_sets(case)):
        key = doors.key(scopes)
        wanted = doors.gate.send(case.method, case.target, key, case.body)
        for door in doors.others:
            answer = door.send(case.method, case.target, key, case.body)
            assert (answer.status, answer.challenge) == (wanted.status, wanted.challenge), scopes
            if wanted.status != 200:
                assert answer.json() == wanted.json()


RESTRICTED: list[dict[str, Any]] = [
    {"instances": {"devboxes": ["dbx_1"], "blueprints": ["bpt_1"]}},
    {"own": ["devboxes"]},
    {"deny": ["shutdownDevbox", "DELETE"]},
    {"cidrs": ["127.0.0.0/8"]},
    {"not_before_ms": 4_000_000_000_000},
]
CALLS = [
    ("GET", "/v1/devboxes/dbx_1/usage", None),
    ("GET", "/v1/devboxes/dbx_2/usage", None),
    ("GET", "/v1/devboxes/metadata/keys", None),
    ("POST", "/v1/devboxes/dbx_1/shutdown", "{}"),
    ("POST", "/v1/snapshots/x/y", "{}"),
    ("DELETE", "/v1/axons/axn_1", None),
    ("POST", "/v1/devboxes", '{"blueprint_id":"bpt_2"}'),
    ("POST", "/v1/blueprints/preview", '{"base_blueprint_id":"bpt_1"}'),
    ("POST", "/v1/blueprints/preview", '{"base_blueprint_id":"bpt_2"}'),
]


MAKES = ("POST", "/v1/devboxes")


@pytest.mark.parametrize("restrictions", RESTRICTED, ids=lambda one: next(iter(one)))
def test_every_door_holds_restrictions_alike(restrictions: dict[str, Any], doors: Doors) -> None:
    key = doors.restricted_key(restrictions)
    for method, target, body in CALLS:
        if (method, target) == MAKES and "own" in restrictions:
            continue
        sent = body.encode() if body is not None else None
        wanted = doors.gate.send(method, target, key, sent)
        for door in doors.others:
            answer = door.send(method, target, key, sent)
            assert answer.status == wanted.status, (method, target)
            if wanted.status != 200:
                assert answer.json() == wanted.json(), (method, target)


def test_what_a_key_makes_is_its_own_only_at_a_door_that_sees_the_reply(doors: Doors) -> None:
    key = doors.restricted_key({"own": ["devboxes"]})
    for door in doors.others:
        answer = door.send(*MAKES, key, b"{}")
        assert (answer.status, answer.json()["objections"][0]["reason"]) == (403, "not_seen")


def test_the_sets_hold_both_verdicts() -> None:
    assert all(Scope.parse(text) for text in ALL_READ)
    assert len(CASES) > 190
