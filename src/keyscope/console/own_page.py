"""Whether a POST was sent by a page of this console: what the browser itself says of where it comes from.

A form of another site may be sent here by a victim's browser, and no page can forge these two fields (Fetch standard,
sections 3.2 and 5). The token in each form is the second lock; signing in has no session yet, and so this one alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from keyscope.errors import CrossSite
from keyscope.wire.asgi import RawHeaders


def check_own_page(headers: RawHeaders, public_url: str | None) -> None:
    """Raise CrossSite unless the browser says that the request comes from a page of this very origin."""
    sites = _values(headers, b"sec-fetch-site")
    origins = _values(headers, b"origin")
    hosts = _values(headers, b"host")
    if not (sites or origins):
        raise CrossSite("neither Origin nor Sec-Fetch-Site")
    if sites not in ([], [b"same-origin"]):
        raise CrossSite("Sec-Fetch-Site")
    if origins and not (len(origins) == 1 and _is_own(origins[0].decode("latin-1"), hosts, public_url)):
        raise CrossSite("Origin")


def _is_own(origin: str, hosts: list[bytes], public_url: str | None) -> bool:
    if public_url is not None and origin == public_url:
        return True
    scheme, separator, host = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and [host.encode("latin-1")] == hosts


def _values(headers: RawHeaders, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def is_secure(public_url: str | None) -> bool:
    """Whether browsers reach this server over TLS, as far as the settings say."""
    return public_url is not None and urlsplit(public_url).scheme == "https"
