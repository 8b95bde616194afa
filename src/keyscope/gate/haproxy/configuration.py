"""HAProxy's configuration, for the engine that Keyscope runs and for a HAProxy that a team runs itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from keyscope.errors import InsufficientScope, InvalidToken, MissingCredential
from keyscope.gate.export import HTTPS, Origin, filled
from keyscope.gate.followers import BOUND_MS
from keyscope.gate.haproxy.entries import ACCOUNT_ID, ENDS, HOLDER, KEY_ID, NAME, NAME_OF_TEXT
from keyscope.gate.haproxy.files import LACKING_SCOPE, SCOPE_FORMAT
from keyscope.gate.haproxy.names import ASKED, TO_DELETE, UNUSUAL
from keyscope.gate.haproxy.routes import SHORT, pattern
from keyscope.model.operation import Table
from keyscope.wire.own import PREFIXES, WELL_KNOWN
from keyscope.wire.problem import Refusal, answer

TEMPLATE = "haproxy.cfg"

DIRECTORY = "/var/lib/keyscope/haproxy"
SOCKET = "/run/haproxy/keyscope.sock"
"""Where things are unless somebody says otherwise."""

LEASE_MS = BOUND_MS
"""How long HAProxy judges alone after it was brought up to date, at most."""


class Place(Struct, frozen=True, kw_only=True):
    """Where things are. ``servers`` are Keyscope's addresses: ``host:port`` or the path of a Unix socket."""

    listen: str
    upstream: Origin
    directory: Path
    socket: Path
    servers: Sequence[str]


class Bounds(Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes, as the settings have them. ``threads`` 0: as many as there are cores.

    ``leave_ms``: no leave to judge alone is longer.
    """

    header_bytes: int = 16384
    header_s: float = 10
    client_s: float = 30
    connect_s: float = 5
    server_s: float = 60
    threads: int = 0
    leave_ms: int = LEASE_MS


def configuration(place: Place, bounds: Bounds, table: Table, *, is_engine: bool, has_key: bool) -> str:
    """The whole file. ``is_engine``: Keyscope hears only this HAProxy, and believes what it says of the caller."""
    upstream = place.upstream
    tls = f" ssl verify required ca-file @system-ca sni str({upstream.host}) verifyhost {upstream.host}"
    values = {
        "DIRECTORY": str(place.directory),
        "SOCKET": str(place.socket),
        "LISTEN_ADDRESS": place.listen,
        "UPSTREAM_AUTHORITY": upstream.authority,
        "UPSTREAM_ADDRESS": upstream.address,
        "UPSTREAM_TLS": tls if upstream.scheme == HTTPS else "",
        "KEYSCOPE_SERVERS": "\n".join(f"  server keyscope{n} {at}" for n, at in enumerate(place.servers, 1)),
        "OWN_PATHS": " ".join((*PREFIXES, *sorted(WELL_KNOWN))),
        "SHORTENED": f'regsub("{_quoted(pattern(table))}","{_quoted(SHORT)}",g)',
        "UNUSUAL_NAMES": UNUSUAL,
        "ASKED_NAMES": ASKED,
        "NAMES_TO_DELETE": TO_DELETE,
        "NAME_OF_TEXT": NAME_OF_TEXT,
        "KEY_ENDS": ENDS,
        "KEY_NAME": NAME,
        "KEY_ID": KEY_ID,
        "ACCOUNT_ID": ACCOUNT_ID,
        "HOLDER": HOLDER,
        "MISSING_CODE": MissingCredential.code,
        "INVALID_CODE": InvalidToken.code,
        "LACKING_CODE": InsufficientScope.code,
        **_challenges(),
        **_bounds(bounds),
    }
    words = {
        "engine" if is_engine else "export": True,
        "key" if has_key else "nokey": True,
        "threads": bounds.threads > 0,
    }
    return filled(TEMPLATE, values, {word for word, applies in words.items() if applies})


def _quoted(text: str) -> str:
    """As HAProxy has to read it between double quotes inside of single ones."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _bounds(bounds: Bounds) -> dict[str, str]:
    return {
        "BUFFER_BYTES": str(max(16384, bounds.header_bytes) + 4096),
        "THREADS": str(bounds.threads),
        "LEASE_MS": str(bounds.leave_ms),
        "HEADER_S": f"{bounds.header_s:g}",
        "CLIENT_S": f"{bounds.client_s:g}",
        "CONNECT_S": f"{bounds.connect_s:g}",
        "SERVER_S": f"{bounds.server_s:g}",
    }


def _challenges() -> dict[str, str]:
    """What WWW-Authenticate says, from the same place as the built-in gate's."""
    lacking = Refusal(message="", missing=(LACKING_SCOPE,))
    answers = {
        "MISSING_CHALLENGE": answer(MissingCredential()),
        "INVALID_CHALLENGE": answer(InvalidToken()),
        "LACKING_CHALLENGE": answer(InsufficientScope(), lacking),
    }
    found = {name: dict(made.headers)[b"www-authenticate"].decode() for name, made in answers.items()}
    return {name: text.replace(str(LACKING_SCOPE), SCOPE_FORMAT) for name, text in found.items()}
