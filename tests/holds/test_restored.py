"""A restore sends no held call a second time: what waited at the time of the backup may have been sent since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.authority.settling import end_unsettled
from keyscope.model.event import EventKind
from keyscope.model.held import HeldState
from keyscope.store.memory import MemoryStore
from tests.cli.run import keyscope
from tests.holds.asking import SHUTDOWN, decide, ended, held, holding, look
from tests.live import Live
from tests.recorder import Recorder
from tests.store.contract_holds import a_held, keep
from tests.store.samples import NOW


@pytest.mark.parametrize("state", HeldState)
def test_what_waits_is_ended_and_what_has_ended_stays(state: HeldState) -> None:
    store = MemoryStore()
    keep(store, a_held("hold_1", state=state))
    assert store.write(lambda writer: end_unsettled(writer, "restored", NOW)) == (not state.is_final)
    found = store.read(lambda reader: reader.held_by_id("hold_1"))
    assert found is not None
    assert found.state is (state if state.is_final else HeldState.UNKNOWN)
    kinds = [stored.event.kind for stored in store.read(lambda reader: reader.changes())]
    assert (EventKind.HOLD_ENDED in kinds) is not state.is_final


def test_a_call_that_was_approved_after_the_backup_is_not_sent_again(
    upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    with Live(new_directory(), upstream=upstream.url) as live:
        agent = holding(live)
        hold_id = held(live.call("POST", SHUTDOWN, agent["key_secret"]))["id"]
        backup, keys = str(live.directory / "backup"), ("--keys", str(live.directory / "keys"))
        assert keyscope("db", "backup", backup, *keys, "--database", f"sqlite:///{live.database}").returncode == 0
        upstream.take()
        assert decide(live, hold_id, "approve").status_code == 200
        assert ended(live, hold_id)["status"] == "done"
        assert len(upstream.take()) == 1
    place = new_directory() / "keyscope.db"
    words = ("--database", f"sqlite:///{place}", "--old", str(live.database), "--yes")
    done = keyscope("db", "restore", backup, *keys, *words)
    assert (done.returncode, "1 held calls" in done.stderr) == (0, True)
    with Live(place.parent, upstream=upstream.url) as again:
        again.first = live.first
        assert look(again, hold_id)["status"] == "unknown"
        decide(again, hold_id, "approve")
        assert look(again, hold_id)["status"] == "unknown"
    assert upstream.take() == []
