"""What came of a request: the answers, how the connection ended, and what reached the upstream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.recorder import Seen


@dataclass(frozen=True)
class Reply:
    """One whole answer. Header names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Outcome:
    """``closed``: the server ended the connection or stream. ``cut``: requests that came to the upstream in part.
    ``serves``: an honest call behind it arrived.
    """

    replies: tuple[Reply, ...]
    closed: bool
    reached: tuple[Seen, ...] = ()
    cut: tuple[str, ...] = ()
    serves: bool = True

    @property
    def reply(self) -> Reply | None:
        """The one answer, if there was exactly one."""
        return self.replies[0] if len(self.replies) == 1 else None

    @property
    def status(self) -> int | None:
        return self.reply.status if self.reply is not None else None

    @property
    def touched(self) -> bool:
        """Whether anything at all came to the upstream."""
        return bool(self.reached or self.cut)

    @property
    def cut_off(self) -> bool:
        """Whether the server closed without an answer."""
        return not self.replies and self.closed

    def __str__(self) -> str:
        answers = [f"{reply.status} {reply.body[:300]!r}" for reply in self.replies]
        upstream = [f"{seen.method} {seen.target[:200]}" for seen in self.reached]
        return f"answers {answers}, {'closed' if self.closed else 'left open'}, upstream {upstream}, in part {self.cut}"
