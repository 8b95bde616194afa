"""Connections that read one SQLite file, and are used again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from keyscope.errors import StoreUnavailable
from keyscope.store.connect import Link
from keyscope.store.transaction import one_view

T = TypeVar("T")


class Readers:
    """``make`` opens a connection. For any number of threads."""

    def __init__(self, make: Callable[[], Link]) -> None:
        self._make = make
        self._idle: list[Link] = []
        self._closed = False

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one view of the file."""
        with self.connection() as connection, one_view(connection):
            return work(connection)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """One that is given back at the end."""
        link = self._borrow()
        try:
            yield link.connection
        finally:
            self._idle.append(link)
            if self._closed:
                self._idle.pop().close()

    def new(self) -> Link:
        """One to keep. Raises StoreUnavailable after ``close``."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return self._make()

    def close(self) -> None:
        """Close what is not in use, and the rest when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _borrow(self) -> Link:
        try:
            return self._idle.pop()
        except IndexError:
            return self.new()
