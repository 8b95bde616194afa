"""Several processes on one port and one database: what one did, the others see at the next request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.live import Live

ASKED = 40


@pytest.fixture(scope="module")
def several(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), options=["--workers", "2"]) as server:
        time.sleep(1)  # the ready line means that one of them answers; the other follows
        yield server


def statuses(live: Live, key: str) -> set[int]:
    """What many connections get, spread over the workers by the system."""
    headers = {"authorization": f"Bearer {key}", "connection": "close"}
    url = f"{live.url}/keyscope/me"
    return {httpx.get(url, headers=headers, trust_env=False).status_code for _ in range(ASKED)}


def children(live: Live) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{live.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def serving(live: Live) -> list[int]:
    """The processes below the supervisor that listen on its port."""
    return [pid for pid in children(live) if b"spawn_main" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """Empty for a process that has ended, which may happen between listing it and looking at it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_there_are_two_of_them(several: Live) -> None:
    assert len(serving(several)) == 2


def test_a_revocation_is_seen_by_every_worker_at_once(several: Live) -> None:
    for _ in range(5):
        made = several.mint("devboxes:read")
        assert statuses(several, made["key_secret"]) == {200}
        assert several.revoke(made["id"]).status_code == 200
        assert statuses(several, made["key_secret"]) == {401}


def test_a_worker_that_dies_is_replaced(several: Live) -> None:

    first = serving(several)[0]
    os.kill(first, signal.SIGKILL)
    end = time.monotonic() + 15
    while first in serving(several) or len(serving(several)) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1.5)
    assert statuses(several, several.first) == {200}


def test_the_workers_end_with_their_parent(new_directory: Callable[[], Path]) -> None:
    live = Live(new_directory(), options=["--workers", "2"]).start()
    workers = serving(live)
    live.kill()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)
    live.http.close()
