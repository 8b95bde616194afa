"""What the text of a setting may say: each reader returns the value or raises ValueError with a sentence for people."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from keyscope.authority.checkpoint import seed_of
from keyscope.authority.counters import SCHEMES
from keyscope.model.secret import Secret
from keyscope.model.token import Kind, parse_token

Network = IPv4Network | IPv6Network


class Address(Struct, frozen=True):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
            raise ValueError(f"use a whole number from {least} to {most}")
        return int(text)

    return parse


def seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not least <= value <= most:
            raise ValueError(f"use seconds from {least:g} to {most:g}")
        return value

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"use one of {', '.join(words)}")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    return one_of("yes", "no")(text) == "yes"


def filled(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


def path(text: str) -> Path:
    return Path(filled(text))


def origin(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError("use a URL like https://api.example.com, without user, query or fragment")
    _ = parts.port  # raises ValueError, with a sentence, for a port out of range
    return text.rstrip("/")


def public_url(text: str) -> str | None:
    url = origin(text)
    if url is not None and urlsplit(url).path:
        raise ValueError("use an origin like https://keys.example.com, without a path: discovery starts at the root")
    return url


def keys_source(text: str) -> str | Path | None:
    """An address or a file of public keys."""
    if not text:
        return None
    if "://" not in text:
        return Path(text)
    if urlsplit(text).scheme != "https" or not urlsplit(text).hostname or "@" in text:
        raise ValueError("use an address that starts with https://, without a user, or a file")
    return text


def address(text: str) -> Address | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host.strip("[]") or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError("use host:port, like 127.0.0.1:8701 or [::1]:8701")
    return Address(host.strip("[]"), whole(1, 65535)(port))


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"use addresses or networks with commas between, like 127.0.0.0/8,::1 ({error})") from None


def proxies(text: str) -> tuple[Network, ...] | None:
    """Those in front of the server; empty for nobody, None if that is not said."""
    if text == "none":
        return ()
    return networks(text) or None


def upstream_key(text: str) -> Secret | None:
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("it has a space or a character that no header can carry; copy the key again")
    return Secret(text) if text else None


def bootstrap_key(text: str) -> Secret | None:
    if not text:
        return None
    kind, secret = parse_token(text)
    if kind is not Kind.STANDARD:
        raise ValueError("the first key is a standard one: it starts with ak_")
    return secret


def counters(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if not text.startswith(SCHEMES) or not (parts.hostname or parts.path) or parts.password is not None:
        raise ValueError("use a URL like redis://127.0.0.1:6379/0; its password goes into KEYSCOPE_COUNTERS_PASSWORD")
    return text


def password(text: str) -> Secret | None:
    return Secret(text) if text else None


def random_key(text: str) -> Secret | None:
    """32 bytes in base64."""
    if not text:
        return None
    seed_of(text)
    return Secret(text)
