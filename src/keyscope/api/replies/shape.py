"""What all replies share: they are closed, and scopes, states and kinds are written in one way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from keyscope.model.key import Key, Lineage
from keyscope.model.objection import Objection
from keyscope.model.run import Run
from keyscope.model.scope import Scope

Status = Literal["active", "expired", "suspended", "revoked"]


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeView(Reply):
    resource_type: str
    access_level: str


class BoundView(Reply):
    """The restrictions of one key of a line, or of one link of a derived key: ``holder`` is its id."""

    holder: str
    restrictions: dict[str, JsonValue]


class ObjectionView(Reply):
    """What a restriction of ``holder`` has against a call, and what would help.

    ``hides``: the thing asked for is to be answered as if it did not exist.
    """

    reason: str
    holder: str
    message: str
    remedy: str
    hides: bool


def bound_views(lineage: Lineage) -> list[dict[str, object]]:
    """The restrictions of a whole line, nearest first."""
    return [{"holder": bound.holder, "restrictions": bound.restrictions.plain} for bound in lineage.bounds]


def objection_views(objections: tuple[Objection, ...]) -> list[dict[str, object]]:
    return [
        {
            "reason": one.reason.value,
            "holder": one.holder,
            "message": one.message,
            "remedy": one.remedy,
            "hides": one.hides,
        }
        for one in objections
    ]


class RunView(Reply):
    """What a key is bound to, and dies with. ``lease_ms`` is how long a renewal lasts. Times are Unix milliseconds."""

    devbox_id: str | None
    lease_ms: int | None
    lease_until_ms: int | None


def run_view(run: Run | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {"devbox_id": run.devbox_id, "lease_ms": run.lease_ms, "lease_until_ms": run.lease_until_ms}


def scope_views(scopes: tuple[Scope, ...]) -> list[dict[str, str]]:
    return [scope.entry for scope in scopes]


def kind_word(key: Key) -> str:
    return key.kind.name.lower()
