"""What a server's metrics say, read by Prometheus's own client library."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.live import Live

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def values(text: str) -> Values:
    """Every sample, by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(live: Live) -> Values:
    """The metrics now, over a connection of its own, so that any worker may answer."""
    response = httpx.get(f"{live.url}/keyscope/metrics", headers={"connection": "close"}, trust_env=False, timeout=20)
    assert response.status_code == 200, response.text
    return values(response.text)


def value(found: Values, name: str, **labels: str) -> float:
    """One sample; 0 if it is not there, as Prometheus takes it in sums."""
    return found.get((name, tuple(sorted(labels.items()))), 0)


def until(live: Live, holds: Callable[[Values], bool]) -> Values:
    """The metrics once they are so."""
    end = time.monotonic() + 20
    while not holds(found := scraped(live)):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found
