"""Fill in ``{{…}}``. An unknown placeholder is an error, so that no row is sent half-written."""

from __future__ import annotations

import base64
import re

from keyscope.api.introspection import INTROSPECT, REVOKE
from keyscope.gate.forward import NGINX
from tests.attacks.fixtures import Cast, now_ms

_PATHS = {"VERIFY_PATH": NGINX.path.decode(), "INTROSPECT_PATH": INTROSPECT, "REVOKE_PATH": REVOKE}
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_SUM = re.compile(r"(NOW_MS|NOW_S|EXP:(?P<fixture>[^}]+?))(?P<more>[+-]\d+)?")


def fill(text: str, host: str, cast: Cast) -> str:
    """The text with every placeholder replaced."""
    return _PLACEHOLDER.sub(lambda found: _value(found.group(1), host, cast), text)


def _value(name: str, host: str, cast: Cast) -> str:
    if name == "HOST":
        return host
    if name in _PATHS:
        return _PATHS[name]
    if name.startswith("REPEAT|"):
        _, count, text = name.split("|", 2)
        return text * int(count)
    if name.startswith("b64:"):
        _, user, password = name.split(":")
        pair = ":".join(cast[part].secret if part else "" for part in (user, password))
        return base64.b64encode(pair.encode()).decode()
    if name.startswith("ACCOUNT:"):
        return cast[name.removeprefix("ACCOUNT:")].account
    return _number(name, cast) or cast[name].secret


def _number(name: str, cast: Cast) -> str | None:
    found = _SUM.fullmatch(name)
    if found is None:
        return None
    more = int(found["more"] or 0)
    if found["fixture"] is None:
        return str((now_ms() if name.startswith("NOW_MS") else now_ms() // 1000) + more)
    expires_at_ms = cast[found["fixture"]].expires_at_ms
    assert expires_at_ms is not None
    return str(expires_at_ms + more)
