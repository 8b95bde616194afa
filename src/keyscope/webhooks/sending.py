"""One try to deliver a message: signed, over a connection that goes only where it may."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import aiohttp
from msgspec import Struct

from keyscope import __version__
from keyscope.authority.webhooks import Delivery
from keyscope.errors import BadRequest
from keyscope.model.secret import Secret
from keyscope.webhooks.address import GuardedResolver, NotAllowed, check_url
from keyscope.webhooks.signing import signature

TIMEOUT_S = 10.0
_TIMEOUT = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=5)
_GONE = 410
_MOST_HEAD_BYTES = 8192


class Outcome(Struct, frozen=True):
    """How a try ended. ``again``: whether it is to be tried again; ``wait_ms``: what the receiver asked for."""

    taken: bool
    said: str
    again: bool = True
    wait_ms: int = 0


class Sender:
    """Sends to endpoints. Open it with ``sender``."""

    def __init__(self, session: aiohttp.ClientSession, targets: str) -> None:
        self._session = session
        self._targets = targets

    async def send(self, delivery: Delivery, secret: Secret) -> Outcome:
        """Never raises for what a receiver does. Redirects are not followed; a body of an answer is not read."""
        try:
            check_url(delivery.endpoint.url, self._targets)  # the setting may have changed since it was added
            async with self._session.post(
                delivery.endpoint.url, data=delivery.body, headers=_headers(delivery, secret), allow_redirects=False
            ) as response:
                response.close()
                return _outcome(response)
        except BadRequest:
            return Outcome(taken=False, said="the address is not allowed", again=False)
        except NotAllowed:
            return Outcome(taken=False, said="the name stands for an address that is not allowed", again=False)
        except TimeoutError:
            return Outcome(taken=False, said=f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, NotAllowed) or isinstance(getattr(error, "os_error", None), NotAllowed):
                return Outcome(taken=False, said="the name stands for an address that is not allowed", again=False)
            return Outcome(taken=False, said=type(error).__name__)


@asynccontextmanager
async def sender(targets: str) -> AsyncIterator[Sender]:
    """A sender for the event loop that runs. No cookies, no proxies of the environment, fresh connections."""
    connector = aiohttp.TCPConnector(resolver=GuardedResolver(targets), use_dns_cache=False, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=_TIMEOUT,
        max_line_size=_MOST_HEAD_BYTES,
        max_field_size=_MOST_HEAD_BYTES,
    ) as session:
        yield Sender(session, targets)


def _headers(delivery: Delivery, secret: Secret) -> dict[str, str]:
    at_s = int(time.time())
    return {
        "content-type": "application/json",
        "user-agent": f"keyscope/{__version__}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signature(secret, delivery.id, at_s, delivery.body),
    }


def _outcome(response: aiohttp.ClientResponse) -> Outcome:
    said = f"answered {response.status}"
    if 200 <= response.status < 300:
        return Outcome(taken=True, said=said)
    return Outcome(
        taken=False, said=said, again=response.status != _GONE, wait_ms=_asked_ms(response.headers.get("retry-after"))
    )


def _asked_ms(text: str | None) -> int:
    """``Retry-After`` in milliseconds: seconds or a date (RFC 9110 section 10.2.3); 0 for none, or nonsense."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        return int(text[:9]) * 1000
    try:
        return max(0, int((parsedate_to_datetime(text).timestamp() - time.time()) * 1000))
    except (ValueError, OverflowError):
        return 0
