"""Several nodes on one PostgreSQL, all on this machine: receipts, the feed, the snapshot, and every fault of the tests.

Three nodes with leases of a second, each of several processes, share the cores with PostgreSQL and the load, so the
times are those of a busy machine. A receipt is timed from the request to its answer. The feed is timed inside one
process that follows as a node does: from the return of the commit until the replica has the change.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from statistics import median

import psutil  # type: ignore[import-untyped]
import psycopg
from tests.haproxy.inside import Inside
from tests.live import Live, wire_scopes
from tests.nodes.cluster import Cluster, running
from tests.nodes.faults import ALSO_WITH_ENGINE, FAULTS, OF_ENGINE, Outcome, befall
from tests.nodes.operations import Operations
from tests.nodes.record_faults import HOUR_S, clock_is_set, is_taken_over, starts_anew, with_clock, with_standby
from tests.nodes.team import HAPROXY, Team, team, wait
from tests.nodes.traffic import minted, traffic
from tests.recorder import Recorder

from bench import keys
from bench.load import KEYS_IN_TURN, post, require_wrk, wrk
from bench.measure import interleaved, percentile, ratios
from bench.processes import SERVER_CORE
from bench.report import Row, at_least, at_most, known
from keyscope.store import rows as stored
from keyscope.store.postgres.address import parse
from keyscope.store.replica.confirming import Confirmations, Question
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.following import Followed, Follower
from keyscope.store.replica.lease import Lease
from keyscope.store.replica.record import Node, snapshot

NAME = "nodes"
_LASTS_S = 1.5
"""A fault, which is longer than the leases of the nodes."""
_TOUCH = """
WITH given AS (UPDATE keyscope.numbers SET change = change + 1 RETURNING change),
changed AS (INSERT INTO keyscope.changes SELECT change, ARRAY[%s] FROM given RETURNING number)
SELECT pg_notify('keyscope_changes', CAST(number AS TEXT)), number FROM changed
"""
"""A change of a key, without the work of the authority."""
_TOUCH_MANY = """
DO $$ BEGIN
    FOR place IN 1..10000 LOOP
        UPDATE keyscope.numbers SET change = change + 1;
        INSERT INTO keyscope.changes SELECT change, touched FROM keyscope.numbers,
            (SELECT ARRAY[id] FROM keyscope.keys ORDER BY id OFFSET place % 1000 LIMIT 1) AS one (touched);
        PERFORM pg_notify('keyscope_changes', '');
        COMMIT;
    END LOOP;
END $$
"""
"""The same ten thousand times, a commit each, made in the server so that the making is not what is measured."""


def run(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name, running(fsync="on") as cluster:
        with team(Path(name) / "nodes", cluster) as three:
            found = [*_receipts(three, 200 if quick else 5000), *_faults(three)]
            found += _mints(three, Path(name), 3 if quick else 10)
        found += _faults_of_the_record(Path(name))
        found += _engines(Path(name), 100 if quick else 1000)
        found += _verifying(Path(name), *((2, 1) if quick else (7, 3)))
        return [*found, *_followed(Path(name), cluster, 100_000 if quick else 1_000_000, 500 if quick else 3000)]


def _receipts(three: Team, count: int) -> list[Row]:
    quiet_ms = _receipts_ms(three, 100 if count < 1000 else 1000)
    with traffic(three, minted(three[0], 200)) as asking:
        operations = Operations(three, asking, Random(1))
        operations.run(count)
    wrongly = len(asking.wrongly_accepted())
    took_ms = [took_s * 1000 for took_s in operations.took_s]
    what = f"of {len(asking.asked):,} calls during {count:,} revocations, suspensions and narrowings"
    return [
        Row(f"calls accepted after a receipt, {what}", float(wrongly), "calls", at_most(0)),
        Row("receipt of three nodes, p50", median(quiet_ms), "ms", known()),
        Row("receipt of three nodes, p99", percentile(quiet_ms, 0.99), "ms", at_most(50)),
        Row("the same while three callers ask all nodes without end, p50", median(took_ms), "ms", known()),
        Row("the same while three callers ask all nodes without end, p99", percentile(took_ms, 0.99), "ms", known()),
    ]


def _receipts_ms(three: Team, count: int) -> list[float]:
    """One after the other, while nothing else is asked."""
    return [_receipt_ms(three, key.id) for key in minted(three[0], count)]


def _receipt_ms(three: Team, key_id: str) -> float:
    began = time.perf_counter()
    three.revoke(key_id)
    return (time.perf_counter() - began) * 1000


def _engines(folder: Path, count: int) -> Iterator[Row]:
    """Three nodes where HAProxy judges: each acknowledges once its HAProxy has been told."""
    with (
        running(fsync="on") as cluster,
        Recorder() as upstream,
        team(folder / "engines", cluster, options=HAPROXY, upstream=upstream.url) as three,
    ):
        for member in three.members:
            wait(Inside(member).is_judging, "HAProxy judges")
        took_ms = _receipts_ms(three, count)
        yield Row("receipt of three nodes where HAProxy judges, p50", median(took_ms), "ms", known())
        yield Row("receipt of three nodes where HAProxy judges, p99", percentile(took_ms, 0.99), "ms", at_most(50))
        for fault in (*OF_ENGINE, *ALSO_WITH_ENGINE):
            yield from _what_came(f"where HAProxy judges, {fault.name}", befall(three, fault, lasts_s=_LASTS_S))


def _verifying(folder: Path, rounds: int, seconds: int) -> list[Row]:
    """Forward-auth over HTTP by one node, beside one server on SQLite; each on one core, wrk on the other."""
    require_wrk()
    (folder / "alone").mkdir()
    with running() as cluster, team(folder / "one", cluster, count=1) as one, Live(folder / "alone") as alone:
        servers: dict[str, Live] = {"node": one[0], "alone": alone}
        for name, server in servers.items():
            secrets = [server.mint("devboxes:read")["key_secret"] for _ in range(KEYS_IN_TURN)]
            (folder / f"{name}.keys").write_text("".join(f"{secret}\n" for secret in secrets))
            for process in (found := psutil.Process(server.pid), *found.children(recursive=True)):
                subprocess.run(["taskset", "-acp", str(SERVER_CORE), str(process.pid)], check=True, capture_output=True)
        measures = {name: partial(_per_s, server, folder / f"{name}.keys", seconds) for name, server in servers.items()}
        per_s = interleaved(measures, rounds)
    return [
        Row("forward-auth at a node", median(per_s["node"]), "/s", known()),
        Row("the same on one machine, with SQLite", median(per_s["alone"]), "/s", known()),
        Row("a node beside one machine", ratios(per_s, "node", "alone"), "times", at_least(0.95)),
    ]


def _per_s(server: Live, keys_in: Path, seconds: int) -> float:
    headers = ("X-Original-URI: /v1/devboxes/dbx_1", "X-Original-Method: GET")
    return wrk(server.url, "/keyscope/authorize/nginx", keys_in, headers=headers, seconds=seconds).per_s


def _faults(three: Team) -> Iterator[Row]:
    for fault in FAULTS:
        yield from _what_came(fault.name, befall(three, fault, lasts_s=_LASTS_S))
    yield from _what_came("PostgreSQL starts anew", starts_anew(three, _LASTS_S))


def _faults_of_the_record(folder: Path) -> Iterator[Row]:
    with with_standby(fsync="on") as (primary, standby), team(folder / "taken over", primary) as three:
        yield from _what_came("a standby takes over", is_taken_over(three, standby))
    with running(fsync="on") as cluster, with_clock(folder, cluster) as (two, clock):
        yield from _what_came("the wall clock is set by an hour", clock_is_set(two, clock, HOUR_S, _LASTS_S))


def _what_came(fault: str, outcome: Outcome) -> Iterator[Row]:
    yield Row(f"{fault}: accepted after a receipt", float(outcome.wrongly), "calls", at_most(0))
    yield Row(f"{fault}: a revocation elsewhere has its receipt after", outcome.receipt_s, "s", known())
    if outcome.closed_s is not None:
        yield Row(f"{fault}: the last call accepted by the node", outcome.closed_s, "s", at_most(1.1))
    yield Row(f"{fault}: ready again", outcome.recovered_s, "s", known())


def _mints(three: Team, folder: Path, seconds: int) -> Iterator[Row]:
    """While the two others follow."""
    require_wrk()
    bodies = folder / "mint"
    bodies.write_text(json.dumps({"name": "minted", "scopes": wire_scopes(["devboxes:read"])}) + "\n")
    key = f"authorization: Bearer {three[0].first}"
    load = partial(post, three[0].url, "/v1/restricted_keys", bodies, content_type="application/json", headers=(key,))
    load(seconds=1)
    yield Row("durable mints over HTTP at one of three nodes, 32 callers", load(seconds=seconds).per_s, "/s", known())


def _followed(folder: Path, cluster: Cluster, count: int, changes: int) -> list[Row]:
    _fill(cluster, count)
    replica = ReplicaFile.open(folder / "replica.db")
    began = time.perf_counter()
    with psycopg.connect(cluster.url(), autocommit=True) as connection, snapshot(connection) as whole:
        replica.rebuild(whole)
    took_s = time.perf_counter() - began
    applied_ms, per_s = asyncio.run(_changes(folder, cluster, replica, changes))
    replica.close()
    return [
        Row(f"snapshot of {count:,} keys to a new node", took_s, "s", at_most(20)),
        Row("commit until the replica has it, p50", median(applied_ms), "ms", known()),
        Row("commit until the replica has it, p99", percentile(applied_ms, 0.99), "ms", at_most(10)),
        Row("changes that a replica takes up while they are made", per_s, "/s", at_least(2000)),
    ]


async def _changes(folder: Path, cluster: Cluster, replica: ReplicaFile, count: int) -> tuple[list[float], float]:
    async def nothing() -> None: ...

    lease = Lease.open(folder / "replica.db")
    lease.hold()
    node = Node(id="bench", name="bench", version="0", lease_ms=5000)
    follower = Follower(Followed(parse(cluster.url()), node), replica, lease, nothing)
    following = asyncio.create_task(follower.run())
    confirmations = Confirmations(follower)
    connection = psycopg.connect(cluster.url(), autocommit=True)
    number = cluster.ask("SELECT change FROM keyscope.numbers")[0][0]
    await confirmations.answer(Question(number, 60_000))
    applied_ms = []
    for _ in range(count):
        number = await asyncio.to_thread(_touch, connection)
        began = time.perf_counter()
        await confirmations.answer(Question(number, 10_000))
        applied_ms.append((time.perf_counter() - began) * 1000)
    connection.execute("SET synchronous_commit = off")  # so that they are made fast enough
    began = time.perf_counter()
    await asyncio.to_thread(connection.execute, _TOUCH_MANY)
    await confirmations.answer(Question(number + 10_000, 60_000))
    per_s = 10_000 / (time.perf_counter() - began)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    connection.close()
    lease.close()
    return applied_ms, per_s


def _touch(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """One change. Its number."""
    found = connection.execute(_TOUCH, (keys.key_id(1),)).fetchone()
    return int(str((found or (0, 0))[1]))


def _fill(cluster: Cluster, count: int) -> None:
    """Keys beside those of the nodes, past the store: a million mints would take their time."""
    with psycopg.connect(cluster.url()) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY keyscope.records FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["bytea", "bytea"])
            for number in range(1, count + 1):
                key = keys.restricted(number)
                copy.write_row((key.digest, stored.record_of(key)))
        columns = "id, digest, account_id, kind, parent_id, name, scopes, created_at_ms, expires_at_ms"
        with cursor.copy(f"COPY keyscope.keys ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "bytea", "text", "text", "text", "text", "text", "int8", "int8"])
            for number in range(1, count + 1):
                copy.write_row(stored.key_row(keys.restricted(number))[:9])
