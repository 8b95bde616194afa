"""What a search has found, and what it could not look into."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct, field

from keyscope.model.secret import Secret
from keyscope.model.shapes import redacted, shown


class Place(Struct, frozen=True, kw_only=True):
    """Where a key stands. A place in history is the oldest commit that holds it.

    ``path`` is as it was given and may be strange text; ``line`` counts from 1. ``versions`` is how many git objects
    hold the key. ``commit`` is None for a file, and for an object that no commit leads to.
    """

    path: str
    line: int
    commit: str | None = None
    object_id: str | None = None
    versions: int = 1

    @property
    def view(self) -> dict[str, object]:
        """For programs."""
        members = {"line": self.line, "commit": self.commit, "object": self.object_id, "versions": self.versions}
        return {"path": printable(self.path), **members}

    def __str__(self) -> str:
        where = f"{printable(self.path)}:{self.line}"
        if self.object_id is None:
            return where
        origin = f"first in commit {self.commit}" if self.commit else f"git object {self.object_id}, in no commit"
        more = f", {self.versions} versions" if self.versions > 1 else ""
        return f"{where}, {origin}{more}"


class Leak(Struct, frozen=True):
    """A key and everywhere it stands."""

    secret: Secret
    shown: str
    places: list[Place] = field(default_factory=list)


class Trouble(Struct, frozen=True):
    """Something that could not be looked into, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.why}"


class Findings:
    """Gathers leaks by key, in the order in which they were found."""

    def __init__(self) -> None:
        self._leaks: dict[bytes, Leak] = {}
        self.troubles: list[Trouble] = []
        self.files = 0
        self.objects = 0

    @property
    def leaks(self) -> list[Leak]:
        return list(self._leaks.values())

    def add(self, text: bytes, place: Place) -> None:
        """A key's text was seen here."""
        leak = self._leaks.setdefault(sha256(text).digest(), Leak(Secret(text.decode("ascii")), shown(text)))
        leak.places.append(place)

    def trouble(self, path: str, why: str) -> None:
        self.troubles.append(Trouble(path, why))


def printable(path: str) -> str:
    """A path for a terminal: no key in it, no escape sequence, no line break."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in redacted(path))
