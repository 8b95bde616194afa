"""HAR files (HTTP Archive 1.2), as browsers and proxies save them: method, URL and JSON body of each entry.

Nothing else is looked at. Such files are full of credentials: header fields, cookies, answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET, Struct, UnsetType

from keyscope.errors import BadRequest, Fault
from keyscope.model.body import Json
from keyscope.plan.calls import Attempt, BadFile, attempt
from keyscope.wire.codec import decode_strict

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_MOST_FAULTS = 20
_MOST_NAMED = 10


class Base(Struct, frozen=True):
    """Where an API is: ``origin`` like ``https://api.example.com``, ``prefix`` the path before its own paths."""

    origin: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Base:
        """Raises ValueError for what is no HTTP address."""
        parts = urlsplit(url)
        origin = _origin(parts)
        if origin is None or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not the address of an API: write one like https://api.example.com")
        return cls(origin, parts.path.rstrip("/"))

    def own_path(self, parts: SplitResult) -> str | None:
        """The API's own path of a URL; None for a URL of something else."""
        inside = parts.path.startswith(f"{self.prefix}/") and _origin(parts) == self.origin
        return parts.path[len(self.prefix) :] if inside else None


class _Entry(Struct, frozen=True):
    method: str
    url: SplitResult
    body: Json | UnsetType


def read_har(document: Any, base: Base | None) -> list[Attempt]:
    """The calls to the API at ``base``, without CORS preflights. Without a base all must go to one origin.

    Raises BadFile with the number of each faulty entry, counted from 0 as programs do.
    """
    entries = _entries(document)
    base = base or Base(_only_origin(entries), "")
    paths = ((entry, base.own_path(entry.url)) for entry in entries)
    found = [attempt(entry.method, path, entry.body) for entry, path in paths if path is not None]
    if not found:
        raise BadFile([Fault("log.entries", f"there is no call to {base.origin}{base.prefix} in it")])
    return found


def _entries(document: Any) -> list[_Entry]:
    log = document.get("log")
    listed = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(listed, list):
        raise BadFile([Fault("log.entries", "this should be the list of entries of a HAR file")])
    faults: list[Fault] = []
    entries = [entry for number, item in enumerate(listed) for entry in _entry(number, item, faults)]
    if faults:
        raise BadFile(faults[:_MOST_FAULTS])
    return entries


def _entry(number: int, item: Any, faults: list[Fault]) -> Iterator[_Entry]:
    where = f"log.entries[{number}].request"
    request = item.get("request") if isinstance(item, dict) else None
    if not isinstance(request, dict):
        faults.append(Fault(where, "this should be an object with method and url"))
        return
    method, url = _text(request, "method", where, faults), _text(request, "url", where, faults)
    if method is None or url is None or _is_preflight(method, request):
        return
    try:
        parts = urlsplit(url)
        if _origin(parts) is not None:
            yield _Entry(method, parts, _body(request))
    except ValueError:
        faults.append(Fault(f"{where}.url", "this is not a URL"))


def _text(request: dict[str, Any], name: str, where: str, faults: list[Fault]) -> str | None:
    value = request.get(name)
    if isinstance(value, str) and value:
        return value
    faults.append(Fault(f"{where}.{name}", "this should be a text that is not empty"))
    return None


def _is_preflight(method: str, request: dict[str, Any]) -> bool:
    """A browser asks these by itself, without a key (Fetch standard, CORS-preflight fetch)."""
    fields = request.get("headers")
    names = {str(field.get("name")).lower() for field in fields or () if isinstance(field, dict)}
    return method == "OPTIONS" and "access-control-request-method" in names


def _body(request: dict[str, Any]) -> Json | UnsetType:
    """The body's value; UNSET if there is one and the file does not tell it, or it is not JSON that a gate reads."""
    data = request.get("postData")
    if not isinstance(data, dict):
        size = request.get("bodySize")
        return UNSET if isinstance(size, int) and size > 0 else None
    text, kind = data.get("text"), str(data.get("mimeType", ""))
    if not isinstance(text, str) or kind.partition(";")[0].strip().lower() != "application/json":
        return UNSET
    try:
        return decode_strict(text.encode()) if text else None
    except (BadRequest, UnicodeEncodeError):
        return UNSET


def _origin(parts: SplitResult) -> str | None:
    """Scheme, host and port without what may stand before them (a name and a password); None for other schemes."""
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or _PORTS[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port != _PORTS[scheme] else "")


def _only_origin(entries: list[_Entry]) -> str:
    origins = sorted({origin for entry in entries if (origin := _origin(entry.url)) is not None})
    if len(origins) == 1:
        return origins[0]
    if not origins:
        raise BadFile([Fault("log.entries", "there is no HTTP call in it")])
    named = ", ".join(origins[:_MOST_NAMED])
    raise BadFile(
        [Fault("log.entries", f"it has calls to {len(origins)} origins ({named}): say which with --base-url")]
    )
