"""What HAProxy does about header fields, as regular expressions, from the table that the built-in gate goes by.

It sees all names of a request as one text, ``host;accept;x-request-id``, so one look tells whether anything is to do.
HAProxy itself has taken ``close`` and ``keep-alive`` out of Connection: what is left there names other fields.
"""

from __future__ import annotations

from keyscope.gate.headers import HOP_BY_HOP, NEVER_INWARD, NEVER_INWARD_PREFIXES

SEPARATOR = ";"

_REPLACED = frozenset({b"authorization", b"host"})
_ASKED = frozenset(b"connection expect te trailer transfer-encoding upgrade".split())
"""Fields that change how the message is read: a request with one of them is Keyscope's."""

_NAMES = "|".join(sorted(name.decode() for name in (NEVER_INWARD | HOP_BY_HOP) - _REPLACED - _ASKED))
_PREFIXES = "|".join(prefix.decode() for prefix in NEVER_INWARD_PREFIXES)
_ONCE = "|".join(f"{name.decode()};(?:.*;)?{name.decode()}" for name in sorted(_REPLACED))
_ASKING = "|".join(sorted(name.decode() for name in _ASKED))

ASKED = f"^(?!(?:.*;)?host(?:;|$))|(?:^|;)(?:{_ASKING}|{_ONCE})(?:;|$)"
"""Matches the names of a request that HAProxy does not judge: no Host, a repeated one, or a field from above."""

TO_DELETE = f"^(?:{_NAMES}|(?:{_PREFIXES}).*|.*[^a-z0-9-].*)$"
"""Matches a name that does not go to the upstream."""

ANY_TO_DELETE = f"[^a-z0-9;-]|(?:^|;)(?:(?:{_NAMES})(?:;|$)|{_PREFIXES})"
"""Matches the names of a request that has such a field."""

UNUSUAL = f"{ASKED}|{ANY_TO_DELETE}"
"""Matches the names of a request that has to be looked at more closely. Most have no such name."""
