"""Faults that come and go at random, while keys are taken from their holders and given back at random nodes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from random import Random
from typing import Any

import httpx

from tests.hosts.faults import NETWORK_FAULTS
from tests.hosts.network import Network
from tests.live import wire_scopes
from tests.nodes.operations import MANAGED, Operations
from tests.nodes.team import Member, Team
from tests.nodes.traffic import Key, minted, traffic

KEYS = 200
OPERATORS = 12
CALM_S = 1.0
LONGEST_S = 2.0
PATIENCE_S = 60.0


class Persistent(Operations):
    """What a node cannot do is asked for at another one, until the receipt has come."""

    def run_until(self, end_s: float) -> None:
        while time.monotonic() < end_s:
            self.run(1)

    def _changed(self, member: Member, path: str, body: dict[str, object]) -> httpx.Response:
        end = time.monotonic() + PATIENCE_S
        for asked in _from(member, self._team.members):
            reply = _tried(asked, path, body)
            if reply is not None:
                return reply
            assert time.monotonic() < end, f"nobody could do {path}"
            time.sleep(0.02)
        raise AssertionError

    def _minted(self, member: Member) -> list[Key]:
        made = self._changed(member, MANAGED, {"scopes": wire_scopes(["devboxes:write"])}).json()
        return [Key(made["id"], made["key_secret"])]

    def _resume(self, member: Member, key: Key) -> None:
        # One that had no answer may be done at any later time, so what then is true of the key nobody knows.
        if _tried(member, f"{MANAGED}/{key.id}/resume", {}) is None:
            self._replace(member, key)


def weathered(network: Network, team: Team, seed: int, lasts_s: float) -> dict[str, Any]:
    """Operations for so long. Says what was accepted wrongly, how much was asked, and which faults there were."""
    _all_ready(team)
    keys = minted(team[0], KEYS)
    with (
        traffic(team, keys) as asking,
        _weather(network, team, Random(seed)) as seen,  # noqa: S311  (no secret)
        ThreadPoolExecutor(OPERATORS) as threads,
    ):
        shares = [keys[place::OPERATORS] for place in range(OPERATORS)]
        operators = [
            Persistent(team, asking, Random(seed + place), share)  # noqa: S311  (no secret)
            for place, share in enumerate(shares)
        ]
        end_s = time.monotonic() + lasts_s
        list(threads.map(lambda operator: operator.run_until(end_s), operators))
    _all_ready(team)
    gone = {taken.key for taken in asking.taken if taken.method is None and taken.until_s == float("inf")}
    return {
        "wrongly": len(asking.wrongly_accepted()),
        "accepted at the end": sum(member.may(key.secret) == 200 for member in team.members for key in gone),
        "asked": len(asking.asked),
        "let through": sum(question.status == 200 for question in asking.asked),
        "operations": sum(len(operator.took_s) for operator in operators),
        "faults": seen,
    }


def _all_ready(team: Team) -> None:
    for member in team.members:
        member.wait_ready()


@contextlib.contextmanager
def _weather(network: Network, team: Team, random: Random) -> Iterator[list[str]]:
    """One fault after the other, each at a random node; the names of those that there were."""
    ends, seen = threading.Event(), list[str]()

    def blow() -> None:
        while not ends.is_set():
            fault, member = random.choice(NETWORK_FAULTS), random.choice(team.members)
            seen.append(f"{member.name}: {fault.name}")
            mend = fault.breaks(network, member.name)
            ends.wait(random.random() * LONGEST_S)
            mend()
            ends.wait(random.random() * CALM_S)

    with ThreadPoolExecutor(1) as thread:
        blowing = thread.submit(blow)
        try:
            yield seen
        finally:
            ends.set()
            blowing.result(LONGEST_S + 30)


def _from(member: Member, members: list[Member]) -> Iterator[Member]:
    """All of them in turn, this one first, without end."""
    first = members.index(member)
    return cycle([*members[first:], *members[:first]])


def _tried(member: Member, path: str, body: dict[str, object]) -> httpx.Response | None:
    with contextlib.suppress(httpx.TransportError):
        reply = member.call("POST", path, json=body)
        if reply.status_code == 200:
            return reply
        assert reply.status_code == 503, reply.text
    return None
