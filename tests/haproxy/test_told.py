"""What HAProxy judges by itself is in the metrics, and its first uses are told to webhooks, as the rest is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.metrics import reading
from tests.programs import requires_program
from tests.recorder import Recorder
from tests.webhooks.receiver import Receiver, add

pytestmark = requires_program("haproxy")

DEVBOX = "/v1/devboxes/dbx_1"
SHOW = f"{DEVBOX}/usage"


@pytest.fixture
def telling(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    options = ["--engine", "haproxy", "--webhook-targets", "private", "--webhook-wait-s", "0.1"]
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests"}
    with Live(new_directory(), upstream=upstream.url, options=options, environment=environment) as server:
        until(Inside(server).is_judging)
        yield server


def test_calls_and_refusals_of_haproxy_are_counted_and_first_uses_told_once(telling: Live) -> None:
    with Receiver() as receiver:
        add(telling, receiver.url, "key.first_used")
        key = telling.mint("devboxes:read")
        before = Inside(telling).answered_by()
        statuses = [telling.call("GET", SHOW, key["key_secret"]).status_code for _ in range(3)]
        statuses += [telling.call("POST", f"{DEVBOX}/suspend", key["key_secret"]).status_code]
        assert statuses == [200, 200, 200, 403]
        after = Inside(telling).answered_by()
        assert (after["api"] - before["api"], after["keyscope"] - before["keyscope"]) == (3, 0)
        allowed = {"operation": "getDevboxResourceUsage", "verdict": "allowed", "code": ""}
        refused = {"operation": "suspendDevbox", "verdict": "refused", "code": "insufficient_scope"}

        def counted(found: reading.Values) -> bool:
            sums = [reading.value(found, "keyscope_calls_total", **labels) for labels in (allowed, refused)]
            return sums == [3.0, 1.0]

        reading.until(telling, counted)
        until(lambda: receiver.of("key.first_used", key["id"]))
        assert len(receiver.of("key.first_used", key["id"])) == 1
