"""Configurations for proxies that ask Keyscope (forward-auth), filled in from the templates in ``exports/``.

In a template ``@NAME@`` stands for a value, and a line that starts with a word like ``@https@`` is kept only where the
word applies: there, for an https upstream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from msgspec import Struct

from keyscope.model.operation import PARAMETER, Operation
from keyscope.wire.codec import encode

TEMPLATES = {
    "nginx": "nginx.conf",
    "caddy": "Caddyfile",
    "traefik": "traefik.yaml",
    "envoy": "envoy.yaml",
    "envoy-grpc": "envoy-grpc.yaml",
}
"""By the name of the proxy, and of the way it asks where there are two."""

_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?", re.ASCII)
_MARK = re.compile(r"@([A-Z_]+)@")
_CONDITION = re.compile(r"@([a-z]+)@")
HTTPS = "https"
_ANY_SEGMENT = "[!-.0-~]+"
"""Every visible character but the slash, which is all that a canonical path has."""
_ROUTE_INDENT = " " * 24
_SENT_ON = "{cluster: api, timeout: 0s, auto_host_rewrite: true}"


class Origin(Struct, frozen=True):
    """Where a server is. It holds no character that could end a word of a configuration."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read ``http(s)://host[:port]``. Raises ValueError, naming the fault."""
        if not _ORIGIN.fullmatch(text):
            raise ValueError(f"{text!r} is not http://host[:port] or https://host[:port] with nothing after it")
        parts = urlsplit(text)
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        if not port:
            raise ValueError("port 0 is no port to reach")
        return cls(parts.scheme, parts.hostname or "", port)

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """As ``Host`` has it: without the port that the scheme implies."""
        return self._bracketed if self.port == _PORTS[self.scheme] else self.address

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def export(
    proxy: str, *, upstream: Origin, keyscope: Origin, listen: Origin, operations: Iterable[Operation] = ()
) -> str:
    """The configuration with which this proxy listens, asks and sends on, ready to use.

    ``operations`` are the policy's, for proxies that show Keyscope the bodies that it judges.
    """
    values = {**_values("UPSTREAM", upstream), **_values("KEYSCOPE", keyscope), **_values("LISTEN", listen)}
    values["JUDGED_ROUTES"] = "\n".join(f"{_ROUTE_INDENT}{line}" for line in _judged_routes(operations))
    return filled(TEMPLATES[proxy], values, {HTTPS} if upstream.scheme == HTTPS else ())


def filled(template: str, values: Mapping[str, str], applies: Collection[str]) -> str:
    """A template with its values, and only the lines whose word applies."""
    text = files("keyscope.gate").joinpath("exports", template).read_text("utf-8")
    lines = [line for line in text.splitlines() if (word := _CONDITION.match(line)) is None or word[1] in applies]
    return _MARK.sub(lambda mark: values[mark[1]], "\n".join([*(_CONDITION.sub("", line, 1) for line in lines), ""]))


def _values(name: str, origin: Origin) -> dict[str, str]:
    return {
        f"{name}_SCHEME": origin.scheme,
        f"{name}_HOST": origin.host,
        f"{name}_PORT": str(origin.port),
        f"{name}_ADDRESS": origin.address,
        f"{name}_AUTHORITY": origin.authority,
    }


def _judged_routes(operations: Iterable[Operation]) -> Iterator[str]:
    """A route of Envoy's for each operation with conditions on its body: Keyscope sees these bodies and no others."""
    for operation in operations:
        if operation.body:
            method = f'{{name: ":method", string_match: {{exact: {operation.method}}}}}'
            yield f"- {{match: {{{_path_match(operation)}, headers: [{method}]}}, route: {_SENT_ON}}}"


def _path_match(operation: Operation) -> str:
    if PARAMETER not in operation.segments:
        return f"path: {encode(operation.template).decode()}"
    segments = (_ANY_SEGMENT if segment == PARAMETER else re.escape(segment) for segment in operation.segments)
    return f"safe_regex: {{regex: {encode('/' + '/'.join(segments)).decode()}}}"
