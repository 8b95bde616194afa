"""Group commit: writes that wait for each other share one transaction, and so one wait for the disk.

Whoever leads runs all that is waiting, in the order of arrival, each inside a savepoint of its own: one that fails
undoes itself and nothing else. Nobody hears of a result before the commit is durable.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, TypeVar

from keyscope.authority.ports import Writer
from keyscope.errors import StoreUnavailable
from keyscope.store.session import SqlWriter
from keyscope.store.transaction import transaction
from keyscope.store.trouble import unavailable

T = TypeVar("T")

MOST_TOGETHER = 64


class Job:
    """One write: what to do, and once ``done`` what came of it. It is ``woken`` then, or when it is to lead.

    ``woken`` is a lock that others release: a semaphore of Python's takes ten times as long to make and to wait for.
    """

    __slots__ = ("_error", "_result", "done", "woken", "work")

    def __init__(self, work: Callable[[Writer], Any]) -> None:
        self.work = work
        self.done = False
        self.woken = Lock()
        self.woken.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self, writer: Writer) -> None:
        """Do it, perhaps anew, and keep the result. Raises what the work raises."""
        self._error = None
        self._result = self.work(writer)

    def fail(self, error: BaseException) -> None:
        """Keep what it failed with."""
        self._error = error

    def outcome(self) -> Any:
        """The result, or the exception raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Batches:
    """What waits to be written, and who writes. ``commit`` runs jobs in one transaction; it raises if all failed.

    One of the callers leads: it writes what waits, wakes everybody whose work is done, and lets the next one lead.
    ``lock`` is held while something is written.
    """

    def __init__(self, commit: Callable[[list[Job]], None], patience_s: float) -> None:
        self.lock = Lock()
        self.waiting: deque[Job] = deque()
        self._commit = commit
        self._patience_s = patience_s
        self._door = Lock()
        self._is_led = False

    def write(self, work: Callable[[Writer], T]) -> T:
        """Returns the result of ``work`` once it is committed."""
        job = Job(work)
        with self._door:
            self.waiting.append(job)
            leads, self._is_led = not self._is_led, True
        if not leads and not job.woken.acquire(timeout=self._patience_s):
            self._withdraw(job)
        if not job.done:
            self._lead()
        result: T = job.outcome()
        return result

    def _withdraw(self, job: Job) -> None:
        """Raises StoreUnavailable, unless the turn of the job came at this very moment."""
        with self._door:
            if job.woken.acquire(blocking=False):
                return
            with suppress(ValueError):  # of a job that was taken up meanwhile, and whose end is not known
                self.waiting.remove(job)
        raise StoreUnavailable("another thread of this process has been writing for too long")

    def _lead(self) -> None:
        try:
            with self.lock:
                self._write_waiting()
        finally:
            with self._door:
                self._is_led = bool(self.waiting)
                if self.waiting:
                    self.waiting[0].woken.release()

    def _write_waiting(self) -> None:
        jobs = take(self.waiting)
        try:
            self._commit(jobs)
        except BaseException as error:
            for job in jobs:
                job.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for job in jobs:
                job.done = True
                job.woken.release()


def take(waiting: deque[Job]) -> list[Job]:
    """The jobs that go together, in the order of arrival."""
    taken: list[Job] = []
    while waiting and len(taken) < MOST_TOGETHER:
        taken.append(waiting.popleft())
    return taken


def run_together(connection: sqlite3.Connection, jobs: list[Job]) -> int:
    """Run the jobs in one transaction and commit it. Returns the number of the last event added, 0 for none.

    What fails is kept in its job. Raises what the transaction as a whole fails with; then nothing was committed.
    """
    with transaction(connection):
        writer = SqlWriter(connection)
        for job in jobs:
            _run_apart(connection, writer, job)
    return writer.last_event


def _run_apart(connection: sqlite3.Connection, writer: SqlWriter, job: Job) -> None:
    connection.execute("SAVEPOINT job")
    before = writer.last_event
    try:
        job.run(writer)
    except Exception as error:
        if not connection.in_transaction:
            # A full disk, for one: SQLite has undone everything, also what the others did.
            raise unavailable(error) from error
        connection.execute("ROLLBACK TO job")
        writer.last_event = before
        job.fail(error)
    connection.execute("RELEASE job")
