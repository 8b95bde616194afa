"""Body conditions: which scopes a member of a JSON body calls for.

A condition is a path and a scope. The path is a small part of JSONPath (RFC 9535): ``$``, then ``.member``, ``.*``
(every member of an object) or ``[*]`` (every element of an array). It triggers if it selects any value but null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from keyscope.model.scope import Scope

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|(\.\*)|(\[\*\])", re.ASCII)


class JsonPath(Struct, frozen=True):
    """A parsed path. ``steps`` holds member names, ``.*`` and ``[*]``."""

    text: str
    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path. Raises ValueError, naming the place, if it is not one."""
        if not text.startswith("$"):
            raise ValueError(f"{text!r} is not a path: it starts with $")
        steps, at = [], 1
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None:
                raise ValueError(f"{text!r} is not a path: {text[at:]!r} is none of .member, .* and [*]")
            steps.append(found.group(1) or found.group(2) or found.group(3))
            at = found.end()
        return cls(text, tuple(steps))

    def select(self, body: Json) -> Iterator[Json]:
        """Every value that the path reaches, null ones included."""
        values = [body]
        for step in self.steps:
            values = [found for value in values for found in _step(value, step)]
        return iter(values)

    def __str__(self) -> str:
        return self.text


class Credential(JsonPath, frozen=True):
    """A path to a live credential in a reply. A key without ``needs`` does not receive it."""

    needs: Scope


def _step(value: Json, step: str) -> list[Json]:
    if step == "[*]":
        return value if isinstance(value, list) else []
    if not isinstance(value, dict):
        return []
    if step == ".*":
        return list(value.values())
    return [value[step]] if step in value else []


class BodyCondition(Struct, frozen=True):
    """``when`` selects something that is not null, then ``needs`` is required too. ``why`` is for people."""

    when: JsonPath
    needs: Scope
    why: str = ""

    def triggers(self, body: Json) -> bool:
        return any(value is not None for value in self.when.select(body))
