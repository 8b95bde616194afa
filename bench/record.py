"""Minting on PostgreSQL beside SQLite, both durable, on this machine: how many mints a second, and how long one takes.

In process, through the use case: the caller, the rules, the key, its event and the reply that is kept. PostgreSQL is
that of the tests, on this machine, with fsync on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count

from tests.postgres import running

from bench.measure import interleaved, medians
from bench.report import Missing, Row, Target, at_least, known
from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.ports import Store
from keyscope.authority.replay import Repeatable
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from keyscope.system import SystemClock, SystemEntropy

NAME = "record"
_SQLITE, _POSTGRES = "SQLite", "PostgreSQL"
_CALLERS = 32
_ALONE = 200
_TARGET = 1500
_WANTED = Wanted(kind=Kind.RESTRICTED, scopes=(Scope.parse("devboxes:read"),))


def run(quick: bool) -> list[Row]:
    rounds, seconds = (3, 1.0) if quick else (5, 3.0)
    with _stores() as stores:
        mints = {name: _minter(store) for name, store in stores.items()}
        rates = medians(interleaved({name: partial(_rate, mint, seconds) for name, mint in mints.items()}, rounds))
        alone = medians(interleaved({name: partial(_alone_us, mint) for name, mint in mints.items()}, rounds))
    shared = [Row(f"mints, {_CALLERS} at once, {name}", rate, "/s", _target(name)) for name, rate in rates.items()]
    return shared + [Row(f"a mint alone, {name}", took, "µs", known()) for name, took in alone.items()]


def _target(name: str) -> Target:
    return at_least(_TARGET) if name == _POSTGRES else known()


@contextmanager
def _stores() -> Iterator[dict[str, Store]]:
    with tempfile.TemporaryDirectory() as directory, running(fsync="on", full_page_writes="on") as server:
        urls = {_SQLITE: f"sqlite:///{directory}/keyscope.db", _POSTGRES: server.database()}
        stores = {name: open_store(url) for name, url in urls.items()}
        try:
            yield stores
        finally:
            for store in stores.values():
                store.close()


def _minter(store: Store) -> Callable[[], object]:
    clock, entropy = SystemClock(), SystemEntropy()
    first = bootstrap(store, clock, entropy)
    if first is None:
        raise Missing("an empty database")
    caller, minting, numbers = Lineage(first.key), Minting(store, clock, entropy), count()

    def mint() -> object:
        repeat = Repeatable(str(next(numbers)), "POST /v1/restricted_keys", b"{}", first.secret)
        return minting.mint(caller, _WANTED, Origin((first.key.id,)), _render, repeat)

    return mint


def _render(minted: Minted) -> bytes:
    return minted.key.id.encode()


def _rate(mint: Callable[[], object], seconds: float) -> float:
    end = time.perf_counter() + seconds

    def caller(_: int) -> int:
        made = 0
        while time.perf_counter() < end:
            mint()
            made += 1
        return made

    with ThreadPoolExecutor(_CALLERS) as pool:
        return sum(pool.map(caller, range(_CALLERS))) / seconds


def _alone_us(mint: Callable[[], object]) -> float:
    begin = time.perf_counter()
    for _ in range(_ALONE):
        mint()
    return (time.perf_counter() - begin) / _ALONE * 1e6
