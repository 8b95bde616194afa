"""Look through what git keeps: files as they ever were, messages, and also what no branch leads to any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from keyscope.scan.findings import Findings, Place
from keyscope.scan.git import GitTrouble, Repository
from keyscope.scan.stream import sightings

_TREE, _BLOB = "tree", "blob"


class Holder(NamedTuple):
    """A git object that holds a key, and the line."""

    object_id: str
    kind: str
    line: int


class Origin(NamedTuple):
    """The oldest commit with a blob: its place in the order of all, its id, and the path in it."""

    number: int
    commit: str
    path: str


def scan_history(directory: Path, findings: Findings) -> None:
    """Look through every object of the repository that git keeps in this directory."""
    repository = Repository(directory)
    top = directory.parent if directory.name == ".git" else directory
    try:
        holders = _holders(repository, None, findings)
        blobs = {holder.object_id for held in holders.values() for holder in held if holder.kind == _BLOB}
        origins = _origins(repository, blobs)
        for text, held in holders.items():
            findings.add(text, _oldest(held, origins, top))
    except GitTrouble as trouble:
        findings.trouble(str(directory), str(trouble))


def scan_staged(findings: Findings) -> None:
    """Look through what is staged for the next commit of the repository around here."""
    repository = Repository(None)
    try:
        paths = {entry.object_id: entry.path for entry in repository.staged()}
        for text, held in _holders(repository, paths, findings).items():
            for holder in held:
                findings.add(text, Place(path=paths[holder.object_id], line=holder.line))
    except GitTrouble as trouble:
        findings.trouble("--staged", str(trouble))


def _holders(repository: Repository, ids: Iterable[str] | None, findings: Findings) -> dict[bytes, list[Holder]]:
    """By key, the objects that hold it. Trees are left out: they hold names alone."""
    holders: dict[bytes, list[Holder]] = {}
    for object_id, kind, content in repository.objects(ids):
        if kind == _TREE:
            continue
        findings.objects += 1
        lines: dict[bytes, int] = {}
        for seen in sightings(content):
            lines.setdefault(seen.text, seen.line)
        for text, line in lines.items():
            holders.setdefault(text, []).append(Holder(object_id, kind, line))
    return holders


def _origins(repository: Repository, blobs: set[str]) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    if not blobs:
        return origins  # the walk through all commits is long
    for number, entry in enumerate(repository.history()):
        if entry.object_id in blobs and entry.object_id not in origins:
            origins[entry.object_id] = Origin(number, entry.commit, entry.path)
            if len(origins) == len(blobs):
                break
    return origins


def _oldest(held: list[Holder], origins: dict[str, Origin], top: Path) -> Place:
    """One place for the key, the oldest: of blobs by commit, then messages, then what no commit leads to."""
    known = [(origins[holder.object_id], holder) for holder in held if holder.object_id in origins]
    if known:
        origin, holder = min(known, key=lambda pair: pair[0].number)
        return _place(str(top / origin.path), origin.commit, holder, held)
    holder = next((holder for holder in held if holder.kind != _BLOB), held[0])
    commit = holder.object_id if holder.kind == "commit" else None
    return _place(str(top / f"({holder.kind})"), commit, holder, held)


def _place(path: str, commit: str | None, holder: Holder, held: list[Holder]) -> Place:
    return Place(path=path, line=holder.line, commit=commit, object_id=holder.object_id, versions=len(held))
