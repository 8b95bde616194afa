"""What all replies share: they are closed, and scopes, states and kinds are written in one way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from keyscope.authority.counters import Budget, Used
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

    ``hides``: the thing asked for is to be answered as if it did not exist. ``wait_ms``: after how many milliseconds
    the same call may pass, if it is only a matter of time.
    """

    reason: str
    holder: str
    message: str
    remedy: str
    hides: bool
    wait_ms: int | None


class SpentView(Reply):
    """How much of the limits of ``holder`` is gone: uses since it was limited, of which ``uses_left`` are left (null if
    they are not limited), and calls that are under way.
    """

    holder: str
    uses: int
    uses_left: int | None
    parallel: int


def spent_view(spent: list[tuple[Budget, Used]] | None) -> dict[str, object]:
    """A member that is null if the counts cannot be had."""
    return {"spent": None if spent is None else [_spent(budget, used) for budget, used in spent]}


def _spent(budget: Budget, used: Used) -> dict[str, object]:
    left = max(0, budget.uses - used.uses) if budget.uses is not None else None
    return {"holder": budget.holder, "uses": used.uses, "uses_left": left, "parallel": used.parallel}


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
            "wait_ms": one.wait_ms,
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
