"""What is done at the end of a call is done once, and before the caller can have all of the answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from keyscope.wire.asgi import Message, until_answered

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
PART: Message = {"type": "http.response.body", "body": b"a", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"b"}


def heard(*messages: Message, breaks: bool = False) -> list[str]:
    """What was sent and done, in order."""
    found: list[str] = []

    async def send(message: Message) -> None:
        found.append(f"{message['type']} {message.get('body', b'').decode()}".strip())

    async def answer() -> None:
        with suppress(OSError), until_answered(send, lambda: found.append("done")) as ending:
            for message in messages:
                await ending(dict(message))
            if breaks:
                raise OSError

    asyncio.run(answer())
    return found


def test_it_is_done_before_the_last_part_goes_out() -> None:
    sent = ["http.response.start", "http.response.body a", "done", "http.response.body b"]
    assert heard(START, PART, LAST) == sent


def test_an_answer_that_never_ends_is_over_with_the_call() -> None:
    assert heard(START, PART) == ["http.response.start", "http.response.body a", "done"]
    assert heard(breaks=True) == ["done"]


def test_a_websocket_is_over_before_it_is_closed() -> None:
    assert heard({"type": "websocket.close"}) == ["done", "websocket.close"]


def test_it_is_done_once() -> None:
    assert heard(START, LAST, LAST).count("done") == 1
