"""Random revocations, narrowings and suspensions at random nodes, each noted once its receipt has come."""

from __future__ import annotations

import time
from random import Random

from tests.live import wire_scopes
from tests.nodes.team import WRITE, Member, Team
from tests.nodes.traffic import Key, Traffic, minted

_MANAGED = "/v1/restricted_keys"


class Operations:
    """``took_s`` are the times of all operations until their receipts."""

    def __init__(self, team: Team, traffic: Traffic, random: Random) -> None:
        self._team = team
        self._traffic = traffic
        self._random = random
        self._narrowed: set[Key] = set()
        self.took_s: list[float] = []

    def run(self, count: int) -> None:
        for _ in range(count):
            member = self._random.choice(self._team.members)
            key = self._random.choice(self._traffic.keys)
            operation = self._random.choice((self._revoke, self._suspend, self._narrow))
            operation(member, key)

    def _revoke(self, member: Member, key: Key) -> None:
        self._do(member, key, "/revoke", {})
        self._traffic.took(key)
        time.sleep(self._random.random() * 0.02)  # let it be asked for; a key that is gone for ever is then let go
        fresh = minted(member, 1)
        self._traffic.keys = [*(other for other in self._traffic.keys if other != key), *fresh]

    def _suspend(self, member: Member, key: Key) -> None:
        self._do(member, key, "/suspend", {})
        self._traffic.took(key)
        time.sleep(self._random.random() * 0.02)
        self._traffic.gives_back(key)
        if key in self._narrowed:
            self._traffic.took(key, WRITE)
        assert member.call("POST", f"{_MANAGED}/{key.id}/resume").status_code == 200

    def _narrow(self, member: Member, key: Key) -> None:
        self._do(member, key, "", {"scopes": wire_scopes(["devboxes:read"])})
        self._narrowed.add(key)
        self._traffic.took(key, WRITE)

    def _do(self, member: Member, key: Key, verb: str, body: dict[str, object]) -> None:
        began = time.perf_counter()
        reply = member.call("POST", f"{_MANAGED}/{key.id}{verb}", json=body)
        self.took_s.append(time.perf_counter() - began)
        assert reply.status_code == 200, reply.text
        receipt = reply.json()["receipt"]
        assert not receipt["pending"], receipt
