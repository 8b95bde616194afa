"""Work for a caller ends when the caller goes, and not at a false word of it a moment before the end."""

from __future__ import annotations

import asyncio

import pytest

from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.standing import Standing
from keyscope.wire.asgi import Message


async def gone_at_once() -> Message:
    """What a server says of a caller that has gone, and now and then of one that has not."""
    return {"type": "http.disconnect"}


def test_what_is_all_but_done_is_finished() -> None:
    async def run() -> str:
        exchange = Exchange.after_body(gone_at_once, Standing(lambda: None), 1)
        return await exchange.unless_gone(asyncio.sleep(0.01, "the last of it"))

    assert asyncio.run(run()) == "the last of it"


def test_what_goes_on_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def run() -> None:
        with pytest.raises(CallerGone):
            await Exchange.after_body(gone_at_once, Standing(lambda: None), 1).unless_gone(work())
        await asyncio.wait_for(cancelled.wait(), 5)

    asyncio.run(run())


def test_nobody_listens_while_a_head_comes_soon() -> None:
    """Granian takes a caller for gone if it is listened to at the moment when the head goes out."""
    asked: list[str] = []

    async def receive() -> Message:
        asked.append("receive")
        return await gone_at_once()

    async def run() -> str:
        return await Exchange.after_body(receive, Standing(lambda: None), 1).head(asyncio.sleep(0.05, "the head"))

    assert asyncio.run(run()) == "the head"
    assert asked == []
