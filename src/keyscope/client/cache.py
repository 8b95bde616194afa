"""Answers kept for a while, by rules that can only make a cached answer less used. No I/O; the time is a parameter.

An answer is used only while all of this holds (docs/decisions/0011):

- the question is the same in everything that the answer depends on;
- it is younger than ``max_age_s``, counted from before the server was asked, and the key has not expired;
- the stream of changes is open, and was heard within ``max_age_s``;
- no change was told since the server was asked that is about a key in the chain of this one.

An answer about a key that is not valid is never kept, so a new key works at once and nobody fills the cache with junk.
Nor is one that lets an observed key through, so that the server hears of, and writes down, every such call; nor one
about a key with restrictions, which look at more of a call than the question says.
All times here are seconds of a monotonic clock, but for the server's own, which are Unix milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from msgspec import Struct

from keyscope.client.answers import Answer, Question
from keyscope.client.events import ServerEvent

HARMLESS = frozenset(
    ("account.created", "account.rules_changed", "key.minted", "key.dead_used", "webhook.added", "webhook.removed")
)
"""Changes after which every answer is as it was. Any other, known or not, is taken seriously."""


class Mark(Struct, frozen=True):
    """When a question was asked, and what had been heard by then."""

    asked_at_s: float
    turn: int


class _Kept(Struct, frozen=True):
    answer: Answer
    until_s: float


class AnswerCache:
    """For any number of threads. ``max_age_s`` 0 keeps nothing."""

    def __init__(self, max_age_s: float, max_entries: int) -> None:
        self._max_age_s = max_age_s
        self._max_entries = max_entries
        self._lock = Lock()
        self._kept: dict[Question, _Kept] = {}
        self._by_key: defaultdict[str, set[Question]] = defaultdict(set)
        self._heard_at_s: float | None = None
        """None while the stream of changes is not open."""
        self._turn = 0
        """Grows with all that may make an answer untrue, so that one that was under way meanwhile is not kept."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: Question, now_s: float) -> Answer | None:
        """The answer, if it may still be used."""
        with self._lock:
            heard = self._heard_at_s
            kept = self._kept.get(asked) if heard is not None and now_s - heard <= self._max_age_s else None
            return kept.answer if kept is not None and now_s < kept.until_s else None

    def mark(self, now_s: float) -> Mark:
        """To be had before the server is asked."""
        return Mark(now_s, self._turn)

    def put(self, asked: Question, answer: Answer, mark: Mark) -> None:
        """Keep an answer to a question that was asked at ``mark``, unless something was heard since."""
        with self._lock:
            if self._heard_at_s is None or mark.turn != self._turn or not _may_be_kept(answer):
                return
            self._drop(asked)
            while len(self._kept) >= self._max_entries:
                self._drop(next(iter(self._kept)))
            self._kept[asked] = _Kept(answer, mark.asked_at_s + min(self._max_age_s, _life_s(answer)))
            for key_id in answer.chain:
                self._by_key[key_id].add(asked)

    def heard(self, event: ServerEvent, now_s: float) -> None:
        """An event of the stream of changes. Raises ValueError for what is none."""
        with self._lock:
            if event.kind in ("ready", "reset"):
                self._forget()
            elif event.kind == "change":
                self._changed(event.members)
            if event.kind == "ready" or self._heard_at_s is not None:
                self._heard_at_s = now_s

    def lost(self) -> None:
        """The stream of changes is not open any more."""
        with self._lock:
            self._heard_at_s = None
            self._forget()

    def _changed(self, change: dict[str, object]) -> None:
        kind, key_id = change.get("kind"), change.get("key_id")
        if kind in HARMLESS:
            return
        if not isinstance(key_id, str):
            self._forget()
            return
        self._turn += 1
        for asked in list(self._by_key.get(key_id, ())):
            self._drop(asked)

    def _drop(self, asked: Question) -> None:
        kept = self._kept.pop(asked, None)
        for key_id in kept.answer.chain if kept is not None else ():
            self._by_key[key_id].discard(asked)
            if not self._by_key[key_id]:
                del self._by_key[key_id]

    def _forget(self) -> None:
        self._turn += 1
        self._kept.clear()
        self._by_key.clear()


def _may_be_kept(answer: Answer) -> bool:
    restricted = answer.key is not None and bool(answer.key.restrictions)
    return answer.valid and bool(answer.chain) and not answer.observed_scopes and not restricted


def _life_s(answer: Answer) -> float:
    """How long after the answer the key lives; counted from before the question, so that no clocks are compared."""
    expires_at_ms = answer.key.expires_at_ms if answer.key is not None else answer.now_ms
    return float("inf") if expires_at_ms is None else (expires_at_ms - answer.now_ms) / 1000
