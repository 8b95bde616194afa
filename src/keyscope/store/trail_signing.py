"""The files beside a trail: the key that signs its checkpoints, and the last checkpoint.

``<database>.audit.key`` is made at the first start, for this user alone. ``<database>.audit.checkpoint`` holds the last
checkpoint as ``keyscope audit verify --checkpoint`` reads it: copy it to another machine now and then.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from pathlib import Path

import msgspec

from keyscope.authority.checkpoint import SEED_BYTES, Checkpoint, Signer, seed_of
from keyscope.errors import StoreUnavailable
from keyscope.store.trouble import unusable


def signer_beside(trail: Path) -> Signer:
    """The signer with the key beside the trail, made if there is none. Raises ConfigurationError."""
    path = _key_beside(trail)
    try:
        _make(path)
        return Signer(seed_of(path.read_text("ascii")))
    except (OSError, ValueError) as error:
        raise unusable(
            f"The key of the audit trail, {path}, cannot be used: {error}. Restore it, or delete it to go on with"
            " another one; checkpoints made so far are then verified with the public key that you have kept."
        ) from error


def had_trail(trail: Path) -> bool:
    """Whether files beside the trail tell that there was one."""
    return _key_beside(trail).exists() or _checkpoint_beside(trail).exists()


def known_key(trail: Path) -> str | None:
    """The public key beside the trail, None if there is none. Makes nothing. Raises ConfigurationError."""
    return signer_beside(trail).key if _key_beside(trail).exists() else None


def keep(trail: Path, checkpoint: Checkpoint) -> None:
    """Write the last checkpoint beside the trail; a reader sees all of it or the one before."""
    path = _checkpoint_beside(trail)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(part, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(checkpoint) + b"\n")
        part.replace(path)
    except OSError as error:
        raise StoreUnavailable(f"the checkpoint {path} cannot be written: {error.strerror}") from error


def kept(trail: Path) -> Checkpoint | None:
    """The last checkpoint that was written beside the trail. Raises ConfigurationError if it is none."""
    path = _checkpoint_beside(trail)
    return read_checkpoint(path) if path.exists() else None


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint from a file: one line of JSON. Raises ConfigurationError."""
    try:
        return msgspec.json.decode(path.read_bytes().strip(), type=Checkpoint)
    except (OSError, msgspec.DecodeError) as error:
        raise unusable(f"The file {path} is no checkpoint: {error}. Name one that Keyscope has printed.") from error


def _key_beside(trail: Path) -> Path:
    return trail.with_name(trail.name + ".key")


def _checkpoint_beside(trail: Path) -> Path:
    return trail.with_name(trail.name + ".checkpoint")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(b64encode(secrets.token_bytes(SEED_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
