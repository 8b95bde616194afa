"""The keys that the rows speak of, real ones in a real store, each made when it is first asked for.

What the API can do is done through it. It cannot make accounts or keys that are already dead, so these are written
into the SQLite file beside the running server.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from keyscope.authority.mint import Wanted, draw
from keyscope.authority.ports import Account, Store, Writer
from keyscope.derive import attenuate
from keyscope.model.ident import RANDOM_BYTES, format_id
from keyscope.model.scope import Scope
from keyscope.model.token import Kind, format_token
from keyscope.store.open import open_store
from keyscope.system import SystemEntropy
from tests.live import Live

NINE = [
    "devboxes",
    "blueprints",
    "snapshots",
    "objects",
    "benchmarks",
    "scenarios",
    "repo_connections",
    "agents",
    "account",
]

GRANTS: dict[str, tuple[str, ...]] = {
    "valid-read": ("devboxes:read",),
    "valid-write": ("devboxes:write",),
    "valid-none": (),
    "snap-read": ("snapshots:read",),
    "snap-write": ("snapshots:write",),
    "devbox+snap-read": ("devboxes:read", "snapshots:read"),
    "bp-read": ("blueprints:read",),
    "bp-write": ("blueprints:write",),
    "bench-read": ("benchmarks:read",),
    "scen-read": ("scenarios:read",),
    "agents-read": ("agents:read",),
    "objects-read": ("objects:read",),
    "objects-write": ("objects:write",),
    "account-read": ("account:read",),
    "account-write": ("account:write",),
    "account-write+devbox-read-1h": ("account:write", "devboxes:read"),
    "all-read": tuple(f"{name}:read" for name in NINE),
    "all-write": tuple(f"{name}:write" for name in NINE),
    "just-created": ("devboxes:read",),
    "near-expiry": ("devboxes:read",),
    "expires-in-2s": ("devboxes:read",),
    "revoked": ("devboxes:read",),
    "revoke-me": ("devboxes:read",),
    "introspector": ("account:read",),
    "holding": ("devboxes:write", "snapshots:write", "account:write"),
    "leased-1s": ("devboxes:read",),
    "bound-to-dbx-9": ("devboxes:read",),
}
"""Restricted keys of account A, made by its first key."""


def _elsewhen() -> dict[str, str]:
    """A window of a minute, twelve hours away."""
    begins = datetime.now(UTC) + timedelta(hours=12)
    ends = begins + timedelta(minutes=1)
    return {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}", "timezone": "UTC"}


def _all(level: str) -> tuple[str, ...]:
    return tuple(f"{name}:{level}" for name in NINE)


RESTRICTED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "box-a": (_all("write"), {"instances": {"devboxes": ["dbx_a", "ci-*"]}}),
    "box-a-admin": (("account:write", "devboxes:write"), {"instances": {"devboxes": ["dbx_a"]}}),
    "image-1": (_all("write"), {"instances": {"blueprints": ["bpt_1"]}}),
    "scenario-a": (_all("write"), {"instances": {"scenarios": ["scn_a"]}}),
    "one-secret": (_all("write"), {"instances": {"account": ["CI_TOKEN"]}}),
    "own-only": (_all("write"), {"own": True}),
    "no-shutdown": (_all("write"), {"deny": ["shutdownDevbox", "DELETE"]}),
    "no-get": (_all("write"), {"deny": ["GET"]}),
    "from-a-net": (_all("write"), {"cidrs": ["192.0.2.0/24", "2001:db8::/32"]}),
    "not-yet": (_all("write"), {"not_before_ms": 4_000_000_000_000}),
    "elsewhen": (_all("write"), {"window": _elsewhen()}),
    "uses-1": (("devboxes:read",), {"uses": 1}),
    "rate-1": (("devboxes:read",), {"rate": {"requests": 1, "per_ms": 3_600_000}}),
    "parallel-1": (("devboxes:read",), {"parallel": 1}),
}
"""Scopes and restrictions."""

MORE: dict[str, dict[str, Any]] = {
    "holding": {"restrictions": {"hold": {"deadline_ms": 3_600_000}}},
    "leased-1s": {"run": {"lease_ms": 1_000}},
    "bound-to-dbx-9": {"run": {"devbox_id": "dbx_9"}},
}
"""What else they are minted with."""

LIVES_MS = {"near-expiry": 60_000, "expires-in-2s": 2_000, "account-write+devbox-read-1h": 3_600_000}
_STORED = {"expired": -1_000, "expires-at-now": 60}
"""Keys written into the store, and their expiry in milliseconds from now."""


@dataclass(frozen=True)
class Fixture:
    """A key in use. ``id`` is empty for a text that no store holds."""

    secret: str = field(repr=False)
    id: str = ""
    account: str = ""
    expires_at_ms: int | None = None


class World:
    """The two accounts behind one server, and the store beside it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.store: Store = open_store(f"sqlite:///{live.database}")
        self.account = self.store.read(lambda reader: reader.accounts()[0].id)
        self.other = self._open_account()

    def close(self) -> None:
        self.store.close()

    def insert(self, wanted: Wanted, account: str) -> Fixture:
        """A key with no parent, put straight into the store."""
        minted = draw(wanted, account, None, now_ms(), SystemEntropy())
        self.store.write(lambda writer: writer.add_key(minted.key))
        return Fixture(minted.secret.reveal(), minted.key.id, account, wanted.expires_at_ms)

    def events(self, account: str) -> int:
        """How many events the account has."""
        return len(self.store.read(lambda reader: reader.events(account, limit=1_000_000)))

    def _open_account(self) -> Fixture:
        account = Account(format_id("acct", now_ms(), os.urandom(RANDOM_BYTES)), "another", now_ms())

        def work(writer: Writer) -> None:
            writer.add_account(account)

        self.store.write(work)
        return self.insert(Wanted(kind=Kind.STANDARD, name="first of another"), account.id)


class Cast:
    """One set of fixture keys."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, Fixture] = {}

    def __getitem__(self, name: str) -> Fixture:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    @property
    def secrets(self) -> dict[str, str]:
        """The secret of every key that was made so far, by name."""
        return {name: made.secret for name, made in self._made.items()}

    def digest(self, name: str) -> bytes:
        """The digest under which the store holds the key."""
        key = self._world.store.read(lambda reader: reader.key(self[name].id))
        assert key is not None
        return key.digest

    def narrow(self, name: str, level: str) -> None:
        """Set every scope of the key to a level, through the API."""
        scopes = [
            {"resource_type": Scope.parse(text).wire_type, "access_level": f"ACCESS_LEVEL_{level}"}
            for text in GRANTS[name]
        ]
        response = self._world.live.call("POST", f"/v1/restricted_keys/{self[name].id}", json={"scopes": scopes})
        assert response.status_code == 200, response.text

    def _make(self, name: str) -> Fixture:
        if name in GRANTS:
            made = self._mint(GRANTS[name], lives_ms=LIVES_MS.get(name), **MORE.get(name, {}))
            return self._revoke(made) if name == "revoked" else made
        if name in RESTRICTED:
            scopes, restrictions = RESTRICTED[name]
            return self._mint(scopes, restrictions=restrictions)
        if name in _STORED:
            wanted = Wanted(kind=Kind.RESTRICTED, scopes=_devbox_read(), expires_at_ms=now_ms() + _STORED[name])
            return self._world.insert(wanted, self._world.account)
        special: Fixture = self._SPECIAL[name](self)  # type: ignore[no-untyped-call]  # a table of methods
        return special

    def _mint(
        self, scopes: tuple[str, ...], by: str | None = None, lives_ms: int | None = None, **more: Any
    ) -> Fixture:
        expires = now_ms() + lives_ms if lives_ms is not None else None
        reply = self._world.live.mint(*scopes, by=by, expires_at_ms=expires, **more)
        return Fixture(reply["key_secret"], reply["id"], self._world.account, reply.get("expires_at_ms"))

    def _revoke(self, made: Fixture) -> Fixture:
        response = self._world.live.revoke(made.id)
        assert response.status_code == 200, response.text
        return made

    def _other_account(self) -> Fixture:
        made = self._mint(("devboxes:write",), by=self._world.other.secret)
        return Fixture(made.secret, made.id, self._world.other.account)

    def _revoker(self) -> Fixture:
        """A standard key: a restricted one ends only what it minted."""
        made = self._world.live.mint_standard()
        return Fixture(made["key_secret"], made["id"], self._world.account)

    def _rotated_old(self) -> Fixture:
        made = self._mint(("devboxes:read",))
        response = self._world.live.call("POST", f"/v1/restricted_keys/{made.id}/rotate")
        assert response.status_code == 200, response.text
        return made

    def _child_of_revoked_parent(self) -> Fixture:
        parent = self._mint(("account:write", "devboxes:read"))
        child = self._mint(("devboxes:read",), by=parent.secret)
        self._revoke(parent)
        return child

    def _child_of_limited(self) -> Fixture:
        parent = self._mint(("account:write", "devboxes:read"), restrictions={"uses": 2})
        return self._mint(("devboxes:read",), by=parent.secret)

    _SPECIAL = {  # noqa: RUF012  (a table of methods, never changed)
        "full": lambda self: Fixture(self._world.live.first, account=self._world.account),
        "full-other-account": lambda self: self._world.other,
        "other-account": _other_account,
        "account-write-grandchild": lambda self: self._mint(("account:write",), by=self["account-write"].secret),
        "child-of-holding": lambda self: self._mint(("devboxes:write",), by=self["holding"].secret),
        "revoker": _revoker,
        "below-box-a": lambda self: self._mint(("devboxes:write",), by=self["box-a"].secret),
        "derived-of-box-a": lambda self: Fixture(attenuate(self["box-a"].secret, label="derived")),
        "rotated-old": _rotated_old,
        "child-of-uses-2": _child_of_limited,
        "child-of-revoked-parent": _child_of_revoked_parent,
        "never-issued": lambda self: Fixture(format_token(Kind.RESTRICTED, os.urandom(32)).reveal()),
        "malformed": lambda self: Fixture("rk_notakey"),
    }


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def _devbox_read() -> tuple[Scope, ...]:
    return (Scope.parse("devboxes:read"),)
