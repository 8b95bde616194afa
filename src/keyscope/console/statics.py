"""The console's own files, under names that hold their SHA-256, so that a browser may keep them for ever."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from keyscope.errors import NotFound

PREFIX = "/keyscope/console/static"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Statics:
    """Read once, at the start."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for file in (files("keyscope.console") / "static").iterdir():
            self._add(file.name, file.read_bytes())

    def path(self, name: str) -> str:
        """Where a file is found, by its plain name."""
        return self._paths[name]

    async def get(self, request: Request) -> Response:
        """Answers for ``PREFIX/{name}``. Raises NotFound."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise NotFound("no such static file")
        content, media_type = found
        return Response(content, headers={**_HEADERS, "content-type": media_type})

    def _add(self, name: str, content: bytes) -> None:
        stem, _, suffix = name.rpartition(".")
        hashed = f"{stem}.{sha256(content).hexdigest()[:16]}.{suffix}"
        self._paths[name] = f"{PREFIX}/{hashed}"
        self._files[hashed] = content, _TYPES[suffix]
