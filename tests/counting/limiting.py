"""Keys whose use is limited, and many calls with one of them at the same time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from keyscope.authority.counters import Used
from keyscope.authority.ports import Store, Writer
from keyscope.model.restrictions import Restrictions
from keyscope.store.counters_open import counters_beside, open_counters
from tests.live import Live

LIST = "/v1/devboxes"
SCOPES = ("devboxes:write", "account:write")


def limited(live: Live, by: str | None = None, **limits: Any) -> dict[str, Any]:
    """A new key with these restrictions, as the reply to its mint."""
    return live.mint(*SCOPES, by=by, restrictions=limits or None)


def limit(live: Live, key_id: str, **limits: Any) -> None:
    """Give a key other restrictions."""
    changed = live.call("POST", f"/v1/restricted_keys/{key_id}", json={"restrictions": limits})
    assert changed.status_code == 200, changed.text


def restrict(store: Store, key_id: str, **limits: Any) -> None:
    """The same in a store that no server has."""
    restrictions = Restrictions.parse(limits)

    def work(writer: Writer) -> None:
        key = writer.key(key_id)
        assert key is not None
        writer.replace_key(replace(key, restrictions=restrictions))

    store.write(work)


def used(live: Live, key: dict[str, Any]) -> Used:
    """What was spent of a key, by the file of the counters."""
    counters = open_counters(counters_beside(live.database))
    found = counters.used([key["id"]])[key["id"]]
    counters.close()
    return found


def at_once(live: Live, *secrets: str, calls: int, urls: tuple[str, ...] = ()) -> Counter[int]:
    """So many calls at the same time, each over a connection of its own, the secrets in turn, and the
    servers if several are given. Counts by status; 0 is no answer.
    """
    return asyncio.run(_at_once(urls or (live.url,), secrets, calls))


async def _at_once(urls: tuple[str, ...], secrets: tuple[str, ...], calls: int) -> Counter[int]:
    async def one(number: int) -> int:
        headers = {"authorization": f"Bearer {secrets[number % len(secrets)]}", "connection": "close"}
        try:
            return (await client.get(urls[number % len(urls)] + LIST, headers=headers)).status_code
        except httpx.TransportError:
            return 0

    limits = httpx.Limits(max_connections=calls)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
        return Counter(await asyncio.gather(*(one(number) for number in range(calls))))


def kill_all(live: Live) -> None:
    """SIGKILL to the server and all its processes, as a crash would."""
    children = Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text().split()
    pids = [live.pid, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    live.kill()
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)
