"""An orderly end: whoever looks is told first, then the port closes, and what is under way is answered to its end."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.gate.raw import Raw
from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder, Seen

SETUPS = [
    pytest.param(["--engine", "builtin"], id="one-process"),
    pytest.param(["--engine", "builtin", "--workers", "2"], id="two-workers"),
    pytest.param(["--engine", "haproxy", "--workers", "2"], id="haproxy", marks=requires_program("haproxy")),
]
DRAIN_S = 2.0
ASKED = 10
HELD = "/v1/devboxes/dbx_held"


class Held:
    """An upstream that answers one of its paths only when it is let go."""

    def __init__(self, recorder: Recorder) -> None:
        self.began = threading.Event()
        self.let_go = threading.Event()
        recorder.stream = self._stream

    async def _stream(self, seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if seen.target != HELD:
            return False
        self.began.set()
        while not self.let_go.is_set():
            await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        return True


@pytest.fixture(params=SETUPS)
def live(request: pytest.FixtureRequest, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    options = [*request.param, "--drain-s", str(DRAIN_S), "--stop-s", "8"]
    with Live(new_directory(), upstream=upstream.url, options=options) as server:
        if "haproxy" in options:
            until(Inside(server).is_judging)
        else:
            until(lambda: len(listening(server)) == (2 if "2" in options[:4] else 1))
        yield server


def listening(live: Live) -> list[str]:
    """The sockets that listen on its port."""
    wanted = f":{live.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[9] for line in lines if line[1].endswith(wanted) and line[3] == "0A"]


def get(live: Live, path: str, key: str | None = None) -> httpx.Response:
    """One call on a connection of its own."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=live.url, timeout=20, trust_env=False) as http:
        return http.get(path, headers=headers)


def counted(live: Live) -> int:
    """How many calls the audit trail says were let through to the upstream."""
    with closing(sqlite3.connect(f"{live.database}.audit")) as trail:
        return int(
            trail.execute("SELECT coalesce(sum(calls), 0) FROM uses WHERE operation = 'getDevbox'").fetchone()[0]
        )


def test_a_server_that_is_told_to_end_says_so_serves_on_and_answers_what_is_under_way(
    live: Live, upstream: Recorder
) -> None:
    key, held = live.mint("devboxes:read")["key_secret"], Held(upstream)
    assert get(live, "/keyscope/readyz").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(get, live, HELD, key)
        assert held.began.wait(10)
        began_s = time.monotonic()
        live.tell(signal.SIGTERM)
        until(lambda: get(live, "/keyscope/readyz").status_code == 503, DRAIN_S / 2)
        told = [get(live, "/keyscope/readyz") for _ in range(ASKED)]
        assert {(answer.status_code, answer.json()["code"]) for answer in told} == {(503, "draining")}
        answers = [get(live, "/v1/devboxes/dbx_1", key).status_code for _ in range(ASKED)]
        assert time.monotonic() - began_s < DRAIN_S, "this machine is too slow for what is to be shown"
        assert answers == [200] * ASKED
        until(lambda: not listening(live), DRAIN_S + 2)
        with pytest.raises(httpx.ConnectError):
            get(live, "/keyscope/healthz")
        assert not under_way.done()
        held.let_go.set()
        assert under_way.result().status_code == 200
    assert live.exit_code() == 0
    assert counted(live) == ASKED + 1


def test_what_does_not_end_in_time_is_cut_off(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    held = Held(upstream)
    with (
        Live(new_directory(), upstream=upstream.url, options=["--stop-s", "0.5"]) as live,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(get, live, HELD, live.mint("devboxes:read")["key_secret"])
        assert held.began.wait(10)
        live.tell(signal.SIGTERM)
        assert live.exit_code() == 0
        assert under_way.result().status_code == 500
        assert "requests were still under way" in live.log
        assert counted(live) == 1
    held.let_go.set()


def test_connections_that_are_kept_are_closed_with_an_answer_and_not_under_a_request(
    upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    with Live(new_directory(), upstream=upstream.url, options=["--drain-s", "10"]) as live, Raw(live.port) as kept:
        assert kept.ask("GET", "/keyscope/healthz", live.first).head.one("connection") is None
        live.tell(signal.SIGTERM)
        until(lambda: get(live, "/keyscope/readyz").status_code == 503)
        assert kept.ask("GET", "/keyscope/healthz", live.first).head.one("connection") == "close"
        live.tell(signal.SIGINT)
        assert live.exit_code() == 0


def test_a_person_at_the_terminal_does_not_wait_for_load_balancers(new_directory: Callable[[], Path]) -> None:
    for options in ([], ["--workers", "2"]):
        with Live(new_directory(), options=[*options, "--drain-s", "60"]) as live:
            live.tell(signal.SIGINT)
            assert live.exit_code(15) == 0
