"""Uses, rates and places of keys, in front of a real server with two workers, by many callers at once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.counting.limiting import LIST, at_once, kill_all, limit, limited, used
from tests.gate.waiting import wait_until
from tests.live import Live
from tests.recorder import Recorder, Seen

CALLERS = 64


class Gate:
    """An upstream that answers when it is told to, once ``closed`` was called."""

    def __init__(self) -> None:
        self.recorder = Recorder(stream=self._stream)
        self._open = threading.Event()
        self._open.set()
        self.waiting = 0

    def close(self) -> None:
        self._open.clear()
        self.waiting = 0

    def open(self) -> None:
        self._open.set()

    async def _stream(self, _: Seen, __: asyncio.StreamReader, ___: asyncio.StreamWriter) -> bool:
        self.waiting += 1
        while not self._open.is_set():
            await asyncio.sleep(0.01)
        return False


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    gate = Gate()
    with gate.recorder:
        yield gate


@pytest.fixture(scope="module")
def several(gate: Gate, new_directory: Callable[[], object]) -> Iterator[Live]:
    with Live(new_directory(), upstream=gate.recorder.url, options=["--workers", "2"]) as server:  # type: ignore[arg-type]
        yield server


def test_of_64_calls_at_once_with_50_uses_left_exactly_50_pass(several: Live, gate: Gate) -> None:
    key = limited(several, uses=50)
    gate.recorder.take()
    assert at_once(several, key["key_secret"], calls=CALLERS) == {200: 50, 403: 14}
    assert len(gate.recorder.take()) == 50


def test_the_uses_that_are_left_survive_a_restart_and_a_crash(several: Live, gate: Gate) -> None:
    rate = {"requests": 45, "per_ms": 3_600_000}
    key, other = limited(several, uses=50), limited(several, rate=rate)
    gate.recorder.take()
    assert at_once(several, key["key_secret"], other["key_secret"], calls=40) == {200: 40}
    several.stop()
    several.start()
    assert at_once(several, key["key_secret"], other["key_secret"], calls=40) == {200: 40}
    kill_all(several)
    several.start()
    assert at_once(several, key["key_secret"], other["key_secret"], calls=40) == {200: 15, 403: 10, 429: 15}
    assert len(gate.recorder.take()) == 95


def test_a_crash_in_the_middle_spends_what_went_on_and_frees_its_places(several: Live, gate: Gate) -> None:
    key = limited(several, uses=30, parallel=20)
    gate.close()
    calling = threading.Thread(target=at_once, args=(several, key["key_secret"]), kwargs={"calls": 20}, daemon=True)
    calling.start()
    wait_until(lambda: gate.waiting == 20)
    assert several.call("GET", LIST, key["key_secret"]).status_code == 429
    kill_all(several)
    calling.join()
    gate.open()
    several.start()
    assert at_once(several, key["key_secret"], calls=20) == {200: 10, 403: 10}


def test_of_64_calls_at_once_a_rate_lets_exactly_its_number_pass(several: Live) -> None:
    key = limited(several, rate={"requests": 50, "per_ms": 3_600_000})
    assert at_once(several, key["key_secret"], calls=CALLERS) == {200: 50, 429: 14}
    refused = several.call("GET", LIST, key["key_secret"])
    assert refused.status_code == 429
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert refused.json()["code"] == "rate_limited"


def test_a_rate_has_room_again_when_its_calls_are_old(several: Live) -> None:
    key = limited(several, rate={"requests": 3, "per_ms": 500})
    began = time.monotonic()
    assert at_once(several, key["key_secret"], calls=9) == {200: 3, 429: 6}
    wait_until(lambda: several.call("GET", LIST, key["key_secret"]).status_code == 200)
    assert time.monotonic() - began >= 0.5


def test_as_many_calls_are_under_way_as_there_are_places(several: Live, gate: Gate) -> None:
    key = limited(several, parallel=4)
    gate.close()
    answers: list[dict[int, int]] = []
    calling = threading.Thread(
        target=lambda: answers.append(at_once(several, key["key_secret"], calls=CALLERS)), daemon=True
    )
    calling.start()
    wait_until(lambda: gate.waiting == 4)
    assert used(several, key).parallel == 4
    wait_until(lambda: several.call("GET", LIST, key["key_secret"]).status_code == 429)
    gate.open()
    calling.join()
    assert answers == [{200: 4, 429: 60}]
    assert used(several, key).parallel == 0
    assert several.call("GET", LIST, key["key_secret"]).status_code == 200


def test_children_draw_on_the_budget_of_the_key_that_minted_them(several: Live) -> None:
    parent = limited(several, uses=42)
    children = [limited(several, by=parent["key_secret"], uses=30), limited(several, by=parent["key_secret"])]
    assert used(several, parent).uses == 2  # two mints
    secrets = [child["key_secret"] for child in children]
    assert at_once(several, *secrets, parent["key_secret"], calls=CALLERS) == {200: 40, 403: 24}
    assert used(several, parent).uses == 42
    assert used(several, children[0]).uses <= 22


def test_a_rotation_gives_nothing_back_and_more_uses_are_a_change_of_the_key(several: Live) -> None:
    key = limited(several, uses=2)
    assert at_once(several, key["key_secret"], calls=3) == {200: 2, 403: 1}
    rotated = several.call("POST", f"/v1/restricted_keys/{key['id']}/rotate").json()["key_secret"]
    assert several.call("GET", LIST, rotated).status_code == 403
    limit(several, key["id"], uses=3)
    assert at_once(several, rotated, calls=3) == {200: 1, 403: 2}


def test_what_is_refused_for_another_reason_spends_nothing(several: Live) -> None:
    key = limited(several, uses=2, rate={"requests": 9, "per_ms": 3_600_000})
    assert several.call("GET", "/v1/no/such/thing", key["key_secret"]).status_code == 403
    assert several.call("POST", "/v1/objects", key["key_secret"]).status_code == 403
    assert several.call("GET", "/keyscope/me", key["key_secret"]).status_code == 200
    assert several.call("GET", f"/keyscope/can?method=GET&path={LIST}", key["key_secret"]).status_code == 200
    assert used(several, key).uses == 0


def test_head_and_options_are_uses(several: Live) -> None:
    key = limited(several, uses=2)
    assert several.call("HEAD", LIST, key["key_secret"]).status_code == 200
    assert several.call("GET", LIST, key["key_secret"]).status_code == 200
    assert several.call("HEAD", LIST, key["key_secret"]).status_code == 403


def test_a_refusal_says_what_is_spent_and_what_would_help(several: Live) -> None:
    key = limited(several, uses=1)
    assert several.call("GET", LIST, key["key_secret"]).status_code == 200
    refused = several.call("GET", LIST, key["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "restricted")
    assert "no use is left" in refused.json()["message"]
    assert "raise its uses" in refused.json()["message"]


def test_a_call_whose_body_is_judged_is_spent_once(several: Live, gate: Gate) -> None:
    key = limited(several, uses=2)
    body = json.dumps({"name": "one", "blueprint_id": None}).encode()
    headers = {"authorization": f"Bearer {key['key_secret']}", "content-type": "application/json"}
    with httpx.Client(base_url=several.url, trust_env=False) as client:
        statuses = [client.post(LIST, content=body, headers=headers).status_code for _ in range(3)]
    assert statuses == [200, 200, 403]


def test_counters_that_cannot_be_used_close_what_is_counted_and_nothing_else(several: Live) -> None:
    key, other = limited(several, uses=5), several.mint("devboxes:read")
    file = several.database.with_name(several.database.name + ".counters")
    file.rename(file.with_name("away"))
    refused = several.call("GET", LIST, key["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (503, "counters_unavailable")
    assert several.call("GET", LIST, other["key_secret"]).status_code == 200
    file.with_name("away").rename(file)
    assert several.call("GET", LIST, key["key_secret"]).status_code == 200
    assert used(several, key).uses == 1
