"""Kinds of live credential that replies hold, and how each is ended: what a key was handed outlives the key.

A row's ``credentials`` say where they stand in its reply. The section ``credential_kinds`` says what they are: each
kind names members by the end of their path (docs/policy-format.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from keyscope.model.body import JsonPath
from keyscope.policy.source import Place


class CredentialKind(Struct, frozen=True):
    """``members`` are ends of paths, like ``tunnel.auth_token``; ``ends`` says to people how one is ended."""

    name: str
    members: tuple[str, ...]
    ends: str

    def covers(self, path: JsonPath) -> bool:
        return any(path.text == member or path.text.endswith("." + member) for member in self.members)


KEYS = CredentialKind(
    "key", ("$.key_secret",), "New ones die with the key that minted them; rotate again those that it rotated"
)
"""Keyscope's own."""


def kind_of(kinds: Iterable[CredentialKind], path: JsonPath) -> CredentialKind:
    """The first kind that covers the member; one that goes by the member's own name if none does."""
    found = next((kind for kind in (*kinds, KEYS) if kind.covers(path)), None)
    name = path.text.rpartition(".")[2]
    return found or CredentialKind(name, (path.text,), "The policy does not say how: ask whoever issues it")


def read_credential_kinds(place: Place | None) -> tuple[CredentialKind, ...]:
    """The kinds of a policy file, by name."""
    kinds = []
    for name, member in (place.members() if place else {}).items():
        parts = member.record(("members", "ends"), ())
        ends = parts["ends"].text() if "ends" in parts else None
        members = [text for item in parts["members"].items() if (text := item.text())] if "members" in parts else []
        kinds.append(CredentialKind(name, tuple(members), ends or ""))
    return tuple(kinds)
