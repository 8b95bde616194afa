"""Connections that are used again, and reading over them.

One that the server has closed, because it was restarted or another took its place, is left and a new one made, without
anybody noticing. One over which anything failed is never used again. When one broke, those that wait beside it are left
too: where PostgreSQL's host is gone without a word, or another one has its address, each would fail in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from keyscope.errors import StoreUnavailable
from keyscope.store.postgres import query as pg
from keyscope.store.postgres.address import Address
from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.session import PostgresReader, Spoken
from keyscope.store.postgres.trouble import closing_the_gate

T = TypeVar("T")


class Pool:
    """``make`` opens a connection. For any number of threads."""

    def __init__(self, address: Address, make: Callable[[], Link]) -> None:
        self._address = address
        self._make = make
        self._idle: list[Link] = []
        self._closed = False

    def read(self, work: Callable[[PostgresReader], T]) -> T:
        """Run ``work`` on a consistent view. Raises StoreUnavailable."""
        with closing_the_gate(self._address), self.link() as link, link.pipeline():
            link.execute(pg.BEGIN_READING)
            try:
                return work(PostgresReader(Spoken(link)))
            finally:
                if not link.closed:
                    # Nothing was written. After a ROLLBACK psycopg would prepare its statements anew.
                    link.execute("COMMIT")

    @contextmanager
    def link(self) -> Iterator[Link]:
        """A connection, given back at the end if it is as it was."""
        link = self._borrow()
        try:
            yield link
        finally:
            self._give_back(link)

    def close(self) -> None:
        self._closed = True
        self._leave_idle()

    def _leave_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _give_back(self, link: Link) -> None:
        if link.broken:
            self._leave_idle()
        if self._closed or not link.is_usable():
            link.close()
        else:
            self._idle.append(link)
            if self._closed:  # since the question
                self._leave_idle()

    def _borrow(self) -> Link:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        with suppress(IndexError):
            while not (link := self._idle.pop()).is_usable():
                link.close()
            return link
        return self._make()
