"""Routes that stand twice, once for each kind of key: ``/v1/restricted_keys`` and ``/v1/apikeys``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import BaseModel

from keyscope.api.caller import Desk
from keyscope.api.replies.keys import ApiKeyView, RestrictedKeyView
from keyscope.model.token import Kind

Models = Mapping[Kind, type[BaseModel]]

VIEWS: Models = {Kind.RESTRICTED: RestrictedKeyView, Kind.STANDARD: ApiKeyView}
"""A key as described."""

_WORD = {Kind.RESTRICTED: "RestrictedKey", Kind.STANDARD: "APIKey"}


class KindRoutes(ABC):
    """Routes about one kind of key, below its prefix."""

    def __init__(self, desk: Desk, kind: Kind, prefix: str) -> None:
        self._desk = desk
        self._kind = kind
        self.router = APIRouter(prefix=prefix, tags=[prefix.rsplit("/", 1)[1]])
        self._add_routes(_WORD[kind])

    @abstractmethod
    def _add_routes(self, word: str) -> None:
        """Add them to the router. ``word`` is the kind's name in operation ids."""
