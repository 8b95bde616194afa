"""``keyscope keys blast``: what the loss of a key amounts to, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from keyscope.cli.client import connect
from keyscope.cli.keys import either
from keyscope.cli.options import as_json, option
from keyscope.cli.output import moment, note, print_json, print_table

_SHOWN = 10


@click.command()
@click.argument("key_id")
@option("--all", "whole", is_flag=True, help="Print everything, not only the worst and the latest.")
@as_json
def blast(key_id: str, whole: bool, json: bool) -> None:
    """Say what a key could do, did, minted and was handed, and the one command that ends it."""

    with connect() as client:
        found = either(client, "GET", key_id, "/blast")
    if json:
        print_json(found)
        return
    key = found["key"]
    click.echo(f"{key['id']}  {key['name']}  {key['kind']}  {key['status']}")
    shown = None if whole else _SHOWN
    _could(found["could"], shown)
    _did(found["did"], found["denied"], shown)
    _minted(found["minted"])
    _handed(found["handed"])
    _end(found["end"])


def _could(could: list[dict[str, Any]], shown: int | None) -> None:
    worst = sum(row["destroys"] is not None for row in could)
    click.echo(f"\nIt could call {len(could)} operations, {worst} of which destroy something:")
    rows = [(row["call"], _effect(row), row["why"]) for row in could[:shown]]
    _table(("CALL", "EFFECT", "WHY"), rows, len(could))


def _did(did: list[dict[str, Any]] | None, denied: dict[str, Any] | None, shown: int | None) -> None:
    if did is None or denied is None:
        click.echo("\nWhat it did is not recorded.")
        return
    calls, below = (sum(row[name] for row in did) for name in ("calls", "calls_below"))
    refused = f"{'' if denied['is_all'] else 'more than '}{denied['calls']} were refused"
    click.echo(f"\nIt made {calls} calls, keys below it {below}; {refused}:")
    rows = [
        (row["operation"] or "not in the policy", str(row["calls"]), str(row["calls_below"]), *_times(row))
        for row in did[:shown]
    ]
    _table(("OPERATION", "CALLS", "BELOW", "FIRST", "LAST"), rows, len(did))


def _minted(minted: dict[str, Any]) -> None:
    click.echo(f"\nIt minted {minted['count']} keys, {minted['living']} of them live:")
    rows = [(node["id"], node["name"], node["status"], " ".join(node["scopes"])) for node in minted["keys"]]
    _table(("ID", "NAME", "STATUS", "SCOPES"), rows, minted["count"])


def _handed(handed: list[dict[str, Any]]) -> None:
    if not handed:
        click.echo("\nNo call is recorded whose reply holds credentials.")
        return
    click.echo("\nIts calls may have been handed these, and most of it outlives the key:")
    rows = [(row["kind"], str(row["times"]), row["operation"], *_times(row)[1:], row["ends"]) for row in handed]
    _table(("KIND", "TIMES", "BY", "LAST", "HOW TO END IT"), rows, len(rows))


def _end(end: dict[str, Any]) -> None:
    if end["is_over"]:
        click.echo("\nThe key is revoked, and with it all that it minted.")
    else:
        click.echo(f"\nEnd it, and all that it minted:\n  {end['command']}")


def _effect(row: dict[str, Any]) -> str:
    if row["destroys"] is not None:
        return f"destroys {row['destroys']}"
    return "hands out credentials" if row["hands_out"] else ""


def _times(row: dict[str, Any]) -> tuple[str, str]:
    return moment(row["first_ms"]), moment(row["last_ms"])


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], count: int) -> None:
    if rows:
        print_table(columns, rows)
    if count > len(rows):
        note(f"{count - len(rows)} more: add --all, or --json.")
