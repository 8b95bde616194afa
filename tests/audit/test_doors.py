"""Every door records each call once: what it let through as a count, what it refused as an entry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.ledger import Ledger
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.trail import Batch
from keyscope.authority.verify import Verifier
from keyscope.derive import attenuate
from keyscope.gate.envoy import EnvoyGate
from keyscope.gate.forward import NGINX, ForwardAuth
from keyscope.gate.peers import TrustedPeers
from keyscope.model.event import Origin
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.policy.document import load
from keyscope.store.open import open_store
from tests.audit.seen import Seen
from tests.gate.questions import question
from tests.gate.test_websockets import PTY, leave, talk
from tests.gate.ws_upstream import WebSocketUpstream
from tests.inprocess.serving import Served, guard_environment
from tests.laws.seams import HandClock, SeededEntropy
from tests.live import Live
from tests.model_context.running import POLICY, Gate, Weather, client_of, error_of

LIST = "/v1/devboxes"
LOOPBACK = ip_network("127.0.0.0/8")


class Inside:
    """Doors over a store in memory, in this process."""

    def __init__(self) -> None:
        clock, entropy = HandClock(), SeededEntropy()
        store = open_store("memory://")
        first = bootstrap(store, clock, entropy)
        assert first is not None
        self.ledger = Ledger()
        self.verifier = Verifier(store.open_index(), load("runloop").table(), clock, set(), self.ledger)
        made: list[Minted] = []

        def note(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        wanted = Wanted(kind=Kind.RESTRICTED, scopes=(Scope.parse("devboxes:write"),))
        caller = self.verifier.find(first.secret.reveal().encode())
        Minting(store, clock, entropy).mint(caller, wanted, Origin(), note)
        self.writer = made[0].secret.reveal()

    def take(self) -> tuple[list[tuple[str | None, int]], list[tuple[str | None, str | None]]]:
        """Counts by operation, and denials by code and operation."""
        batch: Batch = self.ledger.take().batch()
        counts = [(count.operation, count.calls) for count in batch.uses]
        return counts, [(entry.code, entry.operation) for entry in batch.entries]


@pytest.fixture
def inside() -> Inside:
    return Inside()


def _asked(key: str, method: str, path: str, **more: str) -> dict[str, object]:
    fields = {"authorization": f"Bearer {key}", "x-original-uri": path, "x-original-method": method, **more}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    return {
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "raw_path": NGINX.path,
        "query_string": b"",
        "method": "GET",
    }


def test_forward_auth_records_the_last_judgement_once(inside: Inside) -> None:
    door = ForwardAuth(inside.verifier, (LOOPBACK,))
    assert door.answer(NGINX, _asked(inside.writer, "GET", LIST)).status == 200
    # Nobody sees the body, so every condition counts: that is the judgement, not the first look.
    assert door.answer(NGINX, _asked(inside.writer, "POST", LIST)).status == 403
    assert door.answer(NGINX, _asked(inside.writer, "GET", "/v1/objects")).status == 403
    assert door.answer(NGINX, _asked("nonsense", "GET", LIST)).status == 401
    counts, denials = inside.take()
    assert counts == [("listDevboxes", 1)]
    assert sorted(denials, key=str) == [
        ("insufficient_scope", "createDevbox"),
        ("insufficient_scope", "listObjects"),
        ("invalid_token", None),
    ]


def test_envoy_over_grpc_records_the_last_judgement_once(inside: Inside) -> None:
    door = EnvoyGate(inside.verifier, TrustedPeers((LOOPBACK,)), max_header_bytes=16384, max_body_bytes=4096)
    for method, path in (("GET", LIST), ("POST", LIST), ("GET", "/keyscope/me")):
        door.check(question(method, path, inside.writer), "ipv4:127.0.0.1:5000")
    assert inside.take() == ([("listDevboxes", 1)], [("insufficient_scope", "createDevbox"), ("own_operation", None)])


def _ended(live: Live, key_id: str) -> tuple[list[tuple[str | None, int]], list[tuple[str | None, str | None]]]:
    live.stop()
    seen = Seen(live)
    counts = [(count.operation, count.calls) for count in seen.uses() if count.key_id == key_id]
    return counts, [(entry.code, entry.operation) for entry in seen.entries(kind="call.denied", key_id=key_id)]


@pytest.fixture
def shells() -> Iterator[WebSocketUpstream]:
    with WebSocketUpstream() as upstream:
        yield upstream


def test_a_websocket_is_one_call(shells: WebSocketUpstream, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream=shells.url) as live:
        writer, reader = live.mint("devboxes:write"), live.mint("devboxes:read")
        talk(live, writer["key_secret"], leave)
        assert live.call("GET", PTY, reader["key_secret"]).status_code == 403
        assert _ended(live, writer["id"]) == ([("connectDevboxPtySession", 1)], [])
        assert _ended(live, reader["id"]) == ([], [("insufficient_scope", "connectDevboxPtySession")])


def test_verify_counts_what_it_answered_for_good(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        key = live.mint("devboxes:write")
        asked = {"key": key["key_secret"], "method": "POST", "path": LIST}
        for told in ("{}", '{"body": {}}', '{"body": {"blueprint_id": "bpt_1"}}'):  # the first will be asked again
            assert live.call("POST", "/keyscope/verify", json={**asked, **json.loads(told)}).json()["valid"]
        assert live.call("POST", "/keyscope/verify", json={"key": key["key_secret"]}).json()["allowed"]
        counts, denials = _ended(live, key["id"])
        assert sorted(counts, key=str) == [("createDevbox", 1), (None, 1)]
        assert denials == [("insufficient_scope", "createDevbox")]


def test_a_call_of_a_derived_key_counts_for_the_key_that_it_came_from(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        key = live.mint("devboxes:write")
        derived = attenuate(key["key_secret"], scopes=["devboxes:read"])
        for method in ("GET", "POST"):
            live.call(
                "GET",
                "/keyscope/authorize/nginx",
                derived,
                headers={"x-original-uri": LIST, "x-original-method": method},
            )
        counts, denials = _ended(live, key["id"])
        assert (counts, denials) == ([("listDevboxes", 1)], [("insufficient_scope", "createDevbox")])
        [denied] = Seen(live).entries(kind="call.denied", key_id=key["id"])
        assert [name[:4] for name in denied.chain] == ["drv_", "key_", "key_"]


@pytest.mark.parametrize("source", ["embedded", "remote"])
def test_the_middleware_records_into_the_same_trail(new_directory: Callable[[], Path], source: str) -> None:
    with Live(new_directory()) as live:
        key = live.mint("devboxes:write")
        with Served("uvicorn", live.directory, "tests.inprocess.guarded:app", guard_environment(live, source)) as app:
            assert app.call("GET", LIST, key["key_secret"]).status_code == 200
            assert app.call("POST", LIST, key["key_secret"], json={}).status_code == 200
            assert app.call("POST", LIST, key["key_secret"], json={"blueprint_id": "b"}).status_code == 403
        assert _ended(live, key["id"]) == (
            [("createDevbox", 1), ("listDevboxes", 1)],
            [("insufficient_scope", "createDevbox")],
        )


def test_the_mcp_gate_records_each_tool_call(new_directory: Callable[[], Path]) -> None:
    with (
        Live(new_directory(), options=["--policy", str(POLICY)]) as live,
        Weather(new_directory()) as weather,
        Gate(new_directory(), live.database, weather.url) as gate,
    ):
        key = live.mint("forecasts:read")

        async def work() -> None:
            async with client_of(gate.endpoint, key["key_secret"]) as client:
                for _ in range(2):
                    await client.call_tool("get_forecast", {"city": "Oslo"})

        asyncio.run(work())
        error_of(lambda client: client.call_tool("delete_station", {"id": "st_1"}), gate, key["key_secret"])
        gate.stop()
        counts, denials = _ended(live, key["id"])
        assert [calls for operation, calls in counts if operation == "tools/call get_forecast"] == [2]
        assert denials == [("insufficient_scope", "tools/call delete_station")]
