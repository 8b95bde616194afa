"""``keyscope me`` and ``keyscope can``: what a key is, and whether it may make a call."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from keyscope.authority.explain import Explanation, explain
from keyscope.cli.bound import bound_pairs
from keyscope.cli.client import connect
from keyscope.cli.options import ScopeText, as_json, option
from keyscope.cli.output import moment, print_json, print_pairs
from keyscope.model.access import Access
from keyscope.model.decision import decide
from keyscope.model.key import Key, Lineage
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.wire.asked import ASKABLE, asked_call
from keyscope.wire.codec import decode_strict

DENIED = 1


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def me(context: click.Context, json: bool) -> None:
    """What the key in KEYSCOPE_API_KEY is and may do."""
    if context.invoked_subcommand is not None:
        return
    with connect() as client:
        view = client.get("/keyscope/me")
    if json:
        print_json(view)
        return
    scopes = "everything" if view["full_access"] else " ".join(view["scopes"]) or "nothing"
    pairs = [("id", view["id"]), ("name", view["name"]), ("kind", view["kind"]), ("account", view["account_id"])]
    if view["derived_id"] is not None:
        pairs.append(("derived, as", view["derived_id"]))
    pairs += [("may", scopes), ("expires", moment(view["expires_at_ms"]))]
    print_pairs([*pairs, *bound_pairs(view["id"], view["run"], view["restrictions"], view["spent"])])


@me.command()
@as_json
def renew(json: bool) -> None:
    """Begin the lease of the key in KEYSCOPE_API_KEY anew: its run goes on."""
    with connect() as client:
        run = client.post("/keyscope/me/renew", {})
    if json:
        print_json(run)
    else:
        click.echo(f"The lease is renewed until {moment(run['lease_until_ms'])}.")


@click.command()
@click.argument("key")
@click.argument("method", type=click.Choice(sorted(ASKABLE)))
@click.argument("path")
@option("--body", type=click.File("rb"), help="A file with the call's JSON body; - for stdin.")
@option("--scope", "scopes", multiple=True, type=ScopeText(), help="With --offline: what the key would have.")
@option("--offline", is_flag=True, help="Judge by a policy here, without a server. KEY is then - and unread.")
@option("--policy", default="runloop", show_default=True, help="With --offline: the policy, built in or a file.")
@as_json
def can(
    key: str, method: str, path: str, body: Any, scopes: tuple[Scope, ...], offline: bool, policy: str, json: bool
) -> None:
    """Explain whether KEY may call METHOD PATH. KEY - reads the key from stdin. Exit code 1 if it may not.

    With KEYSCOPE_API_KEY set, that key asks about KEY, the body included. Without it, KEY asks for itself.
    """
    content = body.read() if body is not None else None
    if offline:
        view: Any = _offline(method, path, content, scopes, policy)
    elif scopes:
        raise click.UsageError("--scope goes with --offline; a server knows what the key has.")
    else:
        view = _online(_key_text(key), method, path, content)
    if json:
        print_json(view)
    else:
        click.echo("\n".join([str(view["message"]), *view.get("next", ())]))
    if not view["allowed"]:
        raise SystemExit(DENIED)


def _key_text(key: str) -> str:
    text = sys.stdin.readline().strip() if key == "-" else key
    if not text:
        raise click.UsageError("No key was given: write it as KEY, or - and put it on stdin.")
    return text


def _online(key: str, method: str, path: str, content: bytes | None) -> Any:
    if os.environ.get("KEYSCOPE_API_KEY"):
        asked: dict[str, Any] = {"key": key, "method": method, "path": path, "counts": False}
        if content is not None:
            asked["body"] = decode_strict(content)
        with connect() as client:
            return client.post("/keyscope/verify", asked)
    if content is not None:
        raise click.UsageError("To judge a body, set KEYSCOPE_API_KEY to a key that may verify others.")
    with connect(key) as client:
        return client.get("/keyscope/can", {"method": method, "path": path})


def _offline(method: str, path: str, content: bytes | None, scopes: tuple[Scope, ...], policy: str) -> dict[str, Any]:
    from keyscope.policy.document import load
    from keyscope.policy.own import with_own_operations

    table = with_own_operations(load(policy)).table()
    route = table.find(*asked_call(method, path))
    body = decode_strict(content) if content is not None else None
    needs = route.needs_with(body) if route is not None else ()
    decision = decide(Lineage(_hypothetical(scopes)), Access(route, needs, time.time_ns() // 1_000_000))
    return _view(explain(decision, method, path))


def _hypothetical(scopes: tuple[Scope, ...]) -> Key:
    """A restricted key that exists only for the question."""
    return Key(
        id="KEY_ID",
        account_id="",
        kind=Kind.RESTRICTED,
        name="",
        digest=b"",
        hint="",
        scopes=scopes,
        created_at_ms=0,
    )


def _view(explained: Explanation) -> dict[str, Any]:
    return {
        "allowed": explained.allowed,
        "operation": explained.operation,
        "needs": [str(scope) for scope in explained.needs],
        "missing_scopes": [str(scope) for scope in explained.missing],
        "message": explained.message,
        "next": list(explained.next),
    }
