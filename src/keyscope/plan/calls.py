"""One call to plan for, as a file names it. Header fields, cookies and queries are never taken over from the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from keyscope.errors import BadTarget, Fault, TooLarge
from keyscope.model.body import Json
from keyscope.model.scope import Scope
from keyscope.wire.target import METHODS, canonical_path, matched_method

_PARAMETER = re.compile(r"\{[^/{}]*\}")
_KEY_TEXT = re.compile(r"\b[ard]k_[0-9A-Za-z_-]{8,}")


class BadFile(ValueError):
    """A file that cannot be read; ``faults`` has each place and what to do about it, never what stands there."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("the file cannot be read")
        self.faults = tuple(faults)


class Attempt(Struct, frozen=True, kw_only=True):
    """A call, by operation id or by method and path (a template's parameters may stand in it).

    ``body`` is UNSET where nobody knows it, None for none. ``more`` are scopes that the file itself says it needs.
    ``refused`` says why a gate refuses the call whatever the key, if it does.
    """

    operation: str | None = None
    method: str = ""
    path: str = ""
    body: Json | UnsetType = UNSET
    more: tuple[Scope, ...] = ()
    refused: str = ""

    @property
    def shown(self) -> str:
        """For people. What looks like a key in a path is not shown."""
        return self.operation or _KEY_TEXT.sub("(a key)", f"{self.method} {self.path}")


def attempt(method: str, path: str, body: Json | UnsetType = UNSET, more: tuple[Scope, ...] = ()) -> Attempt:
    """A call by method and path without a query."""
    return Attempt(method=matched_method(method), path=path, body=body, more=more, refused=_refused(method, path))


def _refused(method: str, path: str) -> str:
    if method not in METHODS:
        return "Keyscope does not know this method"
    try:
        canonical_path(_PARAMETER.sub("x", path).encode())
    except (BadTarget, TooLarge) as error:
        return f"every gate refuses this path: {error.detail}"
    return ""
