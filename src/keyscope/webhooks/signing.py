"""Signing as Standard Webhooks has it, and the secrets for it, encrypted where they are kept.

A secret must be there to sign with, so unlike a key's it cannot be kept as a digest. It is encrypted under a key in a
file of its own: whoever has the database, or a backup of it, without that file has no secret.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyscope.authority.boxes import Box
from keyscope.errors import StoreUnavailable
from keyscope.model.secret import Secret
from keyscope.store.trouble import unusable

PREFIX = "whsec_"
SECRET_BYTES = 32
NONCE_BYTES = 12
SUFFIX = ".webhooks.key"


def new_secret(entropy: bytes) -> Secret:
    """A secret's text from 32 random bytes."""
    return Secret(PREFIX + b64encode(entropy).decode("ascii"))


def signature(secret: Secret, message_id: str, at_s: int, body: bytes) -> str:
    """The ``webhook-signature`` of a try: HMAC-SHA256 of id, time and body, each after a dot."""
    key = b64decode(secret.reveal().removeprefix(PREFIX))
    signed = b".".join((message_id.encode("ascii"), str(at_s).encode("ascii"), body))
    return "v1," + b64encode(hmac.digest(key, signed, sha256)).decode("ascii")


class Sealer:
    """Encrypts secrets, each bound to the endpoint that it belongs to."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._key = key

    def box(self, purpose: bytes) -> Box:
        """Encryption for another purpose, under a key that is derived from the same one."""
        return Box(self._key, purpose)

    def seal(self, endpoint_id: str, secret: Secret, nonce: bytes) -> bytes:
        return nonce + self._cipher.encrypt(nonce, secret.reveal().encode(), endpoint_id.encode())

    def open(self, endpoint_id: str, sealed: bytes) -> Secret:
        """Raises StoreUnavailable if it was sealed with another key, or for another endpoint."""
        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], endpoint_id.encode())
        except InvalidTag:
            raise StoreUnavailable(f"the secret of {endpoint_id} does not open: {SUFFIX} is another one") from None
        return Secret(text.decode())


def key_beside(database: Path) -> Path:
    """The file of the key."""
    database = database.resolve()
    return database.with_name(database.name + SUFFIX)


def sealer_beside(database: Path, random: bytes) -> Sealer:
    """The sealer with the key in ``<database>.webhooks.key``, which is made of 32 random bytes if it is not there.

    Raises ConfigurationError.
    """
    path = key_beside(database)
    try:
        with suppress(FileExistsError):
            _make(path, random)
        key = path.read_bytes()
    except OSError as error:
        raise unusable(f"{path} cannot be used: {error.strerror}. Let this user read and write it.") from error
    if len(key) != SECRET_BYTES:
        raise unusable(f"{path} has {len(key)} bytes instead of {SECRET_BYTES}. Restore it from a backup.")
    return Sealer(key)


def _make(path: Path, random: bytes) -> None:
    """Put the file in place whole: another process may read it at this moment."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, random)
        os.fsync(descriptor)
        os.link(part, path)
    finally:
        os.close(descriptor)
        part.unlink()
