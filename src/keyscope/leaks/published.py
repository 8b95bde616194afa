"""The public keys of who signs reports: fetched over HTTPS and kept for a while, or pinned in a file.

Without a key nothing is believed: an address that does not answer, redirects or answers nonsense closes the receiver.
It is asked at most once a minute, so that nobody makes this server ask it more often by naming keys that do not exist.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from keyscope.errors import BadSignature, ConfigurationError, Fault, SigningKeysUnavailable
from keyscope.leaks.github import Keys, read_keys

log = logging.getLogger(__name__)

KEPT_S = 1800.0
"""How long fetched keys are good: a key that its owner has taken back is believed no longer than this."""
ASKED_EVERY_S = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
_MOST_BYTES = 1 << 20


class SigningKeys(Protocol):
    """Where public keys come from."""

    async def find(self, identifier: str) -> EllipticCurvePublicKey:
        """The key. Raises BadSignature if there is none, SigningKeysUnavailable if that cannot be known."""


class PinnedKeys:
    """Keys of a file in the form that GitHub publishes, read once."""

    def __init__(self, path: Path, option: str) -> None:
        """Raises ConfigurationError, naming the option, if the file cannot be used."""
        try:
            self._keys = read_keys(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError("public keys", [Fault(option, f"{path} cannot be used: {error}")]) from None

    async def find(self, identifier: str) -> EllipticCurvePublicKey:
        return _known(self._keys, identifier)


class PublishedKeys:
    """Keys of an address. ``now_s`` is a clock that never goes backwards."""

    def __init__(self, url: str, now_s: Callable[[], float]) -> None:
        self._url = url
        self._now_s = now_s
        self._keys: Keys = {}
        self._good_until_s = 0.0
        self._next_s = 0.0
        self._fetching = asyncio.Lock()

    async def find(self, identifier: str) -> EllipticCurvePublicKey:
        if not self._has(identifier):
            async with self._fetching:  # whoever waited here may find it fetched
                if not self._has(identifier):
                    await self._refresh()
        return _known(self._keys, identifier)

    def _has(self, identifier: str) -> bool:
        return self._now_s() < self._good_until_s and identifier in self._keys

    async def _refresh(self) -> None:
        """Raises SigningKeysUnavailable, also if the address was asked less than a minute ago."""
        now_s = self._now_s()
        if now_s < self._next_s:
            raise SigningKeysUnavailable("asked less than a minute ago")
        self._next_s = now_s + ASKED_EVERY_S
        try:
            self._keys = read_keys(await _fetch(self._url))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.error("the public keys at %s cannot be had: %s %s", self._url, type(error).__name__, error)
            raise SigningKeysUnavailable(type(error).__name__) from None
        self._good_until_s = now_s + KEPT_S


async def _fetch(url: str) -> bytes:
    """Raises ClientError, OSError (TimeoutError too) and ValueError."""
    # All made anew, trusted authorities too: this happens twice an hour.
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session,
        session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as response,
    ):
        if response.status != 200:
            raise ValueError(f"it answered {response.status}")
        content = b""
        async for piece in response.content.iter_chunked(1 << 16):
            content += piece
            if len(content) > _MOST_BYTES:
                raise ValueError(f"it answered more than {_MOST_BYTES} bytes")
        return content


def _known(keys: Keys, identifier: str) -> EllipticCurvePublicKey:
    key = keys.get(identifier)
    if key is None:
        raise BadSignature("no such public key")
    return key
