"""What all replies share: they are closed, and scopes, states and kinds are written in one way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyscope.model.key import Key
from keyscope.model.scope import Scope

Status = Literal["active", "expired", "suspended", "revoked"]


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeView(Reply):
    resource_type: str
    access_level: str


def scope_views(scopes: tuple[Scope, ...]) -> list[dict[str, str]]:
    return [scope.entry for scope in scopes]


def kind_word(key: Key) -> str:
    return key.kind.name.lower()
