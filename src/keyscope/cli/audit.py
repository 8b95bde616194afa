"""``keyscope audit`` and ``keyscope keys usage``: ask a server what happened."""

from __future__ import annotations

import time
from typing import Any

import click

from keyscope.cli.client import connect
from keyscope.cli.options import Duration, as_json, option
from keyscope.cli.output import moment, note, print_json, print_pairs, print_table

_VERDICTS = ["changed", "denied", "observed"]
_since = option("--since", type=Duration(), help="Only what is no older, like 24h.")
_until = option("--until", type=Duration(), help="Only what is older, like 1h.")


@click.group()
def audit() -> None:
    """What was done and what was refused: search it, verify it, take it away."""


@audit.command("list")
@option("--key-id", help="Only about this key, or with it in the chain.")
@option("--operation", help="Only about this operation of the policy.")
@option("--verdict", type=click.Choice(_VERDICTS), help="Only of this sort.")
@option("--kind", help="Only of this kind, like key.minted.")
@option("--code", help="Only refusals with this code, like insufficient_scope.")
@_since
@_until
@option("--limit", type=click.IntRange(1, 5000), default=50, show_default=True, help="How many.")
@option("--starting-after", type=click.IntRange(1), help="The last number of the page before.")
@as_json
def list_entries(json: bool, since: int | None, until: int | None, **filters: Any) -> None:
    """Search the audit trail, newest first."""
    with connect() as client:
        page = client.get("/keyscope/audit", {**filters, **_times(since, until)})
    if json:
        print_json(page)
        return
    print_table(("NUMBER", "WHEN", "KIND", "KEY", "WHAT", "WHY"), [_row(entry) for entry in page["entries"]])
    if page["has_more"]:
        note(f"There is more: --starting-after {page['entries'][-1]['number']}")


@audit.command("show")
@click.argument("number", type=click.IntRange(1))
@as_json
def show_entry(number: int, json: bool) -> None:
    """Show one entry of the audit trail."""
    with connect() as client:
        found = client.get("/keyscope/audit", {"starting_after": number + 1, "limit": 1})["entries"]
    if not found or found[0]["number"] != number:
        raise click.ClickException(f"There is no entry {number} that this key may see.")
    if json:
        print_json(found[0])
    else:
        print_pairs([(name, _text(name, value)) for name, value in found[0].items() if value not in (None, [], {})])


@click.command("usage")
@click.argument("key_id")
@option("--step", type=click.Choice(["minute", "hour", "day", "all"]), default="all", help="Added up by this time.")
@_since
@_until
@as_json
def usage(key_id: str, step: str, since: int | None, until: int | None, json: bool) -> None:
    """Count what a key was let through to."""
    with connect() as client:
        page = client.get("/keyscope/usage", {"key_id": key_id, "step": step, **_times(since, until)})
    if json:
        print_json(page)
        return
    rows = [
        (moment(count["start_ms"]), count["operation"] or "-", " ".join(count["needs"]) or "-", str(count["calls"]))
        for count in page["counts"]
    ]
    print_table(("FROM", "OPERATION", "NEEDS", "CALLS"), rows)


def _times(since: int | None, until: int | None) -> dict[str, int | None]:
    """Ages as points in time."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "since_ms": now_ms - since if since is not None else None,
        "until_ms": now_ms - until if until is not None else None,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    times = f" x{entry['times']}" if entry["times"] > 1 else ""
    call = " ".join(filter(None, (entry["method"], entry["path"])))
    why = " ".join(filter(None, (entry["code"], *entry["reasons"], *entry["missing_scopes"])))
    what = entry["operation"] or call or "-"
    return str(entry["number"]), moment(entry["at_ms"]), entry["kind"] + times, entry["key_id"] or "-", what, why or "-"


def _text(name: str, value: Any) -> str:
    if name == "at_ms":
        return moment(value)
    return " ".join(value) if isinstance(value, list) else str(value)
