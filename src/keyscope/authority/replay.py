"""A repeated request gets the same reply, secret included, and the store cannot read it.

The reply is encrypted under a key derived from the caller's own secret, which the store does not hold. So whoever
reads the database, a backup or a log finds no key; and only the same caller, showing the same secret, gets the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from keyscope.authority.ports import Entropy, StoredReply, Writer
from keyscope.errors import Conflict
from keyscope.model.secret import Secret

KEPT_MS = 24 * 3600 * 1000
"""How long a reply can be asked for again."""

NONCE_BYTES = 12
_PURPOSE = b"keyscope reply v1"


class Repeatable(Struct, frozen=True):
    """What identifies a request that may be sent again: its id, its content, and the caller's secret."""

    request_id: str
    operation: str
    body: bytes
    caller_secret: Secret

    @property
    def digest(self) -> bytes:
        """SHA-256 of the operation and the body."""
        return sha256(self.operation.encode() + b"\0" + self.body).digest()


def once(
    writer: Writer,
    caller_id: str,
    repeat: Repeatable | None,
    change: Callable[[], bytes],
    entropy: Entropy,
    now_ms: int,
) -> bytes:
    """The reply of ``change``, or the earlier one if this request was made before, within 24 hours.

    Without ``repeat`` nothing is remembered. Raises Conflict, and what ``change`` raises.
    """
    if repeat is None:
        return change()
    earlier = writer.reply(caller_id, repeat.request_id)
    if earlier is not None and now_ms - earlier.created_at_ms < KEPT_MS:
        return unseal(repeat, earlier)
    writer.drop_replies(now_ms - KEPT_MS)
    reply = change()
    writer.add_reply(seal(repeat, caller_id, reply, entropy.random_bytes(NONCE_BYTES), now_ms))
    return reply


def seal(request: Repeatable, caller_id: str, reply: bytes, nonce: bytes, now_ms: int) -> StoredReply:
    """Encrypt a reply for the caller. The ids are bound in, so a row moved to another caller does not open."""
    sealed = nonce + _cipher(request, caller_id).encrypt(nonce, reply, _bound(request, caller_id))
    return StoredReply(
        caller_id=caller_id,
        request_id=request.request_id,
        request_digest=request.digest,
        sealed=sealed,
        created_at_ms=now_ms,
    )


def unseal(request: Repeatable, stored: StoredReply) -> bytes:
    """The reply given before. Raises Conflict if the request differs or the caller's secret is another one."""
    if stored.request_digest != request.digest:
        raise Conflict("same request id, other body")
    nonce, text = stored.sealed[:NONCE_BYTES], stored.sealed[NONCE_BYTES:]
    try:
        return _cipher(request, stored.caller_id).decrypt(nonce, text, _bound(request, stored.caller_id))
    except InvalidTag:
        raise Conflict("the stored reply does not open with this secret") from None


def _cipher(request: Repeatable, caller_id: str) -> AESGCM:
    derive = HKDF(SHA256(), length=32, salt=caller_id.encode(), info=_PURPOSE)
    return AESGCM(derive.derive(request.caller_secret.reveal().encode()))


def _bound(request: Repeatable, caller_id: str) -> bytes:
    return b"\0".join((caller_id.encode(), request.request_id.encode(), request.digest))
