"""``keyscope attenuate``: a narrower key from a key, here and now, without a server."""

from __future__ import annotations

import os
import sys
import time

import click

from keyscope.cli.options import Duration, ScopeText, as_json, option
from keyscope.cli.output import moment, note, print_json
from keyscope.cli.restricting import read_restrictions, restrict_option
from keyscope.derive import attenuate as derive
from keyscope.derive import derived_id
from keyscope.model.scope import Scope


@click.command()
@click.argument("key", required=False)
@option("--scope", "scopes", multiple=True, type=ScopeText(), help="TYPE:read or TYPE:write; give it once per type.")
@option("--no-scopes", is_flag=True, help="Leave it no scope at all.")
@option("--expires-in", type=Duration(), help="Life from now on, like 8h or 30d.")
@restrict_option
@option("--label", help="One line about it, for people. It can be read in the key.")
@as_json
def attenuate(
    key: str | None,
    scopes: tuple[Scope, ...],
    no_scopes: bool,
    expires_in: int | None,
    restrict: tuple[str, ...],
    label: str | None,
    json: bool,
) -> None:
    """Derive a narrower, shorter-lived key from KEY, offline. KEY - reads it from stdin; without KEY it is the one in
    KEYSCOPE_API_KEY. The derived key alone is printed on stdout.

    What is not named stays as it is. The key's id (drv_…), which revokes it alone, is printed on stderr.
    """
    if scopes and no_scopes:
        raise click.UsageError("--scope and --no-scopes contradict each other.")
    ends = time.time_ns() // 1_000_000 + expires_in if expires_in is not None else None
    try:
        made = derive(
            _text(key),
            scopes=scopes if scopes or no_scopes else None,
            expires_at_ms=ends,
            label=label,
            restrictions=read_restrictions(restrict),
        )
    except ValueError as error:
        raise click.UsageError(f"Not derived: {error}.") from None
    made_id = derived_id(made)
    if json:
        print_json({"id": made_id, "key_secret": made, "expires_at_ms": ends, "label": label})
        return
    click.echo(made)
    note(made_id if ends is None else f"{made_id}, until {moment(ends)}")


def _text(key: str | None) -> str:
    text = sys.stdin.readline().strip() if key == "-" else key or os.environ.get("KEYSCOPE_API_KEY", "")
    if not text:
        raise click.UsageError("No key was given: put it on stdin and write -, or set KEYSCOPE_API_KEY.")
    return text
