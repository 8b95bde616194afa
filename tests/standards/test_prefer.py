"""RFC 7240: how long a caller prefers an answer to wait. What cannot be read is no preference."""

from __future__ import annotations

import pytest

from keyscope.wire.prefer import preferred_wait_ms

SAID = {
    "wait=0": 0,
    "wait=10": 10_000,
    'WAIT="10"': 10_000,
    "respond-async, wait = 10": 10_000,
    "wait=5; of=course": 5_000,
    "wait=1, wait=2": 1_000,
    "": None,
    "wait": None,
    "wait=": None,
    "wait=-1": None,
    "wait=1.5": None,
    "wait=1000000": None,
    "waits=1": None,
    "wait=\u0661": None,
}


@pytest.mark.parametrize(("said", "wait_ms"), SAID.items())
def test_the_first_wait_that_can_be_read_counts(said: str, wait_ms: int | None) -> None:
    assert preferred_wait_ms([(b"host", b"x"), (b"prefer", said.encode())]) == wait_ms


def test_several_fields_are_one_list() -> None:
    assert preferred_wait_ms([(b"prefer", b"return=minimal"), (b"prefer", b"wait=3")]) == 3000
