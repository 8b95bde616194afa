"""A small platform with a memory, in the shapes of the Runloop API: devboxes, their disk snapshots, lists in pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.recorder import Reply, Seen

DEFAULT_LIMIT, MOST = 20, 5000


class Sandboxes:
    """Answers what a recorder has seen. ``fetched`` counts the pages that were asked for."""

    def __init__(self) -> None:
        self.devboxes: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.fetched = 0
        self.made: Callable[[str], None] = lambda _: None
        """Called with the id of what was made, before the answer goes out."""
        self.spelling: tuple[str, str] | None = None
        """What is written in another way in replies."""
        self._numbers = count(1)
        self._answered: dict[str, Reply] = {}

    def new_devbox(self, **members: Any) -> str:
        name = f"dbx_{next(self._numbers):06}"
        self.devboxes[name] = {"id": name, "status": "running", "create_time_ms": 1, "capabilities": [],
                               "launch_parameters": {}, "metadata": {}, "state_transitions": [], **members}  # fmt: skip
        return name

    def __call__(self, seen: Seen) -> Reply:
        reply = self._answer(seen)
        if self.spelling is None:
            return reply
        plain, other = self.spelling
        return replace(reply, body=reply.body.replace(plain.encode(), other.encode()))

    def _answer(self, seen: Seen) -> Reply:
        url = urlsplit(seen.target)
        given = json.loads(seen.body) if seen.body.startswith(b"{") else {}
        repeated = self._answered.get(seen.header("x-request-id") or "")
        if repeated is not None:
            return repeated  # the platform knows one account, so anybody's repeated request is the same one
        for method, pattern, answer in self._routes():
            found = re.fullmatch(pattern, url.path)
            if found and method == seen.method:
                reply = answer(parse_qs(url.query), given, *found.groups())
                if method == "POST" and seen.header("x-request-id"):
                    self._answered[str(seen.header("x-request-id"))] = reply
                return reply
        return _reply({"message": f"no {url.path}"}, 404)

    def _routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        return [
            ("GET", "/v1/devboxes", lambda query, _: self._page("devboxes", self.devboxes, query)),
            ("POST", "/v1/devboxes", self._create),
            ("GET", "/v1/devboxes/disk_snapshots", lambda query, _: self._page("snapshots", self.snapshots, query)),
            ("POST", "/v1/devboxes/disk_snapshots/([^/]+)/delete", self._delete_snapshot),
            ("GET", "/v1/devboxes/([^/]+)", lambda _, __, box: self._box(box)),
            ("POST", "/v1/devboxes/([^/]+)", lambda _, given, box: self._box(box, **given)),
            ("POST", "/v1/devboxes/([^/]+)/shutdown", lambda _, __, box: self._box(box, status="shutdown")),
            ("POST", "/v1/devboxes/([^/]+)/suspend", lambda _, __, box: self._box(box, status="suspended")),
            ("POST", "/v1/devboxes/([^/]+)/snapshot_disk", self._snapshot),
        ]

    def _page(self, name: str, things: dict[str, dict[str, Any]], query: dict[str, list[str]]) -> Reply:
        self.fetched += 1
        limit = min(int(query.get("limit", [str(DEFAULT_LIMIT)])[0]), MOST)
        names = list(things)
        after = query.get("starting_after", [""])[0]
        if after and after not in things:
            return _reply({"message": "unknown cursor"}, 400)
        start = names.index(after) + 1 if after else 0
        shown = [things[thing] for thing in names[start : start + limit]]
        return _reply({name: shown, "has_more": start + limit < len(names), "total_count": len(names)})

    def _create(self, _: object, given: dict[str, Any]) -> Reply:
        if given.get("snapshot_id") not in (None, *self.snapshots):
            return _reply({"message": "no such snapshot"}, 400)
        name = self.new_devbox(name=given.get("name"))
        self.made(name)
        return _reply(self.devboxes[name])

    def _box(self, name: str, **change: Any) -> Reply:
        if name not in self.devboxes:
            return _reply({"message": "Not Found"}, 404)
        self.devboxes[name].update(change)
        return _reply(self.devboxes[name])

    def _snapshot(self, _: object, __: object, box: str) -> Reply:
        name = f"snp_{next(self._numbers):06}"
        self.snapshots[name] = {"id": name, "source_devbox_id": box, "create_time_ms": 1, "metadata": {}}
        self.made(name)
        return _reply(self.snapshots[name])

    def _delete_snapshot(self, _: object, __: object, name: str) -> Reply:
        self.snapshots.pop(name, None)
        return _reply({})


def _reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())
