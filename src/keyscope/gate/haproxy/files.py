"""The files that HAProxy reads at its start: the maps of keys and calls, and the answers that it gives by itself.

``lease.map`` holds two numbers: ``until`` when HAProxy may judge alone (Unix milliseconds; 0 in the file, so that a new
process judges nothing before it was brought up to date), and ``number``, the change up to which the maps are true, or
``NO_MAPS``: then HAProxy serves, asks about everything, and gets its maps when they are written. The second one's name
also has the sequence that the number belongs to, if there is more than one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

from keyscope.authority.copying import KeyReader, Point
from keyscope.errors import BadRequest, Fault, InsufficientScope, InvalidToken, MissingCredential, Unavailable
from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.entries import is_judged_alone, line, name_of
from keyscope.gate.haproxy.routes import rows
from keyscope.model.operation import Table
from keyscope.model.scope import Level, Scope
from keyscope.wire.problem import Refusal, answer

KEYS, ASK, CALLS, REFUSALS, LEASE = "keys.map", "ask.map", "calls.map", "refusals.map", "lease.map"
MISSING, INVALID, LACKING, CLOSED = "missing.json", "invalid.json", "lacking.json", "closed.json"
AUTHORITY = "authority.json"
UNTIL, NUMBER = "until", "number"
NO_MAPS = -1
MOST_AT_ONCE = 50_000
"""Keys; with more, HAProxy starts without maps, and reads them when they are written."""

LACKING_SCOPE = Scope("needed_scope", Level.READ)
"""Stands for the scope that a refused call lacks, where HAProxy fills it in."""
SCOPE_FORMAT = "%[var(txn.scope)]"

_AUTHORITY = Fault(":authority", "send a host, and a port if need be, and nothing else")
_OPERATION, _CALL = "OPERATION", "CALL"
_FORMATS = {
    "%": "%%",
    str(LACKING_SCOPE): SCOPE_FORMAT,
    _OPERATION: "%[var(txn.operation)]",
    _CALL: "%[var(txn.call)]",
}


def write_fixed(directory: Path, table: Table) -> None:
    """Write every file that no key changes."""
    calls = list(rows(table, bits_of(table)))
    _write(directory / CALLS, (f"{row.call} {row.needs}\n" for row in calls))
    refused = (row for row in calls if len(row.scopes) == 1 and not row.hides)
    single = {row.needs: f"{row.operation};{row.scopes[0]}" for row in refused}
    _write(directory / REFUSALS, (f"{needs} {refusal}\n" for needs, refusal in single.items()))
    _write(directory / MISSING, [answer(MissingCredential()).body.decode()])
    _write(directory / INVALID, [answer(InvalidToken()).body.decode()])
    _write(directory / CLOSED, [answer(Unavailable()).body.decode()])
    _write(directory / AUTHORITY, [answer(BadRequest("authority", [_AUTHORITY])).body.decode()])
    _write(directory / LACKING, [_lacking()])


class TooMany(Exception):
    """More keys than were to be written."""


def write_some_keys(directory: Path, reader: KeyReader, bits: Bits, now_ms: int) -> None:
    """Write the maps of keys if they are few; otherwise maps without keys, to start with."""
    try:
        write_keys(directory, reader, bits, now_ms, MOST_AT_ONCE)
    except TooMany:
        for name in (KEYS, ASK):
            _write(directory / name, [])
        _write_lease(directory, Point(reader.point().sequence, NO_MAPS))


def write_keys(directory: Path, reader: KeyReader, bits: Bits, now_ms: int, most: int | None = None) -> Point:
    """Write the maps of keys and the lease. Returns the point up to which they are true.

    Raises TooMany if there are more than ``most``.
    """
    point = reader.point()
    with _new(directory / KEYS) as keys, _new(directory / ASK) as ask:
        for count, lineage in enumerate(reader.lineages()):
            if count == most:
                raise TooMany
            name = name_of(lineage.key.digest)
            if is_judged_alone(lineage, now_ms):
                keys.write(f"{name} {line(name, lineage, bits)}\n")
            else:
                ask.write(f"{name} 1\n")
        ask.writelines(f"{name_of(digest)} 1\n" for digest in reader.former_digests())
    _write_lease(directory, point)
    return point


def number_in(sequence: str) -> str:
    """The name of a number of this sequence, in lease.map."""
    return f"{NUMBER}:{sequence}" if sequence else NUMBER


def sequence_of(name: str) -> str | None:
    """The sequence that a number of lease.map belongs to, by its name; None if the name is no number's."""
    number, _, sequence = name.partition(":")
    return sequence if number == NUMBER else None


def _write_lease(directory: Path, point: Point) -> None:
    _write(directory / LEASE, [f"{UNTIL} 0\n", f"{number_in(point.sequence)} {point.number}\n"])


def bits_of(table: Table) -> Bits:
    """The bits of all resource types that a call, or a credential in its reply, can need."""
    scopes = (scope for operation in table for scope in operation.needs)
    opened = (credential.needs for operation in table for credential in operation.credentials)
    return Bits(scope.resource for scope in chain(scopes, opened))


def _lacking() -> str:
    """The refusal of a key that lacks the one scope that a call needs, for HAProxy to fill in."""
    message = f"The key lacks {LACKING_SCOPE} for {_OPERATION} ({_CALL})."
    step = "Ask what would allow it, with this key: GET /keyscope/can, or the command keyscope can."
    refusal = Refusal(message=f"{message} {step}", operation=_OPERATION, missing=(LACKING_SCOPE,), next=(step,))
    text = answer(InsufficientScope(), refusal).body.decode()
    for word, form in _FORMATS.items():
        text = text.replace(word, form)
    return text


def _write(path: Path, parts: Iterator[str] | list[str]) -> None:
    with _new(path) as file:
        file.writelines(parts)


@contextmanager
def _new(path: Path) -> Iterator[IO[str]]:
    """A file that takes its place only when it is whole, readable by nobody else."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        yield file
    part.replace(path)
