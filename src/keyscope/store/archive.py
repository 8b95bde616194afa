"""One file that holds a whole authority at one time, as a tar archive: nothing of ours is needed to look into it.

``manifest.json`` comes first and says how large each member is and its SHA-256. The keys that sign checkpoints and open
the secrets of webhooks go into an archive of their own, without a manifest, to be kept apart.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from keyscope.store.marker import sync_directory
from keyscope.store.trouble import unusable

FORMAT = 1
DATABASE, TRAIL, WEBHOOKS = "keyscope.db", "keyscope.db.audit", "keyscope.db.webhooks"
COUNTERS, THINGS = "keyscope.db.counters", "keyscope.db.things"
CHECKPOINT = "keyscope.db.audit.checkpoint"
KEYS = ("keyscope.db.audit.key", "keyscope.db.webhooks.key")

_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 1 << 16


class Member(Struct, frozen=True):
    """One file of a backup."""

    size: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup says of itself. ``events`` is the number of the last change in it."""

    format: int
    version: str
    made_at_ms: int
    database_id: str
    events: int
    files: dict[str, Member]


def unpack(archive: Path, folder: Path) -> Manifest:
    """Take a backup's files out into a folder, each held against the manifest. Raises ConfigurationError."""
    try:
        with tarfile.open(archive, "r:") as tar:
            made = _read_manifest(tar)
            for name, member in made.files.items():
                _take_out(tar, name, member, folder)
    except (tarfile.TarError, KeyError, OSError, msgspec.MsgspecError) as error:
        raise unusable(f"{archive} is no whole backup of Keyscope's: {error}. Take another one.") from None
    return made


def unpack_keys(archive: Path, folder: Path) -> None:
    """Take the keys out. Raises ConfigurationError."""
    try:
        with tarfile.open(archive, "r:") as tar:
            for name in tar.getnames():
                if name not in KEYS:
                    raise unusable(f"{archive} is not what --keys of a backup wrote: it holds {name}.")
                _write(_opened(tar, name), folder / name)
    except (tarfile.TarError, OSError) as error:
        raise unusable(f"{archive} is not what --keys of a backup wrote: {error}.") from None


def pack(folder: Path, made: Manifest | None, target: Path) -> None:
    """Put the files of a folder, which are then gone, into a new archive. Raises ConfigurationError."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(part, "xb", opener=_private) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                if made is not None:
                    _add(tar, _MANIFEST, io.BytesIO(msgspec.json.encode(made)))
                for path in sorted(folder.iterdir()):
                    with path.open("rb") as content:
                        _add(tar, path.name, content)
                    path.unlink()
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unusable(f"{target} cannot be written: {error.strerror}. See to the disk.") from None


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    about = tarfile.TarInfo(name)
    about.size = content.seek(0, os.SEEK_END)
    about.mode = 0o600
    content.seek(0)
    tar.addfile(about, content)


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    content = _opened(tar, _MANIFEST).read(_MOST_MANIFEST_BYTES)
    made = msgspec.json.decode(content, type=Manifest)
    if made.format != FORMAT:
        raise unusable(f"This backup has the format {made.format}; this Keyscope reads {FORMAT}. Upgrade Keyscope.")
    if DATABASE not in made.files or not set(made.files) <= {DATABASE, TRAIL, WEBHOOKS, COUNTERS, THINGS, CHECKPOINT}:
        raise unusable("The manifest of this backup names other files than Keyscope's. Take another one.")
    return made


def _take_out(tar: tarfile.TarFile, name: str, member: Member, folder: Path) -> None:
    _write(_opened(tar, name), folder / name)
    if member_of(folder / name) != member:
        raise unusable(f"{name} in the backup is not what was put into it. Take another backup.")


def _opened(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise unusable(f"{name} in the backup is no file. Take another backup.")
    return found


def _write(content: IO[bytes], target: Path) -> None:
    with open(target, "xb", opener=_private) as file:
        shutil.copyfileobj(content, file, 1 << 20)


def member_of(path: Path) -> Member:
    """What the manifest says of a file."""
    with path.open("rb") as file:
        return Member(path.stat().st_size, file_digest(file, "sha256").hexdigest())


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """For the copies: on the same disk, for this user alone, gone at the end."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".keyscope-", dir=target.resolve().parent))
    except OSError as error:
        raise unusable(f"{target} cannot be written: {error.strerror}. See to its directory.") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
