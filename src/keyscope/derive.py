"""The library's front for derived keys: ``keyscope.attenuate`` makes a narrower key from a key, without a server."""

from __future__ import annotations

from collections.abc import Iterable

from keyscope.model import derived
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.model.token import base62
from keyscope.system import SystemEntropy

_RANDOM_BYTES = 16


def attenuate(
    key: Secret | str,
    *,
    scopes: Iterable[Scope | str] | None = None,
    expires_at_ms: int | None = None,
    label: str | None = None,
    nonce: str | None = None,
) -> Secret:
    """A key that can do less than ``key``, made from its text alone; ``.reveal()`` is its text.

    ``scopes`` like ``"devboxes:read"``: None leaves them as they are, empty leaves none. ``expires_at_ms`` is Unix
    milliseconds, ``label`` at most 200 printable characters. ``nonce`` (12 base62 characters) is drawn if not given.
    Raises ValueError, with a sentence for people, if the key or a limit is malformed or a limit would widen.
    """
    drawn = nonce if nonce is not None else _nonce()
    return derived.attenuate(key, nonce=drawn, scopes=scopes, expires_at_ms=expires_at_ms, label=label)


def _nonce() -> str:
    number = int.from_bytes(SystemEntropy().random_bytes(_RANDOM_BYTES))
    return base62(number % 62**derived.NONCE_CHARS, derived.NONCE_CHARS)
