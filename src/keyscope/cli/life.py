"""``keyscope keys rotate|suspend|resume|undelete|tree`` and ``keyscope panic``: what can happen to keys."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from keyscope.cli.client import connect
from keyscope.cli.keys import because, either, keys, print_key, print_secret, reason_option, secret_only_option
from keyscope.cli.options import Duration, as_json, option
from keyscope.cli.output import moment, note, print_json, print_table, print_tree
from keyscope.cli.receipts import note_receipt

_PAGE = 5000


@keys.command()
@click.argument("key_id")
@option("--overlap", type=Duration(), help="How long the old secret goes on working, like 1h.  [default: not at all]")
@secret_only_option
@as_json
def rotate(key_id: str, overlap: int | None, secret_only: bool, json: bool) -> None:
    """Give a key a new secret, shown once, here. The key id and everything else stay."""
    with connect() as client:
        made = either(client, "POST", key_id, "/rotate", {"overlap_ms": overlap or 0})
    print_secret(made, secret_only, json)
    if not (secret_only or json):
        note(f"The old secret ends {moment(made['old_secret_expires_at_ms'])}.")
    if not json:
        note_receipt(made)


@keys.command()
@click.argument("key_id")
@reason_option
@as_json
def suspend(key_id: str, reason: str | None, json: bool) -> None:
    """Stop a key, and everything that it minted, until it is resumed."""
    _verb(key_id, "suspend", because(reason), json)


@keys.command()
@click.argument("key_id")
@as_json
def resume(key_id: str, json: bool) -> None:
    """End a suspension. Takes a standard key."""
    _verb(key_id, "resume", {}, json)


@keys.command()
@click.argument("key_id")
@as_json
def undelete(key_id: str, json: bool) -> None:
    """Bring back a key that was revoked a short while ago, and what died with it. Takes a standard key."""
    _verb(key_id, "undelete", {}, json)


@keys.command("revoke-derived")
@click.argument("key_id")
@click.argument("derived_id")
@reason_option
@as_json
def revoke_derived(key_id: str, derived_id: str, reason: str | None, json: bool) -> None:
    """Revoke one key that was derived from KEY_ID, before it expires."""
    with connect() as client:
        revoked = either(client, "POST", key_id, f"/derived/{derived_id}/revoke", because(reason))
    if json:
        print_json(revoked)
    else:
        click.echo(f"{derived_id} is revoked, and what was derived from it.")
        note_receipt(revoked)


@keys.command()
@click.argument("key_id")
@as_json
def tree(key_id: str, json: bool) -> None:
    """Show the keys that a key minted, those that they minted, and so on."""
    with connect() as client:
        found = either(client, "GET", key_id, f"/tree?limit={_PAGE}")
    if json:
        print_json(found)
        return
    print_tree(_drawn(found))
    if found["has_more"]:
        note(f"{found['total_count']} keys below it; the oldest {_PAGE} are shown.")


@click.command()
@option("--created-by", help="Every key that this key id minted.")
@option("--name-prefix", help="Every key whose name begins so.")
@option("--tree", "tree_of", help="This key id and everything below it.")
@option("--all-restricted", is_flag=True, help="Every restricted key of the account.")
@option("--dry-run", is_flag=True, help="Only list what would die.")
@option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@as_json
def panic(
    created_by: str | None,
    name_prefix: str | None,
    tree_of: str | None,
    all_restricted: bool,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    json: bool,
) -> None:
    """Revoke many keys at once. Lists what would die, and asks first, unless told --yes."""
    chosen = {"created_by": created_by, "name_prefix": name_prefix, "tree": tree_of, "reason": reason}
    body: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if all_restricted:
        body["all_restricted"] = True
    with connect() as client:
        if dry_run or not yes:
            _show_ended(client.post("/keyscope/panic", {**body, "dry_run": True}), json)
        if dry_run or not (yes or click.confirm("Revoke them?", err=True)):
            return
        _show_ended(client.post("/keyscope/panic", body), json)


def _verb(key_id: str, verb: str, body: dict[str, Any], json: bool) -> None:
    with connect() as client:
        print_key(either(client, "POST", key_id, f"/{verb}", body), json)


def _show_ended(ended: dict[str, Any], json: bool) -> None:
    if json:
        print_json(ended)
        return
    print_table(("ID", "NAME", "KIND"), [(key["id"], key["name"], key["kind"]) for key in ended["keys"]])
    more = ended["count"] - len(ended["keys"])
    word = "would be revoked" if ended["dry_run"] else "revoked"
    note(f"{ended['count']} keys {word}" + (f" ({more} not shown)" if more else "") + _below(ended))
    note_receipt(ended)


def _below(ended: dict[str, Any]) -> str:
    died = ended["died_with_them"]
    return f", and {died} below them." if died else "."


def _drawn(found: dict[str, Any]) -> Tree:
    drawn = {found["root"]["id"]: Tree(_label(found["root"]))}
    for node in sorted(found["descendants"], key=lambda node: (node["depth"], node["id"])):
        above = drawn.get(node["parent_id"])
        if above is not None:
            drawn[node["id"]] = above.add(_label(node))
    return drawn[found["root"]["id"]]


def _label(node: dict[str, Any]) -> Text:
    return Text(f"{node['id']}  {node['name']}  {node['status']}")
