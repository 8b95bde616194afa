"""Encryption of what the server itself must be able to read again, each text bound to what it belongs to."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyscope.errors import StoreUnavailable

NONCE_BYTES = 12
_KEY_BYTES = 32
_MARK_BYTES = 8


class Box:
    """AES-256-GCM under a key that is derived from the server's own for one purpose. ``mark`` says which key it is, and
    nothing of it.
    """

    def __init__(self, key: bytes, purpose: bytes) -> None:
        self._cipher = AESGCM(_derived(key, purpose, _KEY_BYTES))
        self.mark = _derived(key, purpose + b" mark", _MARK_BYTES).hex()

    def seal(self, belongs_to: str, text: bytes, nonce: bytes) -> bytes:
        return nonce + self._cipher.encrypt(nonce, text, belongs_to.encode())

    def open(self, belongs_to: str, sealed: bytes) -> bytes:
        """Raises StoreUnavailable if it was sealed with another key, or belongs to something else."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belongs_to.encode())
        except InvalidTag:
            raise StoreUnavailable(
                f"what is kept of {belongs_to} does not open: the server's key is another one"
            ) from None


def _derived(key: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length=length, salt=None, info=purpose).derive(key)
