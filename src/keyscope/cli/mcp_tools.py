"""The tools of ``keyscope mcp``: what a model may do with keys, and the words that tell it how.

Each tool is one call, or a few, of the server's own API. It is offered only if the key that the server is used with may
make that call; the server decides again when it is called. Nothing here widens a key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import click
from msgspec import Struct

from keyscope.api.restricting import SCHEMA
from keyscope.cli.client import Client
from keyscope.cli.keys import RESTRICTED
from keyscope.cli.options import Duration
from keyscope.cli.output import moment, scopes_text
from keyscope.model.scope import Grant, Level, Scope
from keyscope.wire.asked import ASKABLE

DEFAULT_LIFE = "8h"
LEVELS = (Level.READ.word, Level.WRITE.word)
_ANY_KEY = f"{RESTRICTED}/KEY_ID"
_PAGE = 100

Arguments = Mapping[str, Any]
Schema = dict[str, Any]


class KeyTool(Struct, frozen=True, kw_only=True):
    """One tool. ``needs`` is the call that the key must be allowed; None for what any key may."""

    name: str
    title: str
    about: str
    properties: Schema
    required: tuple[str, ...] = ()
    needs: tuple[str, str] | None
    reads: bool = False
    destroys: bool = False
    repeats: bool = False
    run: Callable[[Client, Arguments], Any]

    def schema(self, types: Mapping[str, str]) -> Schema:
        """The JSON Schema of its arguments. ``types`` are the server's resource types, with what each covers."""
        properties = {name: _scopes(types, found) if name == "scopes" else found for name, found in self._items()}
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
        }

    def _items(self) -> list[tuple[str, Schema]]:
        return list(self.properties.items())


def offered(client: Client) -> list[KeyTool]:
    """The tools that the client's key can use now. A derived key manages no keys."""
    derived = client.get("/keyscope/me")["derived_id"] is not None
    return [tool for tool in TOOLS if tool.needs is None or (_may(client, *tool.needs) and (tool.reads or not derived))]


def _may(client: Client, method: str, path: str) -> bool:
    return bool(client.get("/keyscope/can", {"method": method, "path": path})["allowed"])


def _scopes(types: Mapping[str, str], about: Schema) -> Schema:
    covers = "; ".join(f"{name}: {description}" for name, description in types.items())
    entry = {
        "type": "object",
        "properties": {
            "resource_type": {"type": "string", "enum": list(types), "description": covers},
            "access_level": {"type": "string", "enum": list(LEVELS), "description": "write includes read"},
        },
        "required": ["resource_type", "access_level"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": entry, "maxItems": len(types), **about}


def _whoami(client: Client, _: Arguments) -> Any:
    return client.get("/keyscope/me")


def _can(client: Client, given: Arguments) -> Any:
    return client.get("/keyscope/can", {"method": given["method"], "path": given["path"]})


def _list(client: Client, given: Arguments) -> Any:
    asked = dict(given)
    if "resource_type" in asked:
        asked["resource_type"] = f"RESOURCE_TYPE_{asked['resource_type'].upper()}"
    page = client.get(RESTRICTED, {"limit": _PAGE, **asked})
    return {**page, "restricted_keys": [_short(key) for key in page["restricted_keys"]]}


def _describe(client: Client, given: Arguments) -> Any:
    return client.get(f"{RESTRICTED}/{given['key_id']}")


def _create(client: Client, given: Arguments) -> Any:
    body = {"name": given["name"], "scopes": _entries(given), "expires_at_ms": _end(client, given.get("expires_in"))}
    more = {"restrictions": given["restrictions"]} if "restrictions" in given else {}
    return client.post(RESTRICTED, body | more)


def _narrow(client: Client, given: Arguments) -> Any:
    key = _describe(client, given)
    body: dict[str, Any] = {}
    if "scopes" in given:
        body["scopes"] = _narrower(key, _entries(given))
    if "expires_in" in given:
        body["expires_at_ms"] = _sooner(key, _from_now(given["expires_in"]))
    if not body:
        raise click.UsageError("Say what to take away: scopes, expires_in, or both.")
    return client.post(f"{RESTRICTED}/{given['key_id']}", body)


def _rotate(client: Client, given: Arguments) -> Any:
    overlap = _ms(given["overlap"]) if "overlap" in given else 0
    return client.post(f"{RESTRICTED}/{given['key_id']}/rotate", {"overlap_ms": overlap})


def _verb(verb: str) -> Callable[[Client, Arguments], Any]:
    def run(client: Client, given: Arguments) -> Any:
        reason = {"reason": given["reason"]} if "reason" in given else {}
        return client.post(f"{RESTRICTED}/{given['key_id']}/{verb}", reason)

    return run


def _entries(given: Arguments) -> list[dict[str, str]]:
    scopes = [Scope.parse(f"{entry['resource_type']}:{entry['access_level']}") for entry in given["scopes"]]
    return [scope.entry for scope in scopes]


def _narrower(key: Mapping[str, Any], entries: list[dict[str, str]]) -> list[dict[str, str]]:
    if not _grant(entries).within(_grant(key["scopes"])):
        has = scopes_text(key["scopes"]) or "nothing"
        raise click.UsageError(f"This tool only takes away. {key['id']} has {has}: name no more than that.")
    return entries


def _sooner(key: Mapping[str, Any], end_ms: int) -> int:
    if key["expires_at_ms"] is not None and end_ms > key["expires_at_ms"]:
        raise click.UsageError(f"This tool only takes away. {key['id']} ends {moment(key['expires_at_ms'])} already.")
    return end_ms


def _grant(entries: list[dict[str, str]]) -> Grant:
    return Grant(map(Scope.parse, scopes_text(entries).split()))


def _end(client: Client, asked: str | None) -> int:
    """When a new key ends: as asked, or after the default, but never later than the key that mints it."""
    if asked is not None:
        return _from_now(asked)
    own: int | None = client.get("/keyscope/me")["expires_at_ms"]
    end = _from_now(DEFAULT_LIFE)
    return end if own is None else min(own, end)


def _from_now(text: str) -> int:
    return time.time_ns() // 1_000_000 + _ms(text)


def _ms(text: str) -> int:
    return Duration().convert(text, None, None)


def _short(key: Mapping[str, Any]) -> dict[str, Any]:
    """A key in a list: what one needs to pick it."""
    kept = ("id", "name", "status", "created_at_ms", "expires_at_ms", "last_used_at_ms", "parent_id")
    return {**{name: key[name] for name in kept}, "scopes": scopes_text(key["scopes"]).split()}


_DURATION = {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d|w)$"}
_KEY_ID = {"key_id": {"type": "string", "description": "The key's id, key_ and 22 characters. Never its secret."}}
_REASON = {"reason": {"type": "string", "maxLength": 500, "description": "Why, for the record."}}
_SCOPES_HELP = "What the key may do, at most one entry per resource type. An empty list is no access."

TOOLS: tuple[KeyTool, ...] = (
    KeyTool(
        name="whoami",
        title="This key",
        about="Describe the key that this server works with: its id, scopes and expiry. Keys minted here can never do "
        "more or live longer than it.",
        properties={},
        needs=None,
        reads=True,
        repeats=True,
        run=_whoami,
    ),
    KeyTool(
        name="can_i_call",
        title="May this key call it?",
        about="Ask whether the key that this server works with may make an API call, and which scopes the call needs. "
        "Use it to find the smallest scopes for a new key.",
        properties={
            "method": {"type": "string", "enum": sorted(ASKABLE)},
            "path": {"type": "string", "description": "The path of the call, like /v1/devboxes."},
        },
        required=("method", "path"),
        needs=None,
        reads=True,
        repeats=True,
        run=_can,
    ),
    KeyTool(
        name="list_keys",
        title="List keys",
        about="List restricted keys, newest first, without their secrets. For the next page, give the last id as "
        "starting_after while has_more is true.",
        properties={
            "name": {"type": "string", "description": "A part of the name."},
            "status": {"type": "string", "enum": ["active", "expired", "suspended", "revoked"]},
            "resource_type": {"type": "string", "description": "Only keys that reach this type, like devboxes."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": _PAGE},
            "starting_after": {"type": "string", "description": "The last id of the page before."},
        },
        needs=("GET", RESTRICTED),
        reads=True,
        repeats=True,
        run=_list,
    ),
    KeyTool(
        name="describe_key",
        title="Describe a key",
        about="Describe one restricted key: scopes, status, expiry, who minted it, when it was last used.",
        properties=_KEY_ID,
        required=("key_id",),
        needs=("GET", _ANY_KEY),
        reads=True,
        repeats=True,
        run=_describe,
    ),
    KeyTool(
        name="create_key",
        title="Mint a key",
        about="Mint a restricted key with no more than the scopes that its work needs. The secret (key_secret) is in "
        "this one result and can never be read again: pass it on, and do not repeat it anywhere else.",
        properties={
            "name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "What the key is for."},
            "scopes": {"description": _SCOPES_HELP},
            "expires_in": {
                **_DURATION,
                "default": DEFAULT_LIFE,
                "description": f"Its life, like 30m, 8h or 7d. Left out: {DEFAULT_LIFE}, or this server's own key's "
                "end if that is sooner.",
            },
            "restrictions": {
                **SCHEMA,
                "description": "What the key is restricted to beyond its scopes, as far as the task allows: which "
                "instances, only its own, from where, when, how often, which operations never. All must hold.",
            },
        },
        required=("name", "scopes"),
        needs=("POST", RESTRICTED),
        run=_create,
    ),
    KeyTool(
        name="narrow_key",
        title="Narrow a key",
        about="Take scopes or time away from a restricted key. It works at once, also for all keys that it minted, and "
        "cannot be undone here.",
        properties={
            **_KEY_ID,
            "scopes": {"description": "All that is left to it afterwards, within what it has. Left out: unchanged."},
            "expires_in": {**_DURATION, "description": "Its remaining life from now on, like 10m."},
        },
        required=("key_id",),
        needs=("POST", _ANY_KEY),
        destroys=True,
        run=_narrow,
    ),
    KeyTool(
        name="rotate_key",
        title="Rotate a key",
        about="Give a restricted key a new secret, which is in this one result and can never be read again. The key's "
        "id and scopes stay. The old secret ends at once, or after the overlap.",
        properties={
            **_KEY_ID,
            "overlap": {**_DURATION, "description": "How long the old secret goes on working, like 10m."},
        },
        required=("key_id",),
        needs=("POST", f"{_ANY_KEY}/rotate"),
        destroys=True,
        run=_rotate,
    ),
    KeyTool(
        name="suspend_key",
        title="Suspend a key",
        about="Stop a restricted key, and all keys that it minted, until a person resumes it.",
        properties={**_KEY_ID, **_REASON},
        required=("key_id",),
        needs=("POST", f"{_ANY_KEY}/suspend"),
        destroys=True,
        repeats=True,
        run=_verb("suspend"),
    ),
    KeyTool(
        name="revoke_key",
        title="Revoke a key",
        about="End a restricted key for good, and all keys that it minted. Use it as soon as the work is done.",
        properties={**_KEY_ID, **_REASON},
        required=("key_id",),
        needs=("POST", f"{_ANY_KEY}/revoke"),
        destroys=True,
        repeats=True,
        run=_verb("revoke"),
    ),
)
