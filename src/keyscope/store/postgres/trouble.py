"""Trouble with PostgreSQL in two kinds: at opening a ConfigurationError with a remedy, at run time StoreUnavailable.

The server's own words are for the log and for whoever starts Keyscope. They name hosts and users, never a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.address import Address
from keyscope.store.trouble import unusable

_SENTENCES: tuple[tuple[type[psycopg.Error], str], ...] = (
    (pg.InsufficientPrivilege, "This user may not do what Keyscope needs. Make it the owner of the database."),
    (pg.ReadOnlySqlTransaction, "It is read-only, as a standby is. Name the primary, or all hosts."),
    (pg.LockNotAvailable, "Another program holds a lock on it. End that program, then start again."),
    (pg.QueryCanceled, "It did not answer in time. See to its load, then start again."),
)
_UNREACHABLE = "There is no connection. See that it runs, that this user may use it (PGPASSWORD), and that it is there."
_DAMAGED = "It may be damaged: restore it from a backup."


@contextmanager
def closing_the_gate(address: Address) -> Iterator[None]:
    """While running, whatever PostgreSQL has to complain of means that the store cannot be used now."""
    try:
        yield
    except psycopg.Error as error:
        raise unavailable(error, address) from None


def unavailable(error: psycopg.Error, address: Address) -> StoreUnavailable:
    """The detail is for the log."""
    return StoreUnavailable(f"{address.shown}: {_words(error, address)} ({error.sqlstate or type(error).__name__})")


@contextmanager
def opening(address: Address) -> Iterator[None]:
    """While opening, every complaint becomes a sentence about this database."""
    try:
        yield
    except psycopg.Error as error:
        said = _words(error, address)
        sentence = f"The database {address.shown} cannot be used. {_remedy(error)} PostgreSQL says: {said}"
        raise unusable(sentence) from None


def _remedy(error: psycopg.Error) -> str:
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    return _UNREACHABLE if isinstance(error, psycopg.OperationalError) else _DAMAGED


def _words(error: psycopg.Error, address: Address) -> str:
    return address.hide(" ".join(str(error).split()))
