"""Gates in processes of their own beside a node: they judge by its replica and its lease, as its workers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyscope.asgi import KeyscopeMiddleware
from keyscope.errors import ConfigurationError
from keyscope.gate.followers import folder_beside, following
from keyscope.serving.behind import private_folder
from keyscope.store.replica.lease import Lease
from tests.cli.run import keyscope
from tests.inprocess.guarded import bare
from tests.inprocess.serving import NotStarted, Served
from tests.model_context.running import POLICY, Gate
from tests.model_context.spoken import ACCEPT
from tests.nodes.cluster import running
from tests.nodes.team import Member, Team, team, wait
from tests.recorder import Recorder, Reply

APP = "tests.inprocess.guarded:app"
LIST = "/v1/devboxes"
LEASE_S = 1.0
MARGIN_S = 0.5
TIMES = 20


def beside(member: Member, directory: Path) -> Served:
    """An application behind the middleware."""
    environment = {"GUARD_DATABASE": member.record, "GUARD_REPLICA": str(member.replica)}
    return Served("granian", directory, APP, environment)


@pytest.fixture(scope="module")
def app(three: Team, new_directory: Callable[[], Path]) -> Iterator[Served]:
    """Beside the last node."""
    with beside(three[2], new_directory()) as served:
        yield served


def status(app: Served, secret: str) -> int:
    return app.call("GET", LIST, secret).status_code


def test_what_is_taken_at_another_node_is_refused_from_the_receipt_on(three: Team, app: Served) -> None:
    for _ in range(TIMES):
        key = three[0].mint("devboxes:read")
        wait(lambda key=key: status(app, key["key_secret"]) == 200, "it is known")  # type: ignore[misc]
        receipt = three.revoke(key["id"], at=1)
        assert (receipt["pending"], status(app, key["key_secret"])) == ([], 401)


def test_its_uses_and_refusals_are_written_where_those_of_the_node_are(three: Team, app: Served) -> None:
    key = three[2].mint("devboxes:read")
    assert status(app, key["key_secret"]) == 200
    assert app.call("POST", LIST, key["key_secret"]).status_code == 403

    def written() -> bool:
        shown = three[0].call("GET", f"/v1/restricted_keys/{key['id']}").json()
        audit = three[2].call("GET", "/keyscope/audit", params={"key_id": key["id"], "verdict": "denied"}).json()
        return shown["last_used_at_ms"] is not None and len(audit["entries"]) == 1

    wait(written, "the use is in the record, and the refusal in the trail of the node")


def test_it_closes_with_its_node_and_opens_with_it(three: Team, app: Served) -> None:
    member, key = three[2], three[0].mint("devboxes:read")
    wait(lambda: status(app, key["key_secret"]) == 200, "it is known")
    member.relay.holds = True
    assert wait(lambda: status(app, key["key_secret"]) == 503, "it is closed") < LEASE_S + MARGIN_S
    assert three.revoke(key["id"])["closed"] == ["c"]
    member.relay.holds = False
    wait(lambda: status(app, key["key_secret"]) == 401, "it is open, and knows")


@pytest.fixture(scope="module")
def single(new_directory: Callable[[], Path]) -> Iterator[Team]:
    """One node, with a policy for MCP."""
    with (
        running() as cluster,
        team(new_directory() / "nodes", cluster, count=1, options=["--policy", str(POLICY)]) as nodes,
    ):
        yield nodes


def test_without_its_node_it_judges_nothing(single: Team, tmp_path: Path) -> None:
    node = single[0]
    with beside(node, tmp_path) as app:
        assert status(app, node.first) == 200
        node.stop()
        assert status(app, node.first) == 503
        node.start()
        wait(lambda: status(app, node.first) == 200, "it judges again")


def test_without_a_replica_the_application_does_not_start(three: Team, tmp_path: Path) -> None:
    environment = {"GUARD_DATABASE": three[0].record, "GUARD_REPLICA": str(tmp_path / "none.db")}
    with pytest.raises(NotStarted, match="There is no replica at"), Served("uvicorn", tmp_path, APP, environment):
        pass


@pytest.mark.parametrize("given", [{"database": "postgresql://db"}, {"database": "sqlite:///k.db", "replica": "r.db"}])
def test_a_replica_is_named_with_postgresql_alone(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        KeyscopeMiddleware(bare, policy="runloop", **given)
    assert "--replica" in refused.value.faults[0].message


def test_a_gate_that_keeps_a_copy_is_asked_to_close_before_its_node_leaves(single: Team) -> None:
    node, seen = single[0], list[tuple[bool, int]]()
    lease = Lease.open(node.replica)

    async def confirm() -> None:
        [(nodes,)] = single.cluster.ask("SELECT count(*) FROM keyscope.nodes")
        seen.append((lease.left_ns > 0, nodes))

    async def following_until_it_ends() -> None:
        with private_folder() as folder:
            async with following(folder_beside(node.replica), folder / "gate.sock", confirm):
                await asyncio.to_thread(node.stop)

    asyncio.run(following_until_it_ends())
    lease.close()
    node.start()
    assert seen[-1] == (False, 1)


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def ping(gate: Gate, secret: str) -> int:
    headers = {**ACCEPT, "authorization": f"Bearer {secret}"}
    return httpx.post(gate.endpoint, content=json.dumps(PING), headers=headers, timeout=30, trust_env=False).status_code


def test_the_mcp_gate_judges_so_too(single: Team, tmp_path: Path) -> None:
    said = Reply(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode())
    node = single[0]
    with (
        Recorder(lambda _: said) as upstream,
        Gate(tmp_path, node.files, f"{upstream.url}/mcp") as gate,
    ):
        for _ in range(TIMES):
            key = node.mint("forecasts:read")
            assert ping(gate, key["key_secret"]) == 200
            single.revoke(key["id"])
            assert ping(gate, key["key_secret"]) == 401
        node.relay.holds = True
        assert wait(lambda: ping(gate, node.first) == 503, "it is closed") < LEASE_S + MARGIN_S
        node.relay.holds = False
        wait(lambda: ping(gate, node.first) == 200, "it is open")


def test_the_mcp_gate_says_where_it_looked_for_a_replica(three: Team, tmp_path: Path) -> None:
    words = ["--upstream", "http://127.0.0.1:9/mcp", "--policy", str(POLICY), "--database", three[0].record]
    done = keyscope("gate", "mcp", *words, "--replica", str(tmp_path / "none.db"))
    assert (done.returncode, f"There is no replica at {tmp_path}" in done.stderr) == (2, True)
