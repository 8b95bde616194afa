"""Replies about the service itself, and every refusal."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyscope.api.replies.shape import Reply


class Health(Reply):
    status: Literal["ok"]
    version: str


class Ready(Health):
    """``stale_ms``: of one of several nodes, how long ago it asked what it judges by."""

    stale_ms: int | None = None


class Problem(BaseModel):
    """RFC 9457 problem details, with ``code`` and ``message``."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
