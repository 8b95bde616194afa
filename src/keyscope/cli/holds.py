"""``keyscope holds list|show|approve|refuse``: the calls of keys that wait for somebody."""

from __future__ import annotations

from typing import Any

import click

from keyscope.cli.client import connect
from keyscope.cli.keys import because, reason_option
from keyscope.cli.options import as_json, option
from keyscope.cli.output import moment, note, print_json, print_pairs, print_table
from keyscope.model.held import HeldState

HOLDS = "/keyscope/holds"


@click.group()
def holds() -> None:
    """Read, approve and refuse the calls that are held."""


@holds.command("list")
@option(
    "--status",
    type=click.Choice([state.value for state in HeldState]),
    default="held",
    show_default=True,
    help="Only those in this state.",
)
@option("--all", "every", is_flag=True, help="In every state.")
@option("--key", "key_id", help="Only those of this key id.")
@option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@as_json
def list_holds(status: str, every: bool, key_id: str | None, limit: int, json: bool) -> None:
    """List held calls, newest first."""
    with connect() as client:
        page = client.get(HOLDS, {"status": None if every else status, "key_id": key_id, "limit": limit})
    if json:
        print_json(page)
        return
    print_table(("ID", "STATUS", "CALL", "KEY", "UNTIL"), [_row(held) for held in page["holds"]])
    if page["has_more"]:
        note("There are more: ask for them with --limit.")


@holds.command()
@click.argument("hold_id")
@as_json
def show(hold_id: str, json: bool) -> None:
    """Show one held call with its request, and the answer once there is one."""
    with connect() as client:
        held = client.get(f"{HOLDS}/{hold_id}")
    if json:
        print_json(held)
    else:
        print_pairs(_pairs(held))


@holds.command()
@click.argument("hold_id")
@option("--digest", help="Only if this is the digest of the call, as shown.")
@reason_option
@as_json
def approve(hold_id: str, digest: str | None, reason: str | None, json: bool) -> None:
    """Have a held call sent. Takes a standard key."""
    asked = {"digest": digest} if digest is not None else {}
    _decide(hold_id, "approve", {**because(reason), **asked}, json)


@holds.command()
@click.argument("hold_id")
@reason_option
@as_json
def refuse(hold_id: str, reason: str | None, json: bool) -> None:
    """Have a held call never sent. The key that made it may do this, too."""
    _decide(hold_id, "refuse", because(reason), json)


def _decide(hold_id: str, verb: str, body: dict[str, Any], json: bool) -> None:
    with connect() as client:
        held = client.post(f"{HOLDS}/{hold_id}/{verb}", body)
    if json:
        print_json(held)
    else:
        click.echo(held["message"])


def _row(held: dict[str, Any]) -> tuple[str, ...]:
    call = f"{held['method']} {held['path']}"
    return held["id"], held["status"], call, held["key_id"], moment(held["deadline_ms"] or held["runs_at_ms"])


def _pairs(held: dict[str, Any]) -> list[tuple[str, str]]:
    until = "deadline" if held["deadline_ms"] is not None else "goes on by itself"
    pairs = [
        ("id", held["id"]),
        ("status", held["status"]),
        ("call", f"{held['method']} {held['path']}"),
        ("operation", held["operation"]),
        ("body", _content(held["request"])),
        ("digest", held["digest"]),
        ("key", held["key_id"]),
        ("made", moment(held["created_at_ms"])),
        (until, moment(held["deadline_ms"] or held["runs_at_ms"])),
    ]
    if held["decided_by"] is not None:
        pairs.append(("decided", f"{moment(held['decided_at_ms'])} by {held['decided_by']}"))
    if held["reason"] is not None:
        pairs.append(("reason", held["reason"]))
    if held["answer"] is not None:
        pairs.append(("answer", f"{held['answer']['status']} {_content(held['answer'])}"))
    return pairs


def _content(content: dict[str, Any]) -> str:
    return content["body"] or (content["body_base64"] and f"(base64) {content['body_base64']}") or "-"
