"""``keyscope keys observe|suggest|narrow|revert``: find out what a key needs, leave it no more, take that back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from keyscope.cli.client import Client, connect
from keyscope.cli.keys import RESTRICTED, print_key, scope_option
from keyscope.cli.options import Duration, as_json, option
from keyscope.cli.output import moment, note, print_json, print_table, scopes_text
from keyscope.model.scope import WIRE_LEVEL_PREFIX, WIRE_TYPE_PREFIX, Scope

_SHOWN = 4
since_option = option("--since", type=Duration(), default="30d", show_default=True, help="The calls of this time.")


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
@since_option
@as_json
def suggest(key_id: str, since: int, json: bool) -> None:
    """What a restricted key used of what it has, and the narrowest scopes that would have served all recorded calls."""
    with connect() as client:
        found = _suggestion(client, key_id, since)
    if json:
        print_json(found)
        return
    print_table(("TYPE", "GRANTED", "USED", "CALLS", "LAST DAY", "BY"), [_row(used) for used in found["used"]])
    for line in _told(found):
        note(line)
    click.echo(f"\nkeyscope keys narrow {key_id} --to-suggestion" if _differs(found) else "\nIt has what it uses.")


@click.command()
@click.argument("key_id")
@scope_option
@option("--to-suggestion", is_flag=True, help="What keys suggest proposes.")
@since_option
@as_json
def narrow(key_id: str, scopes: tuple[Scope, ...], to_suggestion: bool, since: int, json: bool) -> None:
    """Leave a restricted key only some of its scopes, and remember the former ones for keys revert."""
    if bool(scopes) is to_suggestion:
        raise click.UsageError("Say what it keeps: --scope devboxes:read, or --to-suggestion.")
    with connect() as client:
        body: dict[str, Any] = {"scopes": [scope.entry for scope in scopes]}
        if to_suggestion:
            body = {"scopes": _proved(_suggestion(client, key_id, since)), "may_add": True}
        print_key(client.post(f"{RESTRICTED}/{key_id}/narrow", body), json)


def _suggestion(client: Client, key_id: str, since: int) -> dict[str, Any]:
    since_ms = max(0, time.time_ns() // 1_000_000 - since)
    found: dict[str, Any] = client.get(f"{RESTRICTED}/{key_id}/suggestion", {"since_ms": since_ms})
    return found


def _proved(found: dict[str, Any]) -> list[dict[str, str]]:
    """The scopes of a suggestion that rests on something."""
    if not found["replay"]["calls"]:
        raise click.ClickException("No call of this key is recorded in the period, so nothing was changed.")
    if found["replay"]["refused"]:
        raise click.ClickException("The suggestion would refuse calls that were made, so nothing was changed.")
    for line in _told(found):
        note(line)
    scopes: list[dict[str, str]] = found["scopes"]
    return scopes


def _row(used: dict[str, Any]) -> tuple[str, ...]:
    levels = [used[name].removeprefix(WIRE_LEVEL_PREFIX).lower() for name in ("granted", "used")]
    last = moment(used["last_day_ms"])[:10]
    resource = used["resource_type"].removeprefix(WIRE_TYPE_PREFIX).lower()
    return resource, *levels, str(used["calls"]), last, ", ".join(used["operations"][:_SHOWN])


def _told(found: dict[str, Any]) -> Iterator[str]:
    replay = found["replay"]
    judged = f"{replay['calls']} calls of {replay['kinds']} kinds judged again, {replay['refused']} refused"
    yield f"Enough: {scopes_text(found['scopes']) or 'no scope'} ({judged})."
    if found["adds"]:
        yield f"It lacks {scopes_text(found['adds'])}, which it used while it was observed."
    yield from (f"{doubt['code']}: {doubt['message']}" for doubt in found["doubts"])


def _differs(found: dict[str, Any]) -> bool:
    return any(used["granted"] != used["used"] for used in found["used"])


@click.command()
@click.argument("key_id")
@as_json
def revert(key_id: str, json: bool) -> None:
    """Give a restricted key the scopes back that it was narrowed from. Takes a standard key."""
    with connect() as client:
        print_key(client.post(f"{RESTRICTED}/{key_id}/revert", {}), json)
