"""Templates to pages. Every value is escaped for HTML, and a value that is missing is an error, not an empty place."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from keyscope import __version__
from keyscope.console import words
from keyscope.console.statics import Statics
from keyscope.model.key import NEVER_MS
from keyscope.model.scope import Grant, Level
from keyscope.wire.problem import Header

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Not no-referrer: browsers then send "Origin: null" with our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""With every page. ``frame-ancestors`` and ``x-frame-options`` answer clickjacking."""


class Templates:
    """The templates of the package."""

    def __init__(self, statics: Statics) -> None:
        self._environment = Environment(
            loader=PackageLoader("keyscope.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(static=statics.path, version=__version__, NEVER_MS=NEVER_MS)
        readable = (words.moment, words.clock, words.day, words.iso, words.span, words.relative, words.listed)
        self._environment.filters.update({word.__name__: word for word in readable})
        self._environment.globals["count"] = words.count
        self._environment.tests["reached_by"] = _is_reached

    def render(self, name: str, context: dict[str, Any]) -> bytes:
        """The page as UTF-8."""
        return self._environment.get_template(name).render(context).encode()


def _is_reached(resource: str, grant: Grant) -> bool:
    return grant.level(resource) is not Level.NONE
