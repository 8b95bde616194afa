"""Walk files: every ordinary one, whatever is in it. Symbolic links are not followed, archives not unpacked.

What cannot be read is named, because a search that passes over things in silence proves nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from keyscope.scan.findings import Findings, Place
from keyscope.scan.stream import Source, sightings

OBJECTS = "objects"


def scan_source(source: Source, name: str, findings: Findings) -> None:
    """Look through a stream. Raises what the source raises."""
    findings.files += 1
    for seen in sightings(source):
        findings.add(seen.text, Place(path=name, line=seen.line))


def scan_path(path: Path, findings: Findings) -> list[Path]:
    """Look through a file, or through all files below a directory. Returns git's directories that were met.

    What git keeps in its ``objects`` is compressed and left to ``scan_history``; its other files are looked into.
    """
    repositories: list[Path] = []
    if path.is_file():
        _scan_file(path, findings)
    elif path.is_dir():
        for file in _files_below(path, findings, repositories):
            _scan_file(file, findings)
    else:
        findings.trouble(str(path), "there is no such file or directory")
    return repositories


def is_git_directory(path: Path) -> bool:
    """Whether git keeps a repository in this very directory, as in ``.git`` or a bare one."""
    return (path / "HEAD").is_file() and (path / OBJECTS).is_dir() and (path / "refs").is_dir()


def _files_below(top: Path, findings: Findings, repositories: list[Path]) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        findings.trouble(str(error.filename), error.strerror or type(error).__name__)

    for name, folders, files in os.walk(top, onerror=failed):
        folder = Path(name)
        if is_git_directory(folder):
            repositories.append(folder)
            folders[:] = [inner for inner in folders if inner != OBJECTS]
        folders.sort()
        yield from (folder / file for file in sorted(files))


def _scan_file(path: Path, findings: Findings) -> None:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return
        # A pipe that takes the file's place meanwhile must not hold the search up.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            scan_source(file, str(path), findings)
    except OSError as error:
        findings.trouble(str(path), error.strerror or type(error).__name__)
