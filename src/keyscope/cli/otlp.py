"""Entries of the audit trail as OpenTelemetry logs: OTLP over HTTP, in its JSON encoding (OTLP 1.0, "OTLP/HTTP").

JSON because every collector takes it at the same port, and it needs no package beside what Keyscope has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import httpx

from keyscope import __version__

_TIMEOUT_S = 30.0
_PATH = "/v1/logs"
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_INFO, _WARN = (9, "INFO"), (13, "WARN")


class Receiver:
    """Sends to one collector. ``OTEL_EXPORTER_OTLP_HEADERS`` gives further header fields, as everywhere."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError("--otlp takes a URL like http://127.0.0.1:4318")
        self._url = url if parts.path.strip("/") else url.rstrip("/") + _PATH
        self._http = httpx.Client(timeout=_TIMEOUT_S, trust_env=False, headers=_headers())

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def send(self, lines: Sequence[str], sent: int) -> None:
        """Send these. Raises ClickException, which names ``sent`` as where to go on from."""
        try:
            response = self._http.post(self._url, json=logs([json.loads(line) for line in lines]))
        except httpx.HTTPError as error:
            raise _failed(f"no answer from {self._url} ({type(error).__name__})", sent) from None
        if response.status_code != httpx.codes.OK:
            raise _failed(f"{self._url} answered {response.status_code}", sent)
        rejected = _rejected(response)
        if rejected:
            raise _failed(f"{self._url} rejected {rejected} entries", sent)


def logs(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An ExportLogsServiceRequest."""
    resource = {"attributes": [_attribute("service.name", "keyscope"), _attribute("service.version", __version__)]}
    scope = {"name": "keyscope.audit", "version": __version__}
    records = [_record(entry) for entry in entries]
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": records}]}]}


def _record(entry: dict[str, Any]) -> dict[str, Any]:
    number, word = _WARN if entry["kind"].startswith("call.") else _INFO
    time = str(entry["at_ms"] * 1_000_000)
    attributes = [
        _attribute(f"keyscope.{name}", value) for name, value in entry.items() if name not in ("at_ms", "kind")
    ]
    return {
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": number,
        "severityText": word,
        "eventName": f"keyscope.{entry['kind']}",
        "body": {"stringValue": entry["kind"]},
        "attributes": attributes,
    }


def _attribute(name: str, value: object) -> dict[str, Any]:
    return {"key": name, "value": _value(value)}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value, sort_keys=True)}


def _rejected(response: httpx.Response) -> int:
    """How many a collector took with a 200 and yet did not take ("partial success")."""
    try:
        return int(response.json()["partialSuccess"]["rejectedLogRecords"])
    except (ValueError, KeyError, TypeError):
        return 0


def _headers() -> dict[str, str]:
    pairs = [pair.partition("=") for pair in os.environ.get(_HEADERS, "").split(",") if "=" in pair]
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}


def _failed(why: str, sent: int) -> click.ClickException:
    return click.ClickException(f"The export stopped: {why}. Go on with --after {sent}.")
