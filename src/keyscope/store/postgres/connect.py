"""Connections to the record. Each stays with the database that it was made for, and waits for no answer without end."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.abc import RV, PQGen
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.address import Address

OLDEST_SERVER = 150000
"""PostgreSQL 15."""

SCHEMA = "keyscope"
"""All tables stand in a schema of this name, so the database may hold those of other programs too."""

LOCK_TIMEOUT_S = 5
"""How long a write waits for another node to finish its own."""

STATEMENT_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 2.0
"""A server that is there and says nothing (a machine that hangs) is given up a little after it should have said so."""

_READ_PAUSE_S, _WRITE_PAUSE_S = 60, 5
"""Whoever is silent for longer inside a transaction is cut off. A node that was stopped while it wrote would otherwise
keep all others from writing."""

NOTICES_US = """
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
    set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false)
"""
"""The server notices too, as soon as we do (address.py), when our host is gone without a word. By itself it would keep
such a connection for hours, with what it holds."""

_SETTINGS = f"""
{NOTICES_US.rstrip()},
    set_config('search_path', %s, false),
    set_config('statement_timeout', %s, false),
    set_config('lock_timeout', %s, false),
    set_config('idle_in_transaction_session_timeout', %s, false),
    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', false) END
"""
LOOK_UP = "SET enable_seqscan = off"
"""For connections that look up by indexes. A plan is kept as it was made when a table was empty, until the server has
counted the rows: it would read the whole table each time."""

_DATABASE_ID = "SELECT value FROM meta WHERE name = 'database_id'"
_WARNING = "01000"


class Link(Connection[tuple[Any, ...]]):
    """One connection, for one thread at a time."""

    patience_s = _ANSWER_TIMEOUT_S
    warned = ""
    """What the server warned of last."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg does, and no longer than ``patience_s``."""
        try:
            return super().wait(gen, interval, timeout or self.patience_s)
        except psycopg.errors._WaitTimeout:
            # What it still says one day would be taken for the answer to another question.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.patience_s:g} s") from None

    def is_usable(self) -> bool:
        """Whether nothing came over it since it was last used. A server that ended, or was restarted, has said so."""
        if self.closed or self.info.transaction_status is not TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """A block that commits. Raises StoreUnavailable if its wait for a standby was cut short: what was committed is
        here, and would be lost with this server.
        """
        self.warned = ""
        yield
        if self.warned:
            raise StoreUnavailable(f"a commit may not last: {self.warned}")

    def note(self, said: Diagnostic) -> None:
        if said.sqlstate == _WARNING:
            self.warned = said.message_primary or "a warning"


def settings(pause_s: int = _READ_PAUSE_S) -> tuple[str, tuple[str, ...]]:
    """The first statement on a connection, with its parameters."""
    times = (STATEMENT_TIMEOUT_S, LOCK_TIMEOUT_S, pause_s)
    return _SETTINGS, (SCHEMA, *(f"{seconds}s" for seconds in times))


def connect(address: Address, *, pause_s: int = _READ_PAUSE_S) -> Link:
    """A connection without a check of what is there. Raises psycopg.Error."""
    link = Link.connect(**address.parameters, autocommit=True, prepare_threshold=0)  # type: ignore[arg-type]
    try:
        link.add_notice_handler(link.note)
        link.execute(*settings(pause_s))
    except BaseException:
        link.close()
        raise
    return link


def database_id(link: Link) -> str | None:
    """Which database it is; None for one that has no keys of Keyscope's."""
    try:
        row = link.execute(_DATABASE_ID).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return str(row[0]) if row is not None else None


def reading(address: Address, known_id: str) -> Link:
    """For reading the database with this id. Raises StoreUnavailable if another one is at the address now."""
    return _same(connect(address), address, known_id)


def writing(address: Address, known_id: str) -> Link:
    """The same for writing."""
    link = _same(connect(address, pause_s=_WRITE_PAUSE_S), address, known_id)
    link.execute(LOOK_UP)
    return link


def _same(link: Link, address: Address, known_id: str) -> Link:
    found = database_id(link)
    if found != known_id:
        link.close()
        what = "has another id than" if found is not None else "was emptied since"
        raise StoreUnavailable(f"the database {address.shown} {what} when it was opened")
    return link
