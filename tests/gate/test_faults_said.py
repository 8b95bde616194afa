"""What the log says of calls that cannot be judged."""

from __future__ import annotations

import logging

import pytest

from keyscope.errors import NotHeard, StoreUnavailable
from keyscope.gate.faults import Sayings


def test_a_closed_gate_says_so_once_a_second_however_many_call(caplog: pytest.LogCaptureFixture) -> None:
    sayings = Sayings()
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            sayings.say(NotHeard("nothing for 5 s"))
        sayings.say(StoreUnavailable("it is locked"))
    assert caplog.messages == [
        "cannot decide: not_heard: nothing for 5 s",
        "cannot decide: store_unavailable: it is locked",
    ]
    assert [record.exc_info for record in caplog.records] == [None, None]


def test_what_nobody_foresaw_is_said_each_time_with_where_it_came_from(caplog: pytest.LogCaptureFixture) -> None:
    sayings = Sayings()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            sayings.say(KeyError("x"))
    assert len(caplog.records) == 2
    assert all(record.exc_info for record in caplog.records)
