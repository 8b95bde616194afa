"""What a process says on stderr: lines for people, or one JSON object a line for programs. Never a key (law 5).

A request id stands beside what is said while a request is answered, in JSON alone: to know it costs a little for every
request, and there it is what somebody searches by.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

from keyscope.errors import KeyscopeError
from keyscope.model.shown import shown
from keyscope.settings import JSON, LOG_FORMATS, PREFIX, TEXT
from keyscope.wire.asgi import App, Receive, Scope, Send
from keyscope.wire.call import request_id

_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

log = logging.getLogger("keyscope")


class Lines(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


class Objects(logging.Formatter):
    """One JSON object a record: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, ``process``, and where
    there are such ``request_id`` and ``exception``. ASCII alone, so that no reader takes a part of it for a line's end.
    """

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, object] = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        asked = _request_id.get()
        if asked is not None:
            members["request_id"] = asked
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return hidden(json.dumps(members))


class Named:
    """An ASGI application in whose requests the log knows the request id."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _request_id.set(request_id(scope.get("headers", [])))
        try:
            await self._app(scope, receive, send)
        finally:
            _request_id.reset(token)


def start_logging(level: str, form: str = TEXT) -> None:
    """Log to stderr: this process's own lines, those of its libraries, and what Python itself has to say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Objects() if form == JSON else Lines(_LINE))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if form == JSON:
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught


def start_early(given: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
    """Log in the form that is asked for, before the settings are known to be good."""
    form = given.get("log_format") or environment.get(f"{PREFIX}LOG_FORMAT", TEXT)
    start_logging("info", form if form in LOG_FORMATS else TEXT)


def say(sentence: str) -> None:
    """What is said whatever the level: that the server is ready."""
    if is_json():
        log.handle(log.makeRecord(log.name, logging.INFO, "", 0, sentence, (), None))
    else:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def say_error(error: KeyscopeError) -> None:
    """An error that ends the program, with all its faults."""
    faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
    log.critical("%s%s", error.message, f" {faults}" if faults else "")


def is_json() -> bool:
    """Whether the log of this process is JSON."""
    return any(isinstance(handler.formatter, Objects) for handler in logging.getLogger().handlers)


def hidden(text: str) -> str:
    """The text without anything that looks like a key."""
    return shown(text, len(text))


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("the program ends: %s", kind.__name__, exc_info=(kind, error, trace))
