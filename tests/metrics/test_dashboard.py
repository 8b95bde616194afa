"""The Grafana dashboard asks for metrics, labels and label values that a server really has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.live import Live, free_port
from tests.metrics.reading import until
from tests.recorder import Recorder
from tests.webhooks.receiver import add

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana" / "keyscope.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
OF_PROMETHEUS = {"job", "le"}
OF_NODES = {"keyscope_replica_stale_seconds"}
"""What a server alone has not."""


@pytest.fixture(scope="module")
def live(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    options = ["--webhook-targets", "private"]
    with Live(new_directory(), upstream=upstream.url, options=options) as server:
        yield server


@pytest.fixture(scope="module")
def known(live: Live) -> dict[str, set[str]]:
    """The labels of each sample that a server with some traffic gives."""
    add(live, f"http://127.0.0.1:{free_port()}/nobody")
    key = live.mint("devboxes:read")
    for method in ("GET", "POST"):
        live.call(method, "/v1/devboxes", key["key_secret"])
    live.revoke(key["id"])
    until(live, lambda found: {"keyscope_calls_total", "keyscope_webhook_tries_total"} <= {name for name, _ in found})
    return dict(_labels(live.call("GET", "/keyscope/metrics", "").text))


def _labels(text: str) -> Iterator[tuple[str, set[str]]]:
    for family in text_string_to_metric_families(text):
        if not family.samples:
            yield f"{family.name}_total", set()
        for sample in family.samples:
            yield sample.name, set(sample.labels)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(query: str, known: dict[str, set[str]]) -> None:
    selectors = re.findall(r"(keyscope_\w+)\{([^}]*)\}", query)
    assert selectors
    for name, matchers in selectors:
        assert name in known, query
        asked = set(re.findall(r"(\w+)(?:=~|=)", matchers)) | _grouped(query)
        assert asked - OF_PROMETHEUS <= known[name], query


def _grouped(query: str) -> set[str]:
    return {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}


def test_the_page_lists_every_metric_with_its_labels(known: dict[str, set[str]], live: Live) -> None:
    page = (DOCS / "metrics.md").read_text()
    listed = dict(re.findall(r"^\| `(keyscope_\w+)` \| [^|]* \| ([^|]*) \|", page, re.MULTILINE))
    text = live.call("GET", "/keyscope/metrics", "").text
    served = {family.name: family for family in text_string_to_metric_families(text)}
    for name in OF_NODES:
        del listed[name]
    assert {name.removesuffix("_total") for name in listed} == set(served)
    for name, labels in listed.items():
        told = set(re.findall(r"`(\w+)`", labels))
        for sample in served[name.removesuffix("_total")].samples:
            assert set(sample.labels) - {"le"} == told


def test_every_panel_has_a_title_and_the_data_source_of_the_dashboard() -> None:
    assert all(panel["title"] and panel["datasource"]["uid"] == "${datasource}" for panel in DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
