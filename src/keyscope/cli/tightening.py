"""``keyscope keys observe|narrow|revert``: find out what a key needs, leave it no more, take that back."""

from __future__ import annotations

import time

import click

from keyscope.cli.client import connect
from keyscope.cli.keys import RESTRICTED, print_key, scope_option
from keyscope.cli.options import Duration, as_json, option
from keyscope.model.scope import Scope


@click.command()
@click.argument("key_id")
@option("--for", "for_ms", type=Duration(), help="From now on, like 2d; at most 14d.")
@option("--off", is_flag=True, help="End it.")
@as_json
def observe(key_id: str, for_ms: int | None, off: bool, json: bool) -> None:
    """Record what a restricted key lacks of its own scopes, and do not refuse it, for a while. Takes a standard key."""
    if (for_ms is None) is not off:
        raise click.UsageError("Say for how long, --for 2d, or end it with --off.")
    until_ms = time.time_ns() // 1_000_000 + for_ms if for_ms is not None else None
    with connect() as client:
        print_key(client.post(f"{RESTRICTED}/{key_id}/observe", {"until_ms": until_ms}), json)


@click.command()
@click.argument("key_id")
@scope_option
@as_json
def narrow(key_id: str, scopes: tuple[Scope, ...], json: bool) -> None:
    """Leave a restricted key only some of its scopes, and remember the former ones for keys revert."""
    if not scopes:
        raise click.UsageError("Say what it keeps: --scope devboxes:read.")
    with connect() as client:
        body = {"scopes": [scope.entry for scope in scopes]}
        print_key(client.post(f"{RESTRICTED}/{key_id}/narrow", body), json)


@click.command()
@click.argument("key_id")
@as_json
def revert(key_id: str, json: bool) -> None:
    """Give a restricted key the scopes back that it was narrowed from. Takes a standard key."""
    with connect() as client:
        print_key(client.post(f"{RESTRICTED}/{key_id}/revert", {}), json)
