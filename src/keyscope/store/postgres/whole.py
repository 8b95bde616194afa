"""What only a PostgreSQL authority can have wrong: its numbers, and a server that would lose what it has confirmed."""

from __future__ import annotations

from collections.abc import Iterator

from keyscope.store.postgres.query import KEPT_CHANGES
from keyscope.store.session import SqlReader
from keyscope.store.whole import Fault

_NUMBERS = """
SELECT numbers.change, numbers.event, counted.changes, counted.first, counted.last, (SELECT max(number) FROM events)
FROM numbers, (SELECT count(*) AS changes, min(number) AS first, max(number) AS last FROM changes) AS counted
"""
_SAFE = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting <> 'on'"


def faults_of_postgres(reader: SqlReader) -> Iterator[Fault]:
    """Beside those of every database."""
    for change, event, count, first, last, last_event in reader.walk(_NUMBERS):
        kept = 0 if last is None else last - first + 1
        if (last or 0, kept) != (change, count) or count < min(change, KEPT_CHANGES):
            yield Fault("changes", f"there are {count}, numbered from {first} to {last}, and {change} were given")
        if (last_event or 0) != event:
            yield Fault("events", f"the last one is number {last_event}, and {event} were given")
    for name, setting in reader.walk(_SAFE):
        yield Fault("postgresql.conf", f"{name} is {setting}: a power failure can lose what was confirmed")
