"""The load of the bench: what wrk sends, as it arrives."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.load import wrk

from tests.programs import requires_program
from tests.recorder import Recorder, Reply


def keys(folder: Path, *names: str) -> Path:
    path = folder / "keys"
    path.write_text("".join(f"{name}\n" for name in names))
    return path


@requires_program("wrk")
def test_keys_and_paths_go_round_each_at_its_own_length(tmp_path: Path) -> None:
    with Recorder() as upstream:
        load = wrk(upstream.url, "/v1/{n}", keys(tmp_path, "a", "b"), paths=4, connections=1, seconds=1)
    assert load.requests > 8
    sent = [(seen.target, seen.header("authorization")) for seen in upstream.seen]
    round_ = [
        ("/v1/000000", "Bearer a"),
        ("/v1/000001", "Bearer b"),
        ("/v1/000002", "Bearer a"),
        ("/v1/000003", "Bearer b"),
    ]
    start = sent.index(round_[0])  # wrk asks its script once before the first request
    assert sent[start : start + 8] == round_ * 2


@requires_program("wrk")
def test_a_refusal_is_an_error_of_the_measurement(tmp_path: Path) -> None:
    with Recorder(lambda _: Reply(401)) as upstream, pytest.raises(RuntimeError, match="wrk saw errors"):
        wrk(upstream.url, "/v1", keys(tmp_path, "a"), connections=1, seconds=1)
