"""Counters in Valkey, or Redis: shared by the nodes of several machines.

Each call is one script, which Valkey runs alone, so it is as exact as on one machine, and the time is Valkey's own.
What is spent while an answer is lost stays spent. Places are a lease: those of a process that was not heard of for
``LEASE_MS`` are free, and it takes them back as it knows them once it is heard of again.

``keyscope:counters`` is the id of these counters; ``keyscope:{HOLDER}:used`` what a holder has spent, ``:calls`` the
times of its latest calls, ``:places`` what each process holds; ``keyscope:process:NAME`` is there while NAME is.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from threading import Lock
from typing import TypeAlias

from redis import Redis, RedisError

from keyscope.authority.counters import Budget, Kind, Spent, Used
from keyscope.errors import CountersUnavailable

log = logging.getLogger(__name__)

ID = "keyscope:counters"
LEASE_MS = 10_000
"""How long a process is believed to be there without a word. It says one about every second."""
SULK_S = 1.0
"""For how long nobody is asked after an answer was not had: waiting holds up every other call of the process."""

Client: TypeAlias = Redis
_NONE = -1


class ValkeyCounters:
    """Use ``valkey_open``. ``clock``: whether the time is the caller's ``now_ms``, and not Valkey's (for tests)."""

    def __init__(self, client: Client, counters_id: str, *, lease_ms: int = LEASE_MS, clock: bool = False) -> None:
        self._client = client
        self._id = counters_id
        self._lease_ms = lease_ms
        self._clock = clock
        self._process = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._budget = client.register_script(_script("counters.lua"))
        self._place = client.register_script(_script("places.lua"))
        self._lock = Lock()
        self._held: dict[str, int] = {}
        self._sulks_until_s = 0.0
        self._closed = False

    def take(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        with self._lock:
            spent = self._ask(budgets, now_ms, "take")
            for budget in () if spent else budgets:
                if budget.parallel is not None:
                    self._held[budget.holder] = self._held.get(budget.holder, 0) + 1
            return spent

    def look(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        with self._lock:
            return self._ask(budgets, now_ms, "look")

    def give_back(self, budgets: Sequence[Budget]) -> None:
        """Never raises: what cannot be told now is told later, and counts until then."""
        with self._lock:
            given = [budget.holder for budget in budgets if budget.parallel is not None]
            for holder in given:
                self._held[holder] = max(0, self._held.get(holder, 0) - 1)
            try:
                self._tell(given)
            except CountersUnavailable as error:
                log.error("places are given back later: %s", error.detail)

    def used(self, holders: Sequence[str]) -> Mapping[str, Used]:
        with self._lock, self._closing():
            pipeline = self._client.pipeline(transaction=False)
            for holder in holders:
                pipeline.hget(_keys(holder)[0], "used")
                pipeline.hvals(_keys(holder)[2])
            found = pipeline.execute()
            pairs = zip(found[::2], found[1::2], strict=True)
            return {
                holder: Used(int(used or 0), sum(map(int, held)))
                for holder, (used, held) in zip(holders, pairs, strict=True)
            }

    def tidy(self) -> None:
        """Say that this process is there, and what it holds: so what could not be told comes right."""
        with self._lock:
            self._tell([*self._held])
            self._held = {holder: held for holder, held in self._held.items() if held}

    def close(self) -> None:
        """End. The places of calls that are under way are free."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._held = dict.fromkeys(self._held, 0)
                self._tell([*self._held])
                with self._closing():
                    self._client.delete(f"keyscope:process:{self._process}")
            except CountersUnavailable as error:
                log.warning("places are free when their lease ends: %s", error.detail)
            self._client.close()

    def _ask(self, budgets: Sequence[Budget], now_ms: int, how: str) -> tuple[Spent, ...]:
        keys = [ID, *(key for budget in budgets for key in _keys(budget.holder))]
        limits = [limit for budget in budgets for limit in _limits(budget)]
        head = [self._id, now_ms if self._clock else "", self._process, self._lease_ms, how]
        with self._closing():
            found = self._budget(keys=keys, args=[*head, *limits])
            return tuple(_spent(budgets[number - 1], kind, wait_ms) for number, kind, wait_ms in found)

    def _tell(self, holders: Sequence[str]) -> None:
        keys = [ID, *(_keys(holder)[2] for holder in holders)]
        with self._closing():
            self._place(keys=keys, args=[self._id, self._process, self._lease_ms, *(self._held[h] for h in holders)])

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """While running, whatever goes wrong means that nothing can be counted now."""
        if time.monotonic() < self._sulks_until_s:
            raise CountersUnavailable("Valkey did not answer a moment ago")
        try:
            yield
        except (RedisError, OSError) as error:
            self._sulks_until_s = time.monotonic() + SULK_S
            raise CountersUnavailable(f"Valkey: {type(error).__name__}: {error}") from None


def _keys(holder: str) -> tuple[str, str, str]:
    return f"keyscope:{{{holder}}}:used", f"keyscope:{{{holder}}}:calls", f"keyscope:{{{holder}}}:places"


def _limits(budget: Budget) -> tuple[int, int, int, int]:
    limits = (budget.uses, budget.requests, budget.per_ms, budget.parallel)
    uses, requests, per_ms, parallel = (_NONE if limit is None else limit for limit in limits)
    return uses, requests, per_ms, parallel


def _spent(budget: Budget, kind: bytes, wait_ms: int) -> Spent:
    return Spent(budget.holder, Kind(kind.decode()), wait_ms if wait_ms >= 0 else None)


def _script(name: str) -> str:
    return (files("keyscope.store") / name).read_text(encoding="utf-8")
