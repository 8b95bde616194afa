"""What all replies share: they are closed, and scopes, states and kinds are written in one way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyscope.model.key import Key
from keyscope.model.run import Run
from keyscope.model.scope import Scope

Status = Literal["active", "expired", "suspended", "revoked"]


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeView(Reply):
    resource_type: str
    access_level: str


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
