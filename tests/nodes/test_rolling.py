"""A rolling restart under load: callers go through a balancer that asks for readiness."""

from __future__ import annotations

import threading
import time

import httpx

from tests.nodes.team import Member, Team, wait

READY_EVERY_S = 0.05


class Balancer:
    """Sends each call to the next node that was ready; where nobody answers, to the one after it."""

    def __init__(self, members: list[Member], secret: str) -> None:
        self._members = members
        self._secret = secret
        self._ready: set[str] = set()
        self._ends = threading.Event()
        self.statuses: list[int] = []
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._look, self._call)]

    def __enter__(self) -> Balancer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(30)

    def _look(self) -> None:
        with httpx.Client(timeout=5, trust_env=False) as http:
            while not self._ends.wait(READY_EVERY_S):
                self._ready = {member.name for member in self._members if _answers(http, member)}

    def _call(self) -> None:
        wait(lambda: bool(self._ready), "somebody is ready")
        turn = 0
        with httpx.Client(timeout=10, trust_env=False) as http:
            while not self._ends.is_set():
                turn += 1
                turned = [*self._members[turn % 3 :], *self._members[: turn % 3]]
                in_order = sorted(turned, key=lambda member: member.name not in self._ready)
                self.statuses.append(next(status for member in in_order if (status := self._ask(http, member))))
                time.sleep(0.002)

    def _ask(self, http: httpx.Client, member: Member) -> int:
        """0 if nobody answers."""
        fields = {
            "x-forwarded-method": "GET",
            "x-forwarded-uri": "/v1/devboxes",
            "authorization": f"Bearer {self._secret}",
        }
        try:
            return http.get(f"{member.url}/keyscope/authorize/caddy", headers=fields).status_code
        except httpx.TransportError:
            return 0


def _answers(http: httpx.Client, member: Member) -> bool:
    try:
        return http.get(f"{member.url}/keyscope/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_rolling_restart_under_load_fails_no_request(three: Team) -> None:
    secret = three[0].mint("devboxes:read")["key_secret"]
    for member in three.members:
        wait(lambda member=member: member.may(secret) == 200, "the key is known")  # type: ignore[misc]
    with Balancer(three.members, secret) as balancer:
        for member in three.members:
            before = len(balancer.statuses)
            member.stop()
            member.start()
            member.wait_ready()
            wait(lambda before=before: len(balancer.statuses) > before + 20, "calls go on")  # type: ignore[misc]
    assert set(balancer.statuses) == {200}


def test_a_node_that_ends_as_told_is_not_waited_for(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    three[2].stop()
    try:
        began = time.monotonic()
        receipt = three.revoke(key["id"])
        assert receipt["acknowledged"] == ["a", "b"]
        assert receipt["pending"] == []
        assert time.monotonic() - began < 1
    finally:
        three[2].start()
        three[2].wait_ready()
