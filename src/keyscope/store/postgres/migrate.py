"""Numbered steps from an empty database to the schema of this version, one transaction each, by one node at a time.

``meta`` holds the number of the last step, and it is part of the step's transaction. Nodes that start together wait for
each other at a lock. Steps that were released are never edited: add another one. A step that only adds says so, as in
``store/migrate.py``: it puts the number of the step that a program must know at least into ``meta`` as ``needs_step``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg

from keyscope.store import migrate as migrate_file
from keyscope.store.postgres.address import Address
from keyscope.store.postgres.connect import OLDEST_SERVER, SCHEMA, Link
from keyscope.store.trouble import unusable

_LOCK = 0x4B657953
"""“KeyS”: PostgreSQL's advisory locks are numbers."""

_PATIENCE_S = 900.0
"""How long a step may take, or another node's."""


def steps() -> tuple[str, ...]:
    """The scripts in order; step n is at n - 1."""
    return migrate_file.steps("postgres/migrations")


def version(link: Link) -> int:
    """The number of the last step that the database has seen; 0 for one without Keyscope's schema."""
    try:
        row = link.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row[0]) if row is not None else 0


def check_known(link: Link, address: Address, known: int) -> None:
    """Refuse a server that is too old, and the database of a newer Keyscope."""
    server = link.info.server_version
    if server < OLDEST_SERVER:
        raise unusable(f"{address.shown} is PostgreSQL {server // 10000}; Keyscope needs 15 or newer.")
    found = version(link)
    if found > known:
        row = link.execute("SELECT value FROM meta WHERE name = 'needs_step'").fetchone()
        migrate_file.refuse_newer(address.shown, found, row[0] if row is not None else None, known)


def migrate(link: Link, scripts: Sequence[str]) -> int:
    """Apply the steps that the database has not seen. Returns how many these were."""
    if version(link) >= len(scripts):
        return 0
    applied = 0
    link.patience_s, patience_s = _PATIENCE_S, link.patience_s
    for number, script in enumerate(scripts, start=1):
        applied += _apply(link, number, script)
    link.patience_s = patience_s
    return applied


def _apply(link: Link, number: int, script: str) -> bool:
    with link.transaction():
        for name in ("statement_timeout", "lock_timeout"):
            link.execute("SELECT set_config(%s, '0', true)", (name,))
        link.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        # Asked again now: another node may have done it while this one waited.
        if _is_none(link, "SELECT to_regnamespace(%s)", SCHEMA):
            link.execute(f"CREATE SCHEMA {SCHEMA}")
        if _version_inside(link) >= number:
            return False
        if number > 1:
            # What an earlier step said of itself does not hold for this one.
            link.execute("DELETE FROM meta WHERE name = 'needs_step'")
        link.execute(script, prepare=False)
        link.execute(
            "INSERT INTO meta VALUES ('schema_version', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(number),),
        )
    return True


def _version_inside(link: Link) -> int:
    # A question that fails would end the transaction.
    return 0 if _is_none(link, "SELECT to_regclass(%s)", f"{SCHEMA}.meta") else version(link)


def _is_none(link: Link, question: LiteralString, name: str) -> bool:
    row = link.execute(question, (name,)).fetchone()
    return row is None or row[0] is None
