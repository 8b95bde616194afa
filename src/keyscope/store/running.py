"""Which processes are still there: each holds a lock on a file of its own, which the system takes away at its end.

However a process ends, killed or by a power failure, its lock is gone at once and never before. No time is involved:
one that is stopped, or slow, is there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from keyscope.store.trouble import unusable
from keyscope.store.walindex import identity


class Running:
    """This process's own file in a folder that all of them know. Names are never used twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise unusable(f"{folder} cannot be written to: {error.strerror}. Let this user write to it.") from error
        self._identity = identity(self._file)

    @property
    def _file(self) -> Path:
        return self._folder / self.name

    def is_told(self) -> bool:
        """Whether the others can see that this process is there."""
        return identity(self._file) == self._identity

    def has_ended(self, name: str) -> bool:
        """Whether the process with this name is there no longer."""
        try:
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def forget(self, name: str) -> None:
        """Take away the file of a process that has ended."""
        (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """End. Nothing may count on this process afterwards."""
        self.forget(self.name)
        os.close(self._descriptor)
