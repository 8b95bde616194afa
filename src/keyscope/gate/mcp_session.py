"""Sessions belong to the key that opened them.

The upstream knows only the gate's one credential, so to it all sessions are the same caller's. The session id that a
caller gets is therefore the upstream's with a seal (HMAC-SHA256) over it and the key: the gate keeps no list of
sessions, and another key's id fails the seal. The secret of the seal lives as long as the gate's process; afterwards
clients are told that the session is unknown, and start a new one, as the specification has it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from keyscope.errors import UnknownSession
from keyscope.model.key import Lineage

HEADER = b"mcp-session-id"
_SEAL_BYTES = 18
_SEPARATOR = "."


class Sessions:
    """Seals session ids, and opens those that were sealed for the same key."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sealed(self, session: str, lineage: Lineage) -> str:
        """What the caller gets for the upstream's session id."""
        return f"{session}{_SEPARATOR}{self._seal(session, lineage)}"

    def opened(self, given: str, lineage: Lineage) -> str:
        """The upstream's session id. Raises UnknownSession if this key did not open it here."""
        session, found, seal = given.rpartition(_SEPARATOR)
        if not found or not hmac.compare_digest(seal.encode(), self._seal(session, lineage).encode()):
            raise UnknownSession
        return session

    def _seal(self, session: str, lineage: Lineage) -> str:
        """A derived key is another key than the one that it came from; a rotated key is the same."""
        about = f"{lineage.key.account_id}\0{lineage.chain[0]}\0{session}".encode()
        mac = hmac.digest(self._secret, about, hashlib.sha256)
        return base64.urlsafe_b64encode(mac[:_SEAL_BYTES]).decode("ascii")
