"""``keyscope attenuate``: a narrower key from a key, here and now, without a server."""

from __future__ import annotations

import os
import sys
import time

import click

from keyscope.cli.options import Duration, ScopeText, as_json, option
from keyscope.cli.output import moment, note, print_json
from keyscope.derive import attenuate as derive
from keyscope.model.derived import last_id
from keyscope.model.scope import Scope


@click.command()
@click.argument("key", required=False)
@option("--scope", "scopes", multiple=True, type=ScopeText(), help="Leave no more than this. Repeat it.")
@option("--no-scopes", is_flag=True, help="Leave no scopes at all.")
@option("--expires-in", type=Duration(), help="End after this time, like 1h.")
@option("--label", help="Who or what it is for, on one line. It is readable in the key and goes into the record.")
@as_json
def attenuate(
    key: str | None, scopes: tuple[Scope, ...], no_scopes: bool, expires_in: int | None, label: str | None, json: bool
) -> None:
    """Make a narrower key from KEY, offline: fewer scopes, an earlier end. Only the new key goes to stdout.

    KEY - reads the key from stdin; without KEY it is KEYSCOPE_API_KEY. The new key dies with the one that it came
    from, and can be revoked alone by its id (drv_…), which goes to stderr.
    """
    if scopes and no_scopes:
        raise click.UsageError("--scope and --no-scopes contradict each other.")
    ends = time.time_ns() // 1_000_000 + expires_in if expires_in is not None else None
    try:
        made = derive(_text(key), scopes=scopes if scopes or no_scopes else None, expires_at_ms=ends, label=label)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    made_id = last_id(made)
    if json:
        print_json({"id": made_id, "key_secret": made.reveal(), "hint": made.hint, "expires_at_ms": ends})
        return
    click.echo(made.reveal())
    note(f"{made_id}, expires {moment(ends)}" if ends is not None else made_id)


def _text(key: str | None) -> str:
    text = sys.stdin.readline().strip() if key == "-" else key or os.environ.get("KEYSCOPE_API_KEY", "")
    if not text:
        raise click.UsageError("No key was given: put it on stdin and write -, or set KEYSCOPE_API_KEY.")
    return text
