"""``keyscope audit verify``, ``checkpoint`` and ``export``: on the files, for whoever runs the server."""

from __future__ import annotations

import json as json_text
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from msgspec import to_builtins

from keyscope.authority.checkpoint import Signer, seed_of
from keyscope.authority.ports import Reader, StoredEvent
from keyscope.cli.options import as_json, option
from keyscope.cli.otlp import Receiver
from keyscope.cli.output import note, print_json
from keyscope.store.open import SQLITE, files_beside, open_store, sqlite_path
from keyscope.store.trail_open import open_trail, reading_trail, trail_beside
from keyscope.store.trail_rows import exported
from keyscope.store.trail_signing import keep, kept, known_key, read_checkpoint, signer_beside
from keyscope.store.trail_verify import Finding, Walk
from keyscope.store.trouble import unusable
from keyscope.system import SystemClock

WRONG = 1
_PAGE = 1_000
_BATCH = 500

database_option = option(
    "--database", default="sqlite:///keyscope.db", show_default=True, help="The database, as of serve."
)
replica_option = option(
    "--replica",
    default=Path("keyscope-replica.db"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="With PostgreSQL: that of the server whose trail it is.",
)


@click.command()
@database_option
@replica_option
@option("--checkpoint", "checkpoints", multiple=True, type=click.Path(path_type=Path), help="A file with a checkpoint.")
@option("--public-key", help="What checkpoints must be signed with; the key beside the trail unless given.")
@option("--trail-only", is_flag=True, help="Do not compare with the changes in the database.")
@as_json
def verify(
    database: str, replica: Path, checkpoints: tuple[Path, ...], public_key: str | None, trail_only: bool, json: bool
) -> None:
    """Look whether the audit trail is whole. Exit code 1 if it is not, and the first bad entry is named."""
    trail = _trail(database, replica)
    known = [*map(read_checkpoint, checkpoints), *filter(None, [kept(trail)])]
    key = public_key or known_key(trail)
    with reading_trail(trail) as connection:

        def walk(events: Iterator[StoredEvent] | None) -> tuple[Walk, list[Finding]]:
            made = Walk(connection, key, events)
            return made, list(made.findings(known))

        walked, findings = walk(None) if trail_only else _with_database(database, replica, walk)
    _tell(walked, findings, key, json)
    sys.exit(WRONG if findings else 0)


@click.command()
@database_option
@replica_option
def checkpoint(database: str, replica: Path) -> None:
    """Sign the audit trail as it is now, and print that: one line, to be kept elsewhere."""
    path = _existing(_trail(database, replica))
    given = os.environ.get("KEYSCOPE_AUDIT_KEY")
    try:
        signer = Signer(seed_of(given)) if given else signer_beside(path)
    except ValueError as error:
        raise click.UsageError(f"KEYSCOPE_AUDIT_KEY: {error}") from None
    trail = open_trail(path)
    try:
        made = trail.checkpoint(signer, SystemClock().now_ms())
    finally:
        trail.close()
    if made is None:
        raise click.ClickException("The trail was not signed.")
    keep(path, made)
    click.echo(json_text.dumps(to_builtins(made), separators=(",", ":")))
    note(f"The public key, for verify --public-key: {signer.key}")


@click.command("export")
@database_option
@replica_option
@option("--after", type=click.IntRange(0), default=0, show_default=True, help="Only entries after this number.")
@option("--otlp", help="Send OpenTelemetry logs to this URL (OTLP over HTTP) instead of printing JSON Lines.")
def export_trail(database: str, replica: Path, after: int, otlp: str | None) -> None:
    """Print the audit trail, oldest first: one JSON object a line, with its hash. Or send it as OpenTelemetry logs."""
    with reading_trail(_trail(database, replica)) as connection:
        rows = exported(connection, after)
        if otlp is None:
            for _, line in rows:
                click.echo(line)
        else:
            _send(Receiver(otlp), rows, after)


def _send(receiver: Receiver, rows: Iterator[tuple[int, str]], after: int) -> None:
    """Batch by batch. What was sent before trouble is not sent again with the ``--after`` that is named."""
    batch: list[str] = []
    last = sent = after
    with receiver:
        for last, line in rows:
            batch.append(line)
            if len(batch) == _BATCH:
                receiver.send(batch, sent)
                batch, sent = [], last
        if batch:
            receiver.send(batch, sent)
    note(f"Sent up to entry {last}. Go on later with --after {last}.")


def _trail(database: str, replica: Path) -> Path:
    beside = files_beside(database, replica)
    if beside is None:
        raise unusable("There is no audit trail on a disk at memory://. Name a sqlite:///FILE or a PostgreSQL URL.")
    return trail_beside(beside)


def _existing(path: Path) -> Path:
    with reading_trail(path):
        return path


def _with_database(
    database: str, replica: Path, walk: Callable[[Iterator[StoredEvent]], tuple[Walk, list[Finding]]]
) -> tuple[Walk, list[Finding]]:
    if database.startswith(SQLITE) and not sqlite_path(database).exists():
        raise unusable(f"There is no database at {database}. Name it, or verify with --trail-only.")
    store = open_store(database, replica)
    try:
        return store.read(lambda reader: walk(_events(reader)))
    finally:
        store.close()


def _events(reader: Reader) -> Iterator[StoredEvent]:
    after = 0
    while page := reader.changes(after=after, limit=_PAGE):
        yield from page
        after = page[-1].number


def _tell(walked: Walk, findings: list[Finding], key: str | None, json: bool) -> None:
    if json:
        about = {"entries": walked.last, "checkpoints": walked.checkpoints, "public_key": key}
        print_json({"whole": not findings, **about, "findings": to_builtins(findings)})
        return
    for finding in findings:
        click.echo(f"{finding.code}: {finding.message}")
    if not findings:
        click.echo(f"The trail is whole: {walked.last} entries, {walked.checkpoints} signed checkpoints.")
    note(
        f"Checkpoints were held against the public key {key}." if key else "No key is known: signatures were left out."
    )
