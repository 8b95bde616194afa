"""The connection to the API behind the gate: one fixed origin, no redirects, no cookies, no environment proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

import aiohttp
from aiohttp import hdrs
from yarl import URL

from keyscope.errors import UpstreamTimeout, UpstreamUnreachable
from keyscope.gate.headers import Fields
from keyscope.model.secret import Secret

Body = AsyncIterator[bytes] | bytes | None

_ADDED_BY_LIBRARY = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE)
_MAX_HEAD_BYTES = 65536


class Upstream:
    """Sends requests to one origin. Open it inside the event loop that uses it."""

    def __init__(self, origin: str, key: Secret | None, *, connect_timeout_s: float, idle_timeout_s: float) -> None:
        self.origin = origin.rstrip("/")
        self.key = key.reveal() if key is not None else None
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=idle_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstream:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=self._timeout,
            skip_auto_headers=_ADDED_BY_LIBRARY,
            max_line_size=_MAX_HEAD_BYTES,
            max_field_size=_MAX_HEAD_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(self, method: str, target: str, headers: Fields, body: Body) -> aiohttp.ClientResponse:
        """Send a request and return when the head of the answer is there. The target goes out byte for byte.

        Raises UpstreamUnreachable and UpstreamTimeout.
        """
        try:
            return await self._open().request(
                method, self._url(target), headers=headers, data=body, allow_redirects=False
            )
        except TimeoutError as error:
            raise UpstreamTimeout(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable(type(error).__name__) from error

    async def websocket(
        self, target: str, headers: Fields, protocols: tuple[str, ...]
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket. Raises UpstreamUnreachable and UpstreamTimeout."""
        try:
            return await self._open().ws_connect(
                self._url(target), headers=headers, protocols=protocols, max_msg_size=0, autoping=True
            )
        except TimeoutError as error:
            raise UpstreamTimeout(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable(type(error).__name__) from error

    def _url(self, target: str) -> URL:
        return URL(self.origin + target, encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise UpstreamUnreachable("the upstream is not open")
        return self._session
