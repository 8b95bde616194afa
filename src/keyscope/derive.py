"""Derived keys for programs: make a narrower key from a key's text alone, without a server.

The same as ``keyscope attenuate``. The format is in ``keyscope/model/derived.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keyscope.model import derived
from keyscope.model.body import Json
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Scope
from keyscope.model.token import base62
from keyscope.system import SystemEntropy

_RANDOM_BYTES = 16


def attenuate(
    key: str,
    *,
    scopes: Iterable[Scope | str] | None = None,
    expires_at_ms: int | None = None,
    label: str | None = None,
    restrictions: Mapping[str, Json] | None = None,
    nonce: str | None = None,
) -> str:
    """The text of a key that can do less than ``key``, which is an ``ak_``, ``rk_`` or ``dk_`` key's text.

    ``scopes`` like ``"devboxes:read"``: None leaves them as they are, empty leaves none. ``expires_at_ms`` is Unix
    milliseconds, ``label`` at most 200 printable characters, ``restrictions`` as in the body of a mint. ``nonce`` (12
    base62 characters) is drawn if not given.
    Raises ValueError, with a sentence for people, if the key or a limit is malformed or a limit would widen.
    """
    drawn = _nonce() if nonce is None else nonce
    bounds = Restrictions.parse(dict(restrictions)) if restrictions is not None else None
    return derived.attenuate(
        key, nonce=drawn, scopes=scopes, expires_at_ms=expires_at_ms, label=label, restrictions=bounds
    ).reveal()


def derived_id(key: str) -> str:
    """The id (``drv_…``) that revokes this derived key and what is derived from it. Raises ValueError."""
    return derived.last_id(key)


def _nonce() -> str:
    number = int.from_bytes(SystemEntropy().random_bytes(_RANDOM_BYTES))
    return base62(number % 62**derived.NONCE_CHARS, derived.NONCE_CHARS)
