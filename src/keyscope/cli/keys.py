"""``keyscope keys``: mint, list, describe, change and revoke keys on a server."""

from __future__ import annotations

import time
from typing import Any

import click

from keyscope.cli.bound import bound_pairs
from keyscope.cli.client import Client, ServerRefused, connect
from keyscope.cli.options import Duration, RunText, ScopeText, as_json, option
from keyscope.cli.output import moment, note, print_json, print_pairs, print_table, scopes_text
from keyscope.cli.receipts import note_receipt
from keyscope.cli.restricting import read_restrictions, restrict_option
from keyscope.model.scope import Scope

RESTRICTED = "/v1/restricted_keys"
STANDARD = "/v1/apikeys"
_NOT_FOUND = 404
_MOST_REFUSALS = 1000

scope_option = option(
    "--scope", "scopes", multiple=True, type=ScopeText(), help="TYPE:read or TYPE:write; give it once per type."
)
standard_option = option("--standard", is_flag=True, help="Standard keys (ak_) instead of restricted ones (rk_).")
secret_only_option = option("--secret-only", is_flag=True, help="Print the secret alone.")
reason_option = option("--reason", help="For the record.")
run_option = option(
    "--run", metavar="devbox=ID", type=RunText(), help="End with this devbox, once the gate sees that it has ended."
)
lease_option = option(
    "--lease", type=Duration(), help="End when not renewed for so long, like 15m; see keyscope me renew."
)
expires_in_option = option("--expires-in", type=Duration(), help="Life from now on, like 8h or 30d.")


@click.group()
def keys() -> None:
    """Mint, list, describe, change and revoke keys."""


@keys.command()
@option("--name", help="What the key is for.")
@scope_option
@option("--preset", help="A named set of scopes; see keyscope presets.")
@expires_in_option
@restrict_option
@run_option
@lease_option
@standard_option
@secret_only_option
@as_json
def create(
    name: str | None,
    scopes: tuple[Scope, ...],
    preset: str | None,
    expires_in: int | None,
    restrict: tuple[str, ...],
    run: str | None,
    lease: int | None,
    standard: bool,
    secret_only: bool,
    json: bool,
) -> None:
    """Mint a key. Its secret is shown once, here. What there is to think of about its scopes goes to stderr."""
    if standard and (scopes or preset or restrict or run or lease):
        remedy = "--standard goes without --scope, --preset, --restrict, --run and --lease."
        raise click.UsageError(f"A standard key has full access and outlives runs, so {remedy}")
    if scopes and preset:
        raise click.UsageError("--preset names all scopes, so it goes without --scope.")
    restrictions = read_restrictions(restrict)
    more = {"restrictions": restrictions} if restrictions is not None else {}
    body = _body(name, scopes, expires_in) | ({"preset": preset} if preset else {}) | _bound(run, lease) | more
    with connect() as client:
        made = client.post(STANDARD if standard else RESTRICTED, body)
        asked = ({"preset": preset} if preset else {"scopes": body.get("scopes", [])}) | more
        remarks = [] if standard else client.post("/keyscope/lint", asked)["remarks"]
    print_secret(made, secret_only, json)
    for remark in remarks:
        note(f"{remark['code']}: {remark['message']}")


@keys.command("list")
@standard_option
@option("--name", help="A part of the name.")
@option("--status", type=click.Choice(["active", "expired", "suspended", "revoked"]), help="Only keys in this state.")
@option("--resource-type", help="Only keys that reach this type, like devboxes.")
@option("--created-by", help="Only keys minted by this key id.")
@option("--limit", type=click.IntRange(1, 5000), default=20, show_default=True, help="How many.")
@option("--starting-after", help="The last id of the page before.")
@option("--ids-only", is_flag=True, help="Print the ids alone, one a line.")
@as_json
def list_keys(standard: bool, ids_only: bool, json: bool, resource_type: str | None, **filters: Any) -> None:
    """List keys, newest first."""
    if resource_type is not None:
        filters["resource_type"] = f"RESOURCE_TYPE_{resource_type.upper()}"
    with connect() as client:
        page = client.get(STANDARD if standard else RESTRICTED, filters)
    if json:
        print_json(page)
        return
    rows = page["api_keys" if standard else "restricted_keys"]
    if ids_only:
        click.echo("".join(f"{key['id']}\n" for key in rows), nl=False)
    else:
        print_table(("ID", "NAME", "STATUS", "SCOPES", "EXPIRES", "LAST USED"), [_row(key) for key in rows])
    if page["has_more"]:
        note(f"{page['total_count']} keys in all. Next page: --starting-after {rows[-1]['id']}")


@keys.command()
@click.argument("key_id")
@as_json
def show(key_id: str, json: bool) -> None:
    """Describe one key."""
    with connect() as client:
        key = either(client, "GET", key_id)
        refused = None if json or key.get("narrowed_from") is None else _refused_since(client, key)
    print_key(key, json)
    if refused:
        note(f"Calls refused because it was narrowed: {refused}. To take that back: keyscope keys revert {key_id}")


@keys.command()
@click.argument("key_id")
@option("--name", help="A new name.")
@scope_option
@expires_in_option
@option("--no-expiry", is_flag=True, help="Remove the expiry.")
@restrict_option
@option("--no-restrictions", is_flag=True, help="Take all restrictions away.")
@as_json
def update(
    key_id: str,
    name: str | None,
    scopes: tuple[Scope, ...],
    expires_in: int | None,
    no_expiry: bool,
    restrict: tuple[str, ...],
    no_restrictions: bool,
    json: bool,
) -> None:
    """Rename a key, replace its scopes or its restrictions, shorten or extend its life."""
    if restrict and no_restrictions:
        raise click.UsageError("--restrict and --no-restrictions contradict each other.")
    body = _body(name, scopes, expires_in)
    if restrict or no_restrictions:
        body["restrictions"] = read_restrictions(restrict)
    if no_expiry:
        body["expires_at_ms"] = None
    if not body:
        raise click.UsageError("Say what to change: --name, --scope, --expires-in, --no-expiry or --restrict.")
    with connect() as client:
        print_key(either(client, "POST", key_id, body=body), json)


@keys.command()
@click.argument("key_id")
@reason_option
@as_json
def revoke(key_id: str, reason: str | None, json: bool) -> None:
    """Revoke a key and everything that it minted."""
    with connect() as client:
        revoked = either(client, "POST", key_id, "/revoke", because(reason))
    if json:
        print_json(revoked)
        return
    died = revoked["died_with_it"]["count"]
    click.echo(f"{key_id} is revoked" + (f", and {died} that it minted." if died else "."))
    note_receipt(revoked)


def _body(name: str | None, scopes: tuple[Scope, ...], expires_in: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if name is not None:
        body["name"] = name
    if scopes:
        body["scopes"] = [scope.entry for scope in scopes]
    if expires_in is not None:
        body["expires_at_ms"] = time.time_ns() // 1_000_000 + expires_in
    return body


def _bound(devbox_id: str | None, lease_ms: int | None) -> dict[str, Any]:
    run = {"devbox_id": devbox_id, "lease_ms": lease_ms}
    found = {name: value for name, value in run.items() if value is not None}
    return {"run": found} if found else {}


def because(reason: str | None) -> dict[str, Any]:
    """The body of a call that takes nothing but a reason."""
    return {"reason": reason} if reason is not None else {}


def either(client: Client, method: str, key_id: str, verb: str = "", body: dict[str, Any] | None = None) -> Any:
    """The answer about a key of whichever kind has this id."""
    for path in (f"{RESTRICTED}/{key_id}{verb}", f"{STANDARD}/{key_id}{verb}"):
        try:
            return client.get(path) if method == "GET" else client.post(path, body or {})
        except ServerRefused as refused:
            unknown = refused
            # A body for the one kind may be wrong for the other, so only "no such key" leads on.
            if refused.status != _NOT_FOUND:
                raise
    raise unknown


def _refused_since(client: Client, key: dict[str, Any]) -> int:
    """How many refusals the audit trail lays to the key's narrowing; 0 without a trail."""
    asked = {"key_id": key["id"], "verdict": "denied", "since_ms": key["narrowed_at_ms"], "limit": _MOST_REFUSALS}
    try:
        entries = client.get("/keyscope/audit", asked)["entries"]
    except ServerRefused:
        return 0
    return sum(entry["times"] for entry in entries if "narrowed" in entry["reasons"])


def print_key(key: dict[str, Any], json: bool) -> None:
    """A described key."""
    if json:
        print_json(key)
        return
    pairs = [
        ("id", key["id"]),
        ("name", key["name"]),
        ("kind", key["kind"]),
        ("status", key["status"]),
        ("scopes", _scopes(key)),
        ("secret ends in", key["hint"]),
        ("created", moment(key["created_at_ms"])),
        ("created by", key["created_by"] or "-"),
        ("expires", moment(key["expires_at_ms"])),
        ("last used", moment(key["last_used_at_ms"])),
    ]
    pairs += bound_pairs(key["id"], key.get("run"), key.get("effective_restrictions", ()), key.get("spent"))
    if key.get("observe_until_ms"):
        pairs.append(("observed until", moment(key["observe_until_ms"])))
    if key.get("narrowed_from") is not None:
        narrowed = f"{moment(key['narrowed_at_ms'])}, from {scopes_text(key['narrowed_from']) or 'nothing'}"
        pairs += [("narrowed", narrowed), ("to revert that", f"keyscope keys revert {key['id']}")]
    if key["revoked_at_ms"] is not None:
        pairs += [("revoked", moment(key["revoked_at_ms"])), ("reason", key["revoked_reason"] or "-")]
    if key["dead_uses"]:
        pairs.append(("dead secret used", f"{key['dead_uses']} times, last {moment(key['dead_used_at_ms'])}"))
    print_pairs(pairs)
    note_receipt(key)


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    last = moment(key["last_used_at_ms"])
    return key["id"], key["name"], key["status"], _scopes(key), moment(key["expires_at_ms"]), last


def _scopes(key: dict[str, Any]) -> str:
    if key["kind"] == "standard":
        return "everything"
    return scopes_text(key["scopes"]) or "nothing"


def print_secret(made: dict[str, Any], secret_only: bool, json: bool) -> None:
    """A key whose secret is shown now and never again."""
    if secret_only:
        click.echo(made["key_secret"])
    elif json:
        print_json(made)
    else:
        _show_created(made)


def _show_created(made: dict[str, Any]) -> None:
    scopes = scopes_text(made["scopes"]) or "nothing" if "scopes" in made else "everything"
    print_pairs(
        [
            ("id", made["id"]),
            ("name", made["name"]),
            ("scopes", scopes),
            ("expires", moment(made.get("expires_at_ms"))),
            ("secret", made["key_secret"]),
        ]
    )
    note("The secret is shown only now. What it may do: keyscope can - GET /v1/devboxes (and paste it).")
