"""Minting: a new key inside what its parent has, its secret in one reply and nowhere else (laws 2 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.bounds import check_expiry, check_restrictions, check_scopes, end_of
from keyscope.authority.limits import Limits
from keyscope.authority.lookup import acting
from keyscope.authority.ports import Clock, Entropy, Store, Writer
from keyscope.authority.replay import Repeatable, once
from keyscope.authority.rules import check_new, from_json, latest_end
from keyscope.errors import ExceedsParent, Fault, StandardKeyRequired
from keyscope.model.derived import share_of
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.ident import RANDOM_BYTES, format_id
from keyscope.model.key import Key, Lineage
from keyscope.model.restrictions import Restrictions
from keyscope.model.run import Run
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.model.token import SECRET_BYTES, Kind, format_token


class Wanted(Struct, frozen=True, kw_only=True):
    """A key as asked for. No scopes means no access; ``expires_at_ms`` is Unix milliseconds; no restrictions: None.

    A lease in ``run`` begins when the key is made.
    """

    kind: Kind
    name: str | None = None
    scopes: tuple[Scope, ...] = ()
    expires_at_ms: int | None = None
    restrictions: Restrictions | None = None
    run: Run | None = None


class Minted(Struct, frozen=True):
    """A new key, and its secret for the one reply that shows it."""

    key: Key
    secret: Secret


Render = Callable[[Minted], bytes]
"""Writes the reply to a mint, secret included."""


class Minting:
    """Mints keys."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, limits: Limits | None = None) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._limits = limits or Limits()

    def mint(
        self, caller: Lineage, wanted: Wanted, origin: Origin, render: Render, repeat: Repeatable | None = None
    ) -> bytes:
        """Mint a key below the caller and return the reply that ``render`` writes for it.

        Without an expiry asked for, the key ends when its parent does. A repeated request (same caller, request id
        and content, within 24 hours) returns the first reply. Key, event and reply are one transaction.

        Raises ExceedsParent, StandardKeyRequired, Conflict, InvalidToken (the caller was revoked meanwhile) and
        StoreUnavailable.
        """

        def work(writer: Writer) -> bytes:
            now_ms = self._clock.now_ms()
            parent = acting(writer, caller, now_ms)

            def change() -> bytes:
                return render(self._add(writer, parent, wanted, origin, now_ms))

            return once(writer, parent.key.id, repeat, change, self._entropy, now_ms)

        return self._store.write(work)

    def _add(self, writer: Writer, parent: Lineage, wanted: Wanted, origin: Origin, now_ms: int) -> Minted:
        wanted = _ruled(writer, parent, wanted, now_ms)
        self._check(writer, parent, wanted, now_ms)
        minted = draw(wanted, parent.key.account_id, parent, now_ms, self._entropy)
        writer.add_key(minted.key)
        writer.add_event(minted_event(minted.key, origin))
        return minted

    def _check(self, writer: Writer, parent: Lineage, wanted: Wanted, now_ms: int) -> None:
        self._check_tree(writer, parent, now_ms)
        if wanted.kind is Kind.STANDARD:
            if parent.grant is not None and not self._limits.restricted_may_mint_standard:
                raise StandardKeyRequired("a restricted key asked for a standard one")
        else:
            check_scopes(wanted.scopes, parent)
            check_restrictions(wanted.restrictions, parent)
        if wanted.expires_at_ms is not None:
            check_expiry(wanted.expires_at_ms, parent)

    def _check_tree(self, writer: Writer, parent: Lineage, now_ms: int) -> None:
        depth, children = self._limits.max_depth, self._limits.max_children
        if len(parent.line) >= depth:
            raise ExceedsParent("depth", [Fault("$", f"the settings allow lines of at most {depth} keys")])
        if parent.grant is not None and writer.living_children(parent.key.id, now_ms) >= children:
            remedy = f"{parent.key.id} has {children} living keys below it, as many as the settings allow"
            raise ExceedsParent("children", [Fault("$", f"{remedy}: revoke some that are not needed")])


def _ruled(writer: Writer, parent: Lineage, wanted: Wanted, now_ms: int) -> Wanted:
    """What is wanted, as the account's rules have it. A parent that ends sooner than they allow decides the end."""
    rules = from_json(writer.rules(parent.key.account_id))
    end = end_of(parent)
    asked = wanted.expires_at_ms if wanted.expires_at_ms is not None or rules.require_expiry else end
    latest = latest_end(rules, now_ms)
    if wanted.expires_at_ms is None and asked is not None and latest is not None:
        asked = min(asked, latest)
    expires_at_ms = check_new(rules, wanted.kind, wanted.name, wanted.scopes, asked, now_ms)
    return replace(wanted, expires_at_ms=expires_at_ms)


def draw(wanted: Wanted, account_id: str, parent: Lineage | None, now_ms: int, entropy: Entropy) -> Minted:
    """A new key record and its secret, not stored yet."""
    secret = format_token(wanted.kind, entropy.random_bytes(SECRET_BYTES))
    return Minted(record(wanted, secret, account_id, parent, now_ms, entropy), secret)


def record(
    wanted: Wanted, secret: Secret, account_id: str, parent: Lineage | None, now_ms: int, entropy: Entropy
) -> Key:
    """The record of a key with this secret."""
    expires_at_ms = wanted.expires_at_ms
    if expires_at_ms is None and parent is not None:
        expires_at_ms = end_of(parent)
    return Key(
        id=format_id("key", now_ms, entropy.random_bytes(RANDOM_BYTES)),
        account_id=account_id,
        kind=wanted.kind,
        name=wanted.name if wanted.name is not None else default_name(wanted.kind, now_ms),
        digest=secret.digest,
        hint=secret.hint,
        share=share_of(secret),
        scopes=wanted.scopes,
        created_at_ms=now_ms,
        parent_id=parent.key.id if parent is not None else None,
        expires_at_ms=expires_at_ms,
        restrictions=wanted.restrictions,
        run=wanted.run.renewed(now_ms) if wanted.run is not None else None,
    )


def minted_event(key: Key, origin: Origin) -> Event:
    changes: dict[str, object] = {
        "kind": key.kind.value,
        "name": key.name,
        "scopes": [str(scope) for scope in key.scopes],
        "expires_at_ms": key.expires_at_ms,
        "parent_id": key.parent_id,
    }
    if key.restrictions is not None:
        changes["restrictions"] = key.restrictions.plain
    if key.run is not None:
        changes["run"] = {"devbox_id": key.run.devbox_id, "lease_ms": key.run.lease_ms}
    return Event(
        kind=EventKind.KEY_MINTED,
        at_ms=key.created_at_ms,
        account_id=key.account_id,
        key_id=key.id,
        origin=origin,
        changes=changes,
    )


def default_name(kind: Kind, now_ms: int) -> str:
    """A readable name for a key that came without one: ``restricted-20261123-091500``."""
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{kind.name.lower()}-{stamp}"
