"""The command's way to a server: ``KEYSCOPE_URL`` and ``KEYSCOPE_API_KEY``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NoReturn

import click
import httpx

from keyscope.cli.receipts import Receipt, follow
from keyscope.client.events import EventReader

DEFAULT_URL = "http://127.0.0.1:8700"
_TIMEOUT_S = 30.0
_AT_ONCE = {"prefer": "wait=0"}
_WHEN_CHANGED = "wait=5"
_SILENT_S = 10.0
"""A stream of changes says something twice a second."""


class Lost(click.ClickException):
    """No answer, or one that broke off."""

    def show(self, file: Any = None) -> None:
        click.echo(f"keyscope: {self.message}", err=True)


class ServerRefused(click.ClickException):
    """The server said no; its own sentence says why."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("message") or f"the server answered {status}"))
        self.status = status
        self.problem = problem

    def show(self, file: Any = None) -> None:
        click.echo(f"keyscope: {self.message}", err=True)


class Client:
    """Calls a Keyscope server with one key."""

    def __init__(self, url: str, key: str, *, follows: bool = False) -> None:
        if not (key.isascii() and key.isprintable() and key):
            raise click.UsageError("The key has characters that no key has; copy it again, whole.")
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
        self._url = url
        self._follows = follows
        """Whether there is somebody to watch how one node after the other has what is taken away."""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        return self._call("GET", path, params=given)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        reply = self._call("POST", path, json=body, headers=_AT_ONCE if self._follows else {})
        if self._follows and reply.get("receipt"):
            first: Receipt = reply["receipt"]
            reply["receipt"] = follow(first, partial(self._receipt, first["epoch"], first["number"]))
        return reply

    def events(self, path: str, params: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-Sent Events, each with its kind, until the server ends them. Raises ServerRefused and Lost."""
        given = {name: value for name, value in params.items() if value is not None}
        timeout = httpx.Timeout(_TIMEOUT_S, read=_SILENT_S)
        try:
            with self._http.stream("GET", path, params=given, timeout=timeout) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    self._refused(response)
                reader = EventReader()
                for piece in response.iter_raw():
                    yield from ((event.kind, json.loads(event.data)) for event in reader.feed(piece))
        except (httpx.HTTPError, ValueError) as error:
            raise self._lost(error) from None

    def _receipt(self, epoch: str, number: int, known: str | None) -> tuple[Receipt, str] | None:
        news = {"prefer": _WHEN_CHANGED, "if-none-match": known} if known is not None else {}
        response = self._send("GET", f"/keyscope/receipts/{epoch}/{number}", headers=news)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return self._answer(response), response.headers["etag"]

    def _call(self, method: str, path: str, **content: Any) -> Any:
        return self._answer(self._send(method, path, **content))

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def _answer(self, response: httpx.Response) -> Any:
        if response.status_code != httpx.codes.OK:
            self._refused(response)
        return self._members(response)

    def _lost(self, error: Exception) -> Lost:
        return Lost(
            f"No answer from {self._url} ({type(error).__name__}). Is it running? Start it with `keyscope serve`, "
            "or set KEYSCOPE_URL."
        )

    def _refused(self, response: httpx.Response) -> NoReturn:
        reply = self._members(response)
        raise ServerRefused(response.status_code, reply if isinstance(reply, dict) else {})

    def _members(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise click.ClickException(f"{self._url} did not answer like a Keyscope server.") from None


def connect(key: str | None = None) -> Client:
    """A client from the environment. ``key`` replaces KEYSCOPE_API_KEY."""
    key = key or os.environ.get("KEYSCOPE_API_KEY", "")
    if not key:
        raise click.UsageError("Set KEYSCOPE_API_KEY to a key of your account (the first one is printed by serve).")
    return Client(os.environ.get("KEYSCOPE_URL") or DEFAULT_URL, key, follows=sys.stderr.isatty())
