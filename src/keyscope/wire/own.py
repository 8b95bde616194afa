"""Keyscope's own paths: what stands at or below them is answered by Keyscope itself, and never reaches the upstream.

Every gate holds this. A call that mints keys, sent on with the upstream's own key, would make a key of the upstream's
that no grant binds and no revocation here ends.
"""

from __future__ import annotations

RESTRICTED_KEYS = "/v1/restricted_keys"
API_KEYS = "/v1/apikeys"
OWN = "/keyscope"
CONSOLE = "/keyscope/console"
METADATA = "/.well-known/oauth-authorization-server"
CONFIGURATION = "/.well-known/authzen-configuration"

PREFIXES = (RESTRICTED_KEYS, API_KEYS, OWN)
WELL_KNOWN = frozenset({METADATA, CONFIGURATION})
_BEGINNINGS = (*PREFIXES, "/.well-known/")


def is_own(path: str) -> bool:
    """Whether a canonical path is Keyscope's own."""
    if not path.startswith(_BEGINNINGS):  # nearly every call, and this is asked of each
        return False
    return path in WELL_KNOWN or any(path == prefix or path.startswith(prefix + "/") for prefix in PREFIXES)


def is_console(path: str) -> bool:
    """Whether a canonical path is one of the console's pages."""
    return path == CONSOLE or path.startswith(CONSOLE + "/")
