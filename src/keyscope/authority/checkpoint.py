"""Signed checkpoints: a statement that the trail, up to a number, had this hash (Ed25519, RFC 8032).

The chain shows a change of one entry. It does not show that somebody wrote all of it anew, or cut off its end: that
takes a checkpoint, best one that is kept where the trail is not.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

SEED_BYTES = 32


class Checkpoint(Struct, frozen=True, kw_only=True):
    """``number`` and ``hash`` (hexadecimal) are of the last entry that it speaks for; ``at_ms`` is Unix milliseconds.

    ``key`` and ``signature`` are in base64 (RFC 4648 section 4).
    """

    number: int
    hash: str
    at_ms: int
    key: str
    signature: str

    def is_genuine(self, key: str) -> bool:
        """Whether this public key signed it."""
        try:
            public = Ed25519PublicKey.from_public_bytes(b64decode(key, validate=True))
            public.verify(b64decode(self.signature, validate=True), _signed(self.number, self.hash, self.at_ms))
        except (InvalidSignature, NotBase64, ValueError):
            return False
        return self.key == key


class Signer:
    """Signs checkpoints. Raises ValueError for anything but 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = b64encode(self._private.public_key().public_bytes_raw()).decode("ascii")
        """The public key."""

    def sign(self, number: int, hash_: bytes, at_ms: int) -> Checkpoint:
        """A checkpoint of the entry with this number and hash."""
        signature = self._private.sign(_signed(number, hash_.hex(), at_ms))
        signed = b64encode(signature).decode("ascii")
        return Checkpoint(number=number, hash=hash_.hex(), at_ms=at_ms, key=self.key, signature=signed)


def seed_of(text: str) -> bytes:
    """The seed in base64. Raises ValueError, without repeating it, if it is none."""
    try:
        seed = b64decode(text.strip(), validate=True)
    except NotBase64:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise ValueError("use 32 random bytes in base64, like `head -c 32 /dev/urandom | base64` prints")
    return seed


def _signed(number: int, hash_: str, at_ms: int) -> bytes:
    return f"keyscope audit checkpoint v1\n{number}\n{hash_}\n{at_ms}\n".encode()
