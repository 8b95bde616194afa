"""Callers that never stop asking all nodes, and a check of all their answers against all that was done to the keys."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.nodes.team import READ, WRITE, Member, Team

_TIMEOUT_S = 30.0


class Key(NamedTuple):
    id: str
    secret: str


class Asked(NamedTuple):
    """One question. ``sent_s`` is when it was about to be sent."""

    sent_s: float
    node: str
    key: Key
    method: str
    status: int


class Taken(NamedTuple):
    """From ``since_s``, when the receipt had come, until ``until_s`` the key may not do this; None: nothing at all."""

    key: Key
    method: str | None
    since_s: float
    until_s: float


class Traffic:
    """One thread for each node. ``keys`` may be changed meanwhile, as a whole."""

    def __init__(self, team: Team, keys: list[Key]) -> None:
        self.keys = keys
        self.taken: list[Taken] = []
        self.pause_s = 0.001
        self._team = team
        self._asked: list[list[Asked]] = [[] for _ in team.members]
        self._ends = threading.Event()
        self._noting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(member, asked), daemon=True)
            for member, asked in zip(team.members, self._asked, strict=True)
        ]

    @property
    def asked(self) -> list[Asked]:
        return [question for asked in self._asked for question in asked]

    def took(self, key: Key, method: str | None = None, *, since_s: float | None = None) -> None:
        """The receipt for it has just come."""
        with self._noting:
            self.taken.append(Taken(key, method, since_s or time.perf_counter(), float("inf")))

    def gives_back(self, key: Key) -> None:
        """It is about to be given back."""
        now_s = time.perf_counter()
        with self._noting:
            self.taken = [
                taken._replace(until_s=now_s) if taken.key == key and taken.until_s > now_s else taken
                for taken in self.taken
            ]

    def instead(self, key: Key, fresh: Key) -> None:
        """Ask for another key in its place."""
        with self._noting:
            self.keys = [*(other for other in self.keys if other != key), fresh]

    def wrongly_accepted(self) -> list[tuple[Asked, Taken]]:
        """Everything that was let through although the receipt had come before the question was sent."""
        taken: dict[Key, list[Taken]] = {}
        for loss in self.taken:
            taken.setdefault(loss.key, []).append(loss)
        return [
            (question, loss)
            for question in self.asked
            if question.status == 200
            for loss in taken.get(question.key, ())
            if loss.since_s <= question.sent_s < loss.until_s and loss.method in (None, question.method)
        ]

    def _ask(self, member: Member, asked: list[Asked]) -> None:
        node = http.client.HTTPConnection(member.place.address, member.port, timeout=_TIMEOUT_S)
        with contextlib.closing(node) as connection:
            while not self._ends.is_set():
                for key in list(self.keys):
                    for method in (READ, WRITE):
                        if self._ends.is_set():
                            return
                        sent_s = time.perf_counter()
                        asked.append(
                            Asked(
                                sent_s,
                                member.name,
                                key,
                                method,
                                _status(connection, *member.asking(key.secret, method)),
                            )
                        )
                        time.sleep(self.pause_s)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_S + 5)


def _status(connection: http.client.HTTPConnection, method: str, path: str, fields: dict[str, str]) -> int:
    """0 if nobody answered."""
    try:
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        connection.close()
        time.sleep(0.02)
        return 0


def minted(member: Member, count: int) -> list[Key]:
    found = [member.mint("devboxes:write") for _ in range(count)]
    return [Key(key["id"], key["key_secret"]) for key in found]


@contextlib.contextmanager
def traffic(team: Team, keys: list[Key]) -> Iterator[Traffic]:
    running = Traffic(team, keys)
    running.start()
    try:
        yield running
    finally:
        running.end()
