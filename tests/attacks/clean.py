"""What must hold of everything that arrives behind a gate, whatever the row is about.

The upstream hears from the gate alone who calls. Nothing arrives by which a caller could be somebody else, call from
somewhere else, or ask for something else than what was judged, and no key of Keyscope's. Names are compared as CGI and
its heirs read them, with everything but letters and digits the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tests.attacks.verdicts import Case
from tests.recorder import Seen

_IDENTITY = ("x-keyscope-key-id", "x-keyscope-account-id")
_CLAIMS = frozenset(
    (
        *("cookie", "proxy-authorization", "http2-settings", "x-account-id", "x-rewrite-url"),
        *("x-original-uri", "x-original-url", "x-original-method", "x-original-content-length"),
        *("x-forwarded-uri", "x-forwarded-method", "x-forwarded-prefix"),
        *("x-http-method", "x-http-method-override", "x-method-override"),
    )
)
_CONNECTION = frozenset(("", "close", "keep-alive", "upgrade"))

Rule = Callable[[Seen, Case], "str | None"]
"""Given one request that arrived: what is wrong with it, or None."""


def unclean(case: Case, credential: str | None) -> str | None:
    """The first thing that should not have arrived so. ``credential`` is the Authorization that must stand there."""
    return next(
        (f"arrived unclean: {fault}" for seen in case.outcome.reached for fault in _faults(seen, case, credential)),
        None,
    )


def _faults(seen: Seen, case: Case, credential: str | None) -> Iterator[str]:
    if seen.all("authorization") != ([credential] if credential else []):
        yield "not the upstream's own credential"
    yield from (fault for rule in _RULES if (fault := rule(seen, case)) is not None)


def _names(seen: Seen) -> list[str]:
    return [re.sub("[^a-z0-9]", "-", name) for name, _ in seen.headers]


def _keys(seen: Seen, case: Case) -> str | None:
    written = (seen.target, *(value for _, value in seen.headers))
    return next(
        (f"the secret of {n}" for n, key in case.cast.secrets.items() if any(key in text for text in written)), None
    )


def _caller(seen: Seen, case: Case) -> str | None:
    """Who calls is said once; and by the gate, where it is known whose key the row presents."""
    if [name for name in _names(seen) if name.startswith("x-keyscope-")] not in ([*_IDENTITY], [*_IDENTITY[::-1]]):
        return f"who calls is not said exactly once: {_names(seen)}"
    if case.row.key not in case.cast.secrets:
        return None
    key = case.cast[case.row.key]
    said = tuple(seen.header(name) for name in _IDENTITY)
    return None if said[1] == key.account and said[0] == (key.id or said[0]) else "somebody else is said to call"


def _claims(seen: Seen, _: Case) -> str | None:
    return next((name for name in _names(seen) if name in _CLAIMS), None)


def _hops(seen: Seen, _: Case) -> str | None:
    """What belongs to one connection alone does not cross (RFC 9110 section 7.6.1)."""
    named = {part.strip().lower() for value in seen.all("connection") for part in value.split(",")}
    if named - _CONNECTION:
        return f"Connection: {named}"
    return next((f"Upgrade: {value}" for value in seen.all("upgrade") if value.lower() != "websocket"), None)


def _framing(seen: Seen, _: Case) -> str | None:
    """One length, said once: else the next program could end the message elsewhere."""
    lengths = [*seen.all("content-length"), *seen.all("transfer-encoding")]
    return None if len(lengths) <= 1 else f"framed by {lengths}"


def _host(seen: Seen, _: Case) -> str | None:
    return None if len(seen.all("host")) == 1 else f"hosts {seen.all('host')}"


_RULES: tuple[Rule, ...] = (_keys, _caller, _claims, _hops, _framing, _host)
