"""A reply from which members are taken out for its caller: JSON as it comes, streams of events one by one.

What cannot be read does not go on. So the upstream is asked for the whole reply, in no content coding, and what it
answers in another way is refused; of an error or a redirect the head goes on without its body.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus

import aiohttp

from keyscope.errors import UpstreamAnswer
from keyscope.gate.events import Events
from keyscope.gate.headers import Fields
from keyscope.gate.replies.cuts import Steps
from keyscope.gate.replies.document import Document
from keyscope.gate.replies.pieces import MAX_BYTES
from keyscope.gate.stream import EVENTS, Edit
from keyscope.wire.asgi import RawHeaders

_OF_OTHER_REPLIES = frozenset(["accept-encoding", "range", "if-range", "if-none-match", "if-modified-since"])
_OF_THE_OLD_BODY = frozenset(
    b"content-length content-md5 digest content-digest repr-digest etag last-modified accept-ranges".split()
)
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def asking_for_all(fields: Fields) -> Fields:
    """The request's fields for a reply that can be edited: whole, in no coding, whatever the caller has of it."""
    kept = [(name, value) for name, value in fields if name not in _OF_OTHER_REPLIES]
    return [*kept, ("accept-encoding", "identity")]


def of_another_body(headers: RawHeaders) -> RawHeaders:
    """The reply's fields without those that speak of the body that came."""
    return [(name, value) for name, value in headers if name not in _OF_THE_OLD_BODY]


class Nothing:
    """Lets nothing on."""

    def feed(self, chunk: bytes) -> bytes:
        return b""

    def close(self) -> bytes:
        return b""


def edit_of(method: str, response: aiohttp.ClientResponse, paths: Iterable[Steps]) -> Edit | None:
    """What takes these members out of this reply; None if it has no body. Raises UpstreamAnswer if nothing could."""
    if method == "HEAD" or response.status in _WITHOUT_BODY:
        return None
    found = tuple(paths)
    kind = response.content_type
    if response.headers.get("content-encoding", "identity").lower() == "identity" and response.status != _PARTIAL:
        if kind == EVENTS:
            return Events(partial(cut_out, found))
        if kind.endswith("json"):
            return Document(found)
    if response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise UpstreamAnswer(f"a reply that cannot be edited: {response.status}, {kind}")
    return Nothing()


def cut_out(paths: tuple[Steps, ...], raw: bytes) -> bytes:
    """One whole JSON text without these members. Raises UpstreamAnswer."""
    document = Document(paths)
    return document.feed(raw) + document.close()


async def read_whole(response: aiohttp.ClientResponse) -> bytes:
    """The reply, whole. Raises UpstreamAnswer if it is too long to be read so."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise UpstreamAnswer(f"a reply of more than {MAX_BYTES} bytes")
    return bytes(body)


_PARTIAL = HTTPStatus.PARTIAL_CONTENT
