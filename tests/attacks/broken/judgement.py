"""Builds that judge wrongly: routes, scopes, states of keys, and what is remembered of them."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

import keyscope.authority.verify
import keyscope.gate.proxy
import keyscope.model.operation
import keyscope.store.index
import keyscope.system
from keyscope.errors import InvalidToken
from keyscope.model.access import Access
from keyscope.model.decision import Allow, decide
from keyscope.model.key import Key, Lineage
from keyscope.model.operation import Table
from keyscope.model.scope import Grant
from keyscope.model.token import Kind, is_token
from tests.attacks.broken.build import broken, part, swap

operation, verify = keyscope.model.operation, keyscope.authority.verify


@broken("a template wins over a literal", "cch-003", "ctl-006")
def _() -> None:
    old = operation.wins
    swap(operation, "wins", lambda one, other: old(other, one))


@broken("a true tie needs the scopes of one", "scp-038")
def _() -> None:
    old = operation._route
    swap(operation, "_route", lambda operations: old([list(operations)[-1]]))


@broken("a missing method falls back to the template", "scp-034")
def _() -> None:
    old = Table.find

    def find(self: Table, method: str, path: str) -> Any:
        return old(self, method, path) or old(self, method, path.rsplit("/", 1)[0] + "/anything")

    swap(Table, "find", find)


@broken("a path is matched by its beginning", "mth-032", "scp-030")
def _() -> None:
    old = Table.find

    def find(self: Table, method: str, path: str) -> Any:
        return old(self, method, path) or old(self, method, path.rsplit("/", 1)[0])

    swap(Table, "find", find)


@broken("what the policy does not list is allowed", "scp-027", "scp-033")
def _() -> None:
    def lax(lineage: Lineage, access: Access) -> Any:
        listed = access if access.route is not None else replace(access, route=operation.Route((), (), ()))
        return decide(lineage, listed)

    swap(verify, "decide", lax)


@broken("WRITE does not include READ", "ctl-021")
def _() -> None:
    swap(Grant, "missing", lambda self, required: tuple(s for s in required if self.level(s.resource) != s.level))


@broken("any scope of the account is a wildcard", "scp-014")
def _() -> None:
    old = Grant.missing
    swap(Grant, "missing", lambda self, required: () if self.level("account") else old(self, required))


@broken("READ is enough", "scp-003", "mth-028")
def _() -> None:
    swap(Grant, "missing", lambda self, required: tuple(s for s in required if not self.level(s.resource)))


@broken("a key lives on for some seconds", "scp-043", "scp-048")
def _() -> None:
    swap(keyscope.system.SystemClock, "now_ms", lambda self: time.time_ns() // 1_000_000 - 5_000)


def _lineage(change: Any) -> None:
    old = Lineage.__init__

    def make(self: Lineage, key: Key, parent: Lineage | None = None) -> None:
        old(self, key, parent)
        change(self)

    swap(Lineage, "__init__", make)


@broken("a key is good at its very expiry", "scp-048")
def _() -> None:
    _lineage(lambda line: setattr(line, "expires_at_ms", line.expires_at_ms + 1))


@broken("revoked keys are accepted", "scp-044", "scp-049")
def _() -> None:
    _lineage(lambda line: setattr(line, "stopped", False))


@broken("a revoked parent does not matter", "scp-049")
def _() -> None:
    _lineage(lambda line: setattr(line, "stopped", line.key.revoked_at_ms is not None))


@broken("what was read once is believed for ever", "cch-008")
def _() -> None:
    swap(keyscope.store.index.SqliteIndex, "_start_anew", lambda self, stamp: setattr(self, "_seen", stamp))


def _remember(key_of: Any) -> None:
    """Keep every decision under what ``key_of`` says of the call."""
    old, kept = verify.Verifier.decide, {}

    def decide_once(self: Any, token: bytes, method: str, path: str, *more: Any) -> Any:
        name = key_of(token, method, path)
        if name not in kept:
            kept[name] = old(self, token, method, path, *more)
        return kept[name]

    swap(verify.Verifier, "decide", decide_once)


@broken("a decision is kept by template", "cch-003")
def _() -> None:
    _remember(lambda token, method, path: (token, method, path.split("/")[:3] and "/".join(path.split("/")[:3])))


@broken("a decision is kept without the credential", "cch-004")
def _() -> None:
    _remember(lambda token, method, path: (method, path))


@broken("a decision outlives the key", "cch-006")
def _() -> None:
    _remember(lambda token, method, path: (token, method, path))


@broken("failures lock everybody out", "cch-009")
def _() -> None:
    old = verify.Verifier.find
    failures: list[bytes] = []

    def find(self: Any, token: bytes) -> Lineage:
        if len(failures) > 2 and token.startswith(b"rk_"):
            raise InvalidToken
        try:
            found: Lineage = old(self, token)
        except InvalidToken:
            failures.append(token)
            raise
        return found

    swap(verify.Verifier, "find", find)


@broken("the checksum alone is believed", "scp-046", "tok-007")
def _() -> None:
    old = verify.Verifier.find

    def find(self: Any, token: bytes) -> Lineage:
        try:
            found: Lineage = old(self, token)
        except InvalidToken:
            if not is_token(token):
                raise
            return Lineage(_anybody())
        return found

    swap(verify.Verifier, "find", find)


def _anybody() -> Key:
    common: dict[str, Any] = {"name": "", "digest": b"", "hint": "", "scopes": (), "created_at_ms": 0}
    return Key(id="key_" + "0" * 22, account_id="acct_0", kind=Kind.STANDARD, **common)


@broken("the kind of a key comes from its prefix", "tok-012", "tok-013")
def _() -> None:
    def find(self: Any, token: bytes) -> Lineage:
        for prefix in (b"rk_", b"ak_"):
            found: Lineage | None = self._find(sha256(prefix + token[3:]).digest())
            if found is not None:
                return found
        raise InvalidToken

    swap(verify.Verifier, "find", find)


@broken("a truncated key is completed", "tok-001")
def _() -> None:
    old = verify.Verifier.find

    def find(self: Any, token: bytes) -> Lineage:
        for last in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
            if is_token(token + bytes([last])):
                token += bytes([last])
        found: Lineage = old(self, token)
        return found

    swap(verify.Verifier, "find", find)


@broken("an error lets the call pass", "hdr-053", "tok-033")
def _() -> None:
    old = part(keyscope.gate.proxy, "first_look")

    def admit(verifier: Any, asked: Any, *sight: Any) -> Any:
        try:
            return old(verifier, asked, *sight)
        except InvalidToken:
            return Allow(Lineage(_anybody()), Access(None, (), 0))

    swap(keyscope.gate.proxy, "first_look", admit)
