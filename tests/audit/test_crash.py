"""What a crash may take along, and that an orderly end takes nothing. With real servers under real load."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.store.trail_open import trail_beside
from keyscope.store.trail_signing import kept, known_key
from tests.audit.load import Load
from tests.audit.made import findings
from tests.audit.seen import Seen
from tests.live import Live

BOUND_S = 1.0
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def _whole(live: Live) -> None:
    path = trail_beside(live.database)
    last = kept(path)
    assert findings(path, *([last] if last else []), key=known_key(path)) == []


def _kill_all(live: Live) -> None:
    """SIGKILL for the server and its workers at once."""
    children = Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text().split()
    for pid in (live.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    live.kill()


@WORKERS
def test_a_kill_under_load_loses_less_than_a_second(new_directory: Callable[[], Path], workers: int) -> None:
    with Live(new_directory(), options=["--workers", str(workers)]) as live:
        key = live.mint("devboxes:read")
        with Load(live, key["key_secret"]) as load:
            load.until_lasted(3 * BOUND_S)
            killed = time.monotonic()
            _kill_all(live)
            load.stop()
        safe = [sum(at < killed - BOUND_S for at in answers) for answers in (load.allowed, load.refused)]
        sent = [len(answers) + load.lost for answers in (load.allowed, load.refused)]
        _whole(live)
        seen = Seen(live)
        assert safe[0] <= seen.calls(key["id"]) <= sent[0]
        assert safe[1] <= seen.denials(key_id=key["id"]) <= sent[1]
        assert min(safe) > 100
        live.start()  # goes on with the same trail
        live.call("GET", "/keyscope/me", key["key_secret"])
        live.stop()
        _whole(live)


@WORKERS
def test_a_stop_under_load_loses_nothing(new_directory: Callable[[], Path], workers: int) -> None:
    with Live(new_directory(), options=["--workers", str(workers)]) as live:
        key = live.mint("devboxes:read")
        with Load(live, key["key_secret"]) as load:
            load.until(1500)
            live.stop()
            load.stop()
        seen = Seen(live)
        # A question in hand when the server ended was judged or not; all that were answered are there.
        assert 0 <= seen.calls(key["id"]) - len(load.allowed) <= load.lost
        assert 0 <= seen.denials(key_id=key["id"]) - len(load.refused) <= load.lost
        _whole(live)
        assert kept(trail_beside(live.database)) is not None
