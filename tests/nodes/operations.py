"""Random revocations, narrowings and suspensions at random nodes, each noted once its receipt has come."""

from __future__ import annotations

import time
from random import Random

import httpx

from tests.live import wire_scopes
from tests.nodes.team import WRITE, Member, Team
from tests.nodes.traffic import Key, Traffic, minted

MANAGED = "/v1/restricted_keys"


class Operations:
    """On the keys of the traffic, or on some of them. ``took_s`` are the times of all until their receipts."""

    def __init__(self, team: Team, traffic: Traffic, random: Random, keys: list[Key] | None = None) -> None:
        self._team = team
        self._traffic = traffic
        self._random = random
        self._keys = [*(keys or traffic.keys)]
        self._narrowed: set[Key] = set()
        self.took_s: list[float] = []

    def run(self, count: int) -> None:
        for _ in range(count):
            member = self._random.choice(self._team.members)
            key = self._random.choice(self._keys)
            operation = self._random.choice((self._revoke, self._suspend, self._narrow))
            operation(member, key)

    def _revoke(self, member: Member, key: Key) -> None:
        self._do(member, key, "/revoke", {})
        self._traffic.took(key)
        time.sleep(self._random.random() * 0.02)  # let it be asked for; a key that is gone for ever is then let go
        self._replace(member, key)

    def _suspend(self, member: Member, key: Key) -> None:
        self._do(member, key, "/suspend", {})
        self._traffic.took(key)
        time.sleep(self._random.random() * 0.02)
        self._traffic.gives_back(key)
        if key in self._narrowed:
            self._traffic.took(key, WRITE)
        self._resume(member, key)

    def _narrow(self, member: Member, key: Key) -> None:
        self._do(member, key, "", {"scopes": wire_scopes(["devboxes:read"])})
        self._narrowed.add(key)
        self._traffic.took(key, WRITE)

    def _resume(self, member: Member, key: Key) -> None:
        assert member.call("POST", f"{MANAGED}/{key.id}/resume").status_code == 200

    def _replace(self, member: Member, key: Key) -> None:
        [fresh] = self._minted(member)
        self._keys[self._keys.index(key)] = fresh
        self._traffic.instead(key, fresh)

    def _minted(self, member: Member) -> list[Key]:
        return minted(member, 1)

    def _changed(self, member: Member, path: str, body: dict[str, object]) -> httpx.Response:
        return member.call("POST", path, json=body)

    def _do(self, member: Member, key: Key, verb: str, body: dict[str, object]) -> None:
        began = time.perf_counter()
        reply = self._changed(member, f"{MANAGED}/{key.id}{verb}", body)
        self.took_s.append(time.perf_counter() - began)
        assert reply.status_code == 200, reply.text
        receipt = reply.json()["receipt"]
        assert not receipt["pending"], receipt
