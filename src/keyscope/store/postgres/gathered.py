"""The statements of several pieces of work in one transaction. New rows wait, and go together.

What fails while its rows still wait leaves nothing to undo. Only one whose statements were sent needs a savepoint, and
it is made just before the first of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from psycopg import Pipeline

from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.pending import Pending
from keyscope.store.postgres.session import Spoken
from keyscope.store.postgres.supposed import ANY_THERE, NotNew, Supposed
from keyscope.store.session import Answer


class Gathered(Spoken):
    """Every statement but ``ask`` sees the rows that wait: they are sent first. Raises NotNew."""

    def __init__(self, link: Link, pipeline: Pipeline) -> None:
        super().__init__(link)
        self._pipeline = pipeline
        self.pending = Pending()
        self.supposed = Supposed()
        self._before = 0
        self._is_saved = False

    def execute(self, statement: str, parameters: Any = (), /) -> Answer:
        self._send_first(writes=not statement.startswith("SELECT"))
        return super().execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Any], /) -> None:
        self._send_first(writes=True)
        super().executemany(statement, rows)

    def walk(self, statement: str) -> Iterator[Any]:
        self._send_first(writes=False)
        return super().walk(statement)

    def asked(self, statement: str, *parameters: object) -> Answer:
        """Of what no waiting row can be a part of."""
        return super().execute(statement, parameters)

    def ask(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        """The first row of that."""
        row: tuple[Any, ...] | None = self.asked(statement, *parameters).fetchone()
        return row

    def tell(self, statement: str, parameters: Any, /) -> None:
        """A change that belongs to no piece of work."""
        super().execute(statement, parameters)

    def begin(self) -> None:
        """A piece of work begins."""
        self._before = len(self.pending)
        self._is_saved = False

    def keep(self) -> None:
        """It is done."""
        if self._is_saved:
            self._link.execute("RELEASE job")

    def undo(self) -> None:
        """It failed."""
        self.pending.cut(self._before)
        if self._is_saved:
            self._link.execute("ROLLBACK TO job")
            # At an end like this psycopg lets go of what it has prepared, and does so after the next statement. So it
            # must have heard of the end by then, and that statement must be one that it does not prepare.
            self._pipeline.sync()
            self._link.execute("RELEASE job", prepare=False)

    def send(self) -> None:
        """Everything that waits."""
        self._send(len(self.pending))

    def holds(self) -> bool:
        """Whether what was supposed is so. Also what work supposed that failed: it may have, because it is not so."""
        return not self.supposed or self.ask(ANY_THERE, *self.supposed.take()) == (False,)

    def _send_first(self, *, writes: bool) -> None:
        has_own = len(self.pending) > self._before
        self._send(self._before)
        self._before = 0
        if (writes or has_own) and not self._is_saved:
            self._link.execute("SAVEPOINT job")
            self._is_saved = True
        self.send()

    def _send(self, length: int) -> None:
        if length:
            if not self.holds():
                raise NotNew
            for statement, columns in self.pending.take(length):
                super().execute(statement, columns)
