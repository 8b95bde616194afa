"""Two servers that share a database of keys and count in one Valkey, as nodes on two machines do."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError
from keyscope.settings import parse_settings
from tests.counting.limiting import LIST, at_once, kill_all, limited
from tests.gate.waiting import wait_until
from tests.live import Live
from tests.recorder import Recorder
from tests.valkey import Valkey

HOUR = 3_600_000


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey"), requirepass="of-the-tests") as valkey:
        yield valkey


class Node(Live):
    """Another server on the database of the first."""

    def __init__(self, directory: Path, first: Live, upstream: str, options: list[str], environment: dict[str, str]):
        super().__init__(directory, upstream=upstream, options=options, environment=environment)
        self.database = first.database


@pytest.fixture(scope="module")
def nodes(valkey: Valkey, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[tuple[Live, Live]]:
    options = ["--counters", valkey.url, "--counters-away", "rates-pass"]
    environment = {"KEYSCOPE_COUNTERS_PASSWORD": "of-the-tests"}
    with (
        Live(new_directory(), upstream=upstream.url, options=options, environment=environment) as one,
        Node(new_directory(), one, upstream.url, options, environment) as two,
    ):
        yield one, two


def on_both(nodes: tuple[Live, Live], secret: str, calls: int) -> Counter[int]:
    return at_once(nodes[0], secret, calls=calls, urls=tuple(node.url for node in nodes))


def test_two_nodes_count_uses_and_rates_exactly(nodes: tuple[Live, Live]) -> None:
    uses, rate = limited(nodes[0], uses=50), limited(nodes[0], rate={"requests": 50, "per_ms": HOUR})
    assert on_both(nodes, uses["key_secret"], 64) == {200: 50, 403: 14}
    assert on_both(nodes, rate["key_secret"], 64) == {200: 50, 429: 14}
    assert nodes[1].call("GET", f"/v1/restricted_keys/{uses['id']}", nodes[0].first).json()["spent"][0]["uses"] == 50


def test_a_node_that_crashed_has_spent_its_uses(nodes: tuple[Live, Live]) -> None:
    key = limited(nodes[0], uses=6)
    assert [node.call("GET", LIST, key["key_secret"]).status_code for node in nodes * 2] == [200] * 4
    kill_all(nodes[1])
    nodes[1].start()
    assert on_both(nodes, key["key_secret"], 8) == {200: 2, 403: 6}


def test_without_valkey_uses_are_closed_and_rates_pass_if_the_operator_says_so(
    nodes: tuple[Live, Live], valkey: Valkey
) -> None:
    node = nodes[0]
    uses, rate = limited(node, uses=50), limited(node, rate={"requests": 1, "per_ms": HOUR})
    both = limited(node, uses=50, rate={"requests": 9, "per_ms": HOUR})
    other = node.mint("devboxes:read")
    valkey.process.send_signal(signal.SIGSTOP)
    keys = (uses, rate, rate, both, other)
    assert [node.call("GET", LIST, key["key_secret"]).status_code for key in keys] == [503, 200, 200, 503, 200]
    assert node.call("GET", LIST, uses["key_secret"]).json()["code"] == "counters_unavailable"
    assert node.call("GET", f"/v1/restricted_keys/{uses['id']}").json()["spent"] is None
    valkey.process.send_signal(signal.SIGCONT)
    wait_until(lambda: node.call("GET", LIST, uses["key_secret"]).status_code == 200)


def test_a_valkey_that_lost_its_counts_closes_what_is_counted(
    nodes: tuple[Live, Live], valkey: Valkey, new_directory: Callable[[], Path]
) -> None:
    key = limited(nodes[0], uses=50)
    assert nodes[0].call("GET", LIST, key["key_secret"]).status_code == 200
    assert valkey.client.flushall()
    assert nodes[0].call("GET", LIST, key["key_secret"]).status_code == 503
    nodes[0].stop()
    with pytest.raises(AssertionError, match="has not the counters that were used before"):
        nodes[0].start()


@pytest.mark.parametrize(
    "url", ["redis://user:a-password@127.0.0.1/0", "127.0.0.1:6379", "http://127.0.0.1:6379", "redis://"]
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_and_the_password_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings({"counters": url}, {})
    (fault,) = refused.value.faults
    assert fault.path == "--counters"
    assert "KEYSCOPE_COUNTERS_PASSWORD" in fault.message
    assert "a-password" not in fault.message
