"""``keyscope changes``: follow what is done to the account's keys, line by line."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from keyscope.cli.client import Client, Lost, ServerRefused, connect
from keyscope.cli.options import as_json, option
from keyscope.cli.output import moment, note

_PAUSE_S = 1.0
_CANNOT_NOW = 503


@click.command("changes")
@option("--after", type=click.IntRange(0), help="Start after this number; from now on unless given.")
@as_json
def changes(after: int | None, json: bool) -> None:
    """Follow what is done to the account's keys, until Ctrl-C. A lost connection is taken up again where it was."""
    with connect() as client:
        try:
            _follow(client, after, as_json=json)
        except KeyboardInterrupt:
            return


def _follow(client: Client, after: int | None, *, as_json: bool) -> None:
    """Follow for ever. Raises ServerRefused, and Lost if nothing answered to begin with."""
    number, begun = after, False
    while True:
        try:
            for kind, event in client.events("/keyscope/changes", {"after": number}):
                number, begun = event["number"], True
                _print(kind, event, as_json)
        except (Lost, ServerRefused) as error:
            if not begun or (isinstance(error, ServerRefused) and error.status != _CANNOT_NOW):
                raise
            note(f"keyscope: {error.message} Trying again.")
        time.sleep(_PAUSE_S)


def _print(kind: str, event: dict[str, Any], as_json: bool) -> None:
    if kind == "reset":
        note(f"keyscope: the server knows no number {event['after']}; it goes on after {event['number']}.")
    elif kind == "change" and as_json:
        click.echo(json.dumps(event, separators=(",", ":")))
    elif kind == "change":
        about = " ".join(filter(None, (event["key_id"], event["derived_id"])))
        click.echo(f"{moment(event['at_ms'])}  #{event['number']}  {event['kind']}  {about}".rstrip())
