"""The attack rows, and which of them apply here. What does not apply stands in one table, with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

_DATA = Path(__file__).parents[1] / "data" / "attacks"
FILES = tuple(_DATA / f"{name}.json" for name in ("rows", "in_front", "held", "restrictions"))

PROXY, API, FORWARD_AUTH, BUILT_IN = "proxy", "api", "forward-auth", "built-in"
FACES = (PROXY, API, FORWARD_AUTH, BUILT_IN)
IN_FRONT = (PROXY, BUILT_IN)
"""Faces behind which the upstream stands."""
_TARGETS = {PROXY: {"proxy", "asgi"}, API: {"api"}, FORWARD_AUTH: {"forward-auth"}, BUILT_IN: {"built-in"}}
"""The built-in gate is both of what the rows call proxy and asgi. Rows for it alone look at what others do not see."""

NOT_APPLICABLE = {
    "split-token": "a key's text has no public part: it is one random number, looked up by its digest",
    "base64-token": "a key's text is base62, which has one spelling and no padding",
    "secret-scanning": "the secret-scanning webhook does not exist yet",
}
"""Values of ``requires`` and ``policy`` that this product does not have, and why."""

APPLICABLE = frozenset(
    {
        "checksummed-token",
        "mixed-case-token",
        "db-access",
        "verify-endpoint-from-proxy",
        "scope-update",
        "attenuation",
        "cascade-revocation",
        "write-implies-read",
        "oauth-endpoints",
        "rotation",
    }
)
"""Values of ``requires`` and ``policy`` that it has."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to do before the row itself."""

    method: str
    raw_path: str
    key: str
    expect: str
    headers: list[tuple[str, str]] = []
    body: str | None = None


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One request and its verdict; the members are explained in tests/data/attacks/README.md."""

    id: str
    category: str
    method: str
    raw_path: str
    headers: list[tuple[str, str]]
    body: str | None
    key: str
    expect: str
    why: str
    applies_to: list[str]
    expect_any: list[str] = []
    expect_sequence: list[str] = []
    token_ops: list[str] = []
    requires: str | None = None
    policy: str | None = None
    raw: bool = False
    raw_request: str | None = None
    proto: str = "h1"
    h2_headers: list[tuple[str, str]] = []
    encoding: str = "utf-8"
    body_repeat: list[tuple[str, int]] = []
    prime: list[Step] = []
    assert_response: dict[str, Any] = {}
    assert_upstream: dict[str, Any] = {}
    assert_after: dict[str, str] = {}

    @property
    def verdicts(self) -> tuple[str, ...]:
        """All acceptable verdicts."""
        return tuple(dict.fromkeys((self.expect, *self.expect_any)))

    @property
    def whole_body(self) -> str | None:
        """The body as text, repeated pieces put together."""
        if self.body_repeat:
            return "".join(text * count for text, count in self.body_repeat)
        return self.body

    @property
    def lacks(self) -> str | None:
        """The feature or decision that the row needs and the product does not have."""
        return next((need for need in (self.requires, self.policy) if need in NOT_APPLICABLE), None)

    def as_row(self, step: Step) -> Row:
        """A step that is a request, as a row of its own."""
        return Row(
            id=f"{self.id}, a step before",
            category=self.category,
            method=step.method,
            raw_path=step.raw_path,
            headers=step.headers,
            body=step.body,
            key=step.key,
            expect=step.expect,
            why=self.why,
            applies_to=self.applies_to,
        )


ROWS: tuple[Row, ...] = tuple(row for file in FILES for row in msgspec.json.decode(file.read_bytes(), type=list[Row]))
BY_ID = {row.id: row for row in ROWS}


def rows_for(face: str) -> tuple[Row, ...]:
    """The rows that apply to a face."""
    return tuple(row for row in ROWS if row.lacks is None and not _TARGETS[face].isdisjoint(row.applies_to))
