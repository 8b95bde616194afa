"""A key's life: how deep a tree may be, what the death of one costs, and how fast keys are made, rotated and ended.

In process, as in `decide`: a key three levels below the standard one, 64 such keys in turn; and the first refused call
of the deepest key of a tree of 10, 1,000 and 10,000, whose root was just revoked. Over HTTP: mints, rotations and
revocations by 32 callers at once, each durable (fsync) before it is answered, the server on one core.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bench import keys
from bench.judging import HOT_KEYS, PATH, Judge
from bench.measure import each_us, interleaved, medians
from bench.processes import LOAD_CORE, keyscope
from bench.report import Row, at_least, at_most, known
from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.lifecycle import Lifecycle
from keyscope.authority.mint import Wanted, draw
from keyscope.authority.ports import Writer
from keyscope.authority.verify import Verifier
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.serving.server import load_policy
from keyscope.store.sqlite import SqliteStore
from keyscope.system import SystemClock, SystemEntropy

NAME = "life"
_TREES = (10, 1_000, 10_000)
_CALLERS = 32
_WANTED = Wanted(kind=Kind.RESTRICTED, scopes=(Scope.parse("devboxes:read"),))
_SCOPES = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]


def run(quick: bool) -> list[Row]:
    calls, rounds, changes = (2_000, 3, 300) if quick else (10_000, 15, 3_000)
    with tempfile.TemporaryDirectory() as name:
        store = SqliteStore.open(Path(name) / "trees.db")
        try:
            rows = _in_process(store, calls, rounds)
        finally:
            store.close()
    with tempfile.TemporaryDirectory() as name, keyscope(Path(name), key_count=10_000) as server:
        return rows + asyncio.run(_over_http(server.url, changes))


def _in_process(store: SqliteStore, calls: int, rounds: int) -> list[Row]:
    clock, barred = SystemClock(), set[str]()
    first = bootstrap(store, clock, SystemEntropy())
    assert first is not None
    index = store.open_index()
    verifier = Verifier(index, load_policy("runloop").table(), clock, barred)
    lifecycle = Lifecycle(store, clock, barred)
    root = verifier.find(first.secret.reveal().encode())

    allowed = Judge(verifier).allowed
    deep = [plant(store, root, 3)[-1] for _ in range(HOT_KEYS)]
    assert all(isinstance(allowed(token), Allow) for token in deep)
    turns = [deep[number % len(deep)] for number in range(calls)]
    us = medians(interleaved({"deep": lambda: each_us(allowed, turns)}, rounds))
    rows = [Row("verify + authorise, three levels deep, hot key", us["deep"], "µs", at_most(4))]
    for size in _TREES:
        took = [_death_us(store, verifier, lifecycle, root, size) for _ in range(3)]
        rows.append(Row(f"first refusal after the root of {size:,} keys was revoked", median(took), "µs", known()))
    index.close()
    return rows


def _death_us(store: SqliteStore, verifier: Verifier, lifecycle: Lifecycle, root: Lineage, size: int) -> float:
    """Microseconds for the first decision about the deepest key, which must be a refusal."""
    tokens = plant(store, root, min(size, 10), size)
    key_id = verifier.find(tokens[0]).key.id
    assert isinstance(verifier.decide(tokens[-1], "GET", PATH), Allow)
    lifecycle.revoke(root, Kind.RESTRICTED, key_id, None, Origin())
    began = time.perf_counter_ns()
    decision = verifier.decide(tokens[-1], "GET", PATH)
    took = (time.perf_counter_ns() - began) / 1000
    assert not isinstance(decision, Allow)
    return took


def plant(store: SqliteStore, root: Lineage, depth: int, size: int | None = None) -> list[bytes]:
    """The tokens of a tree: its top, then the others, ``depth`` generations in all; a single line without ``size``."""
    tokens: list[bytes] = []
    clock, entropy = SystemClock(), SystemEntropy()

    def work(writer: Writer) -> None:
        line = [root]
        for number in range(size or depth):
            place = number % depth  # the top is shared: every line starts below it
            parent = line[min(place, len(line) - 1)] if number < depth else line[max(place, 1)]
            minted = draw(_WANTED, parent.key.account_id, parent, clock.now_ms(), entropy)
            writer.add_key(minted.key)
            tokens.append(minted.secret.reveal().encode())
            if number < depth:
                line.append(Lineage(minted.key, parent))

    store.write(work)
    return tokens


async def _over_http(url: str, changes: int) -> list[Row]:
    os.sched_setaffinity(0, {LOAD_CORE % (os.cpu_count() or 1)})
    headers = {"authorization": f"Bearer {keys.secret(0).reveal()}"}
    connector = aiohttp.TCPConnector(limit=_CALLERS)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as http:
        began = time.monotonic()
        made = await _all(http, ["/v1/restricted_keys"] * changes, {"name": "minted", "scopes": _SCOPES})
        minted_s = time.monotonic() - began
        ids = [key["id"] for key in made]
        began = time.monotonic()
        await _all(http, [f"/v1/restricted_keys/{key_id}/rotate" for key_id in ids], {})
        rotated_s = time.monotonic() - began
        began = time.monotonic()
        await _all(http, [f"/v1/restricted_keys/{key_id}/revoke" for key_id in ids], {})
        revoked_s = time.monotonic() - began
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return [
        Row(f"durable mints, {_CALLERS} callers at once", changes / minted_s, "/s", at_least(1000)),
        Row(f"durable rotations, {_CALLERS} callers at once", changes / rotated_s, "/s", at_least(1000)),
        Row(f"durable revocations, {_CALLERS} callers at once", changes / revoked_s, "/s", at_least(1000)),
    ]


async def _all(http: aiohttp.ClientSession, paths: Sequence[str], body: dict[str, Any]) -> list[dict[str, Any]]:
    """POST to every path, so many at once as there are callers. Raises for anything but 200."""
    left = iter(paths)
    replies: list[dict[str, Any]] = []

    async def call() -> None:
        for path in left:
            async with http.post(path, json=body) as response:
                response.raise_for_status()
                replies.append(await response.json())

    await asyncio.gather(*(call() for _ in range(_CALLERS)))
    return replies
