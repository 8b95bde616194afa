"""``keyscope rules`` and ``keyscope presets``: what the account asks of its keys, and named sets of scopes."""

from __future__ import annotations

from typing import Any

import click

from keyscope.cli.client import connect
from keyscope.cli.options import Duration, ScopeText, as_json, option
from keyscope.cli.output import duration, print_json, print_pairs, print_table, scopes_text
from keyscope.model.scope import Scope


@click.group()
def rules() -> None:
    """What the account asks of its keys from now on."""


@rules.command("show")
@as_json
def show_rules(json: bool) -> None:
    """Show the rules."""
    with connect() as client:
        _print(client.get("/keyscope/rules"), json)


@rules.command("set")
@option("--max-lifetime", type=Duration(), help="The longest that a key may live, like 30d.")
@option("--require-expiry", is_flag=True, help="Refuse keys without an expiry.")
@option("--max-idle", type=Duration(), help="Suspend restricted keys that nobody used for so long; at least 1h.")
@option("--allowed-scope", "allowed", multiple=True, type=ScopeText(), help="The most that restricted keys may have.")
@option("--name-pattern", help="What names must be like, with * and ?, like agent-*.")
@as_json
def set_rules(
    max_lifetime: int | None,
    require_expiry: bool,
    max_idle: int | None,
    allowed: tuple[Scope, ...],
    name_pattern: str | None,
    json: bool,
) -> None:
    """Replace all rules; what is not named asks for nothing. Takes a standard key."""
    body: dict[str, Any] = {
        "max_lifetime_ms": max_lifetime,
        "require_expiry": require_expiry,
        "max_idle_ms": max_idle,
        "allowed_scopes": [scope.entry for scope in allowed] or None,
        "name_pattern": name_pattern,
    }
    with connect() as client:
        _print(client.post("/keyscope/rules", body), json)


@click.command()
@as_json
def presets(json: bool) -> None:
    """List the named sets of scopes, for keyscope keys create --preset."""
    with connect() as client:
        found = client.get("/keyscope/presets")["presets"]
    if json:
        print_json(found)
    else:
        print_table(
            ("PRESET", "SCOPES", "WHAT FOR"),
            [(preset["name"], scopes_text(preset["scopes"]), preset["about"]) for preset in found],
        )


def _print(view: dict[str, Any], json: bool) -> None:
    if json:
        print_json(view)
        return
    allowed = view["allowed_scopes"]
    print_pairs(
        [
            ("longest life", duration(view["max_lifetime_ms"])),
            ("expiry required", "yes" if view["require_expiry"] else "no"),
            ("longest idle time", duration(view["max_idle_ms"])),
            ("scopes allowed", scopes_text(allowed) if allowed is not None else "all"),
            ("names like", view["name_pattern"] or "*"),
        ]
    )
