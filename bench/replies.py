"""Replies that are edited at the built-in gate, and the ledger of own things.

A page of 5,000 devboxes (4 MB, each with a tunnel) is listed by the official Python SDK through the gate, by a standard
key, which gets it as it is, and by keys whose reply is edited: cut down to what fits a pattern (all of it does, so that
as much is sent), to the key's own (every one, written down before), and without the tokens. What is timed is what the
SDK's caller waits for, its own reading of the page included. A look-up is one of 1,000,000 things, in random order, in
processor time; that of a node which remembers nothing asks PostgreSQL, and is timed by the clock.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import runloop_api_client
from tests.nodes.cluster import running

from bench import keys, nginx
from bench.measure import each_us, interleaved, medians, percentile, ratios
from bench.processes import keyscope
from bench.report import Row, at_most, known
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.things import open_things

NAME = "replies"
ITEMS = 5_000
_BATCH = 10_000
_KEYS = 1_000
_ACCOUNT = "acct_bench"
_DEVBOXES = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_WRITE"}]
_FILL = """
INSERT INTO keyscope.things
SELECT 'acct_bench', 'devboxes', 'dbx_' || lpad(number::text, 21, '0'), 'key_1 key_0', 0
FROM generate_series(0, %s - 1) AS number
"""
_READING = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]


def run(quick: bool) -> list[Row]:
    things, rounds = (100_000, 3) if quick else (1_000_000, 15)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's worker is another user
        return [_look_up(directory, things), *_asked_for(things, rounds), *_page(directory, rounds)]


def _look_up(directory: Path, count: int) -> Row:
    ledger = open_things(directory / "ledger")
    for start in range(0, count, _BATCH):
        made = [("devboxes", _id(number)) for number in range(start, start + _BATCH)]
        ledger.add(_ACCOUNT, made, ["key_" + "0" * 22, "key_" + "1" * 22], 0)
    asked = [[("devboxes", _id(random.randrange(count)))] for _ in range(20_000)]
    took = min(each_us(lambda things: ledger.owners(_ACCOUNT, things), asked) for _ in range(5))
    ledger.close()
    return Row(f"own ledger, one look-up of {count:,} things", took, "µs", at_most(10))


def _asked_for(count: int, rounds: int) -> list[Row]:
    with running(fsync="on") as cluster, closing(PostgresStore.open(cluster.url())) as store:
        cluster.ask(_FILL, count)
        one_us = [_asked_us(store, count, 1) for _ in range(200 * rounds)]
        page_us = [_asked_us(store, count, ITEMS) for _ in range(rounds)]
    what = f"own ledger in PostgreSQL, one look-up of {count:,} things that the node does not remember"
    return [
        Row(f"{what}, p50", median(one_us), "µs", known()),
        Row(f"{what}, p99", percentile(one_us, 0.99), "µs", known()),
        Row(f"the same for {ITEMS:,} in one question, p50", median(page_us) / 1000, "ms", known()),
    ]


def _asked_us(store: PostgresStore, count: int, asked: int) -> float:
    things, ids = store.open_things(), [("devboxes", _id(random.randrange(count))) for _ in range(asked)]
    began = time.perf_counter()
    things.owners(_ACCOUNT, ids)
    return (time.perf_counter() - began) * 1e6


def _page(directory: Path, rounds: int) -> list[Row]:
    folder = directory / "files" / "v1"
    folder.mkdir(parents=True)
    (folder / "devboxes").write_bytes(_body())
    with (
        nginx.serving(directory, folder.parent) as upstream,
        keyscope(directory, key_count=_KEYS, upstream=upstream.url) as gate,
    ):
        clients = dict(_clients(gate.url, directory))
        for client in clients.values():
            assert len(client.devboxes.list(limit=ITEMS).devboxes) == ITEMS
        found = interleaved({name: lambda c=client: _listed_ms(c) for name, client in clients.items()}, rounds)  # type: ignore[misc]
    middle = medians(found)
    return [
        Row(f"a page of {ITEMS:,} as it is", middle["plain"], "ms", known()),
        Row("the same, cut down to a pattern", ratios(found, "pattern", "plain"), "times", at_most(1.2)),
        Row("the same, cut down to own things", ratios(found, "own", "plain"), "times", at_most(1.2)),
        Row("the same, without the tokens in every element", ratios(found, "reader", "plain"), "times", known()),
    ]


def _clients(url: str, directory: Path) -> Iterator[tuple[str, runloop_api_client.Runloop]]:
    standard = keys.secret(0).reveal()
    yield "plain", _client(url, standard)
    made = _mint(url, standard, _DEVBOXES, {"instances": {"devboxes": ["dbx_*"]}})
    yield "pattern", _client(url, made["key_secret"])
    own = _mint(url, standard, _DEVBOXES, {"own": True})
    ledger = open_things(_ledger(directory))
    ledger.add(_ACCOUNT, [("devboxes", _id(number)) for number in range(ITEMS)], [own["id"]], 0)
    ledger.close()
    yield "own", _client(url, own["key_secret"])
    yield "reader", _client(url, _mint(url, standard, _READING, None)["key_secret"])


def _ledger(directory: Path) -> Path:
    """That of the server whose files are here."""
    [found] = directory.glob("*.things")
    return found


@contextmanager
def _http(url: str, secret: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}, trust_env=False) as http:
        yield http


def _mint(url: str, secret: str, scopes: list[dict[str, str]], restrictions: dict[str, Any] | None) -> dict[str, Any]:
    body = {"scopes": scopes, **({"restrictions": restrictions} if restrictions else {})}
    with _http(url, secret) as http:
        made: dict[str, Any] = http.post("/v1/restricted_keys", json=body).raise_for_status().json()
    return made


def _client(url: str, secret: str) -> runloop_api_client.Runloop:
    return runloop_api_client.Runloop(bearer_token=secret, base_url=url, max_retries=0)


def _listed_ms(client: runloop_api_client.Runloop) -> float:
    began = time.perf_counter()
    client.devboxes.list(limit=ITEMS)
    return (time.perf_counter() - began) * 1000


def _id(number: int) -> str:
    return f"dbx_{number:021d}"


def _body() -> bytes:
    page = {"devboxes": [_box(number) for number in range(ITEMS)], "has_more": False, "total_count": ITEMS}
    return json.dumps(page, separators=(",", ":")).encode()


def _box(number: int) -> dict[str, Any]:
    moments = [{"status": status, "transition_time_ms": 1_760_000_000_000} for status in ("provisioning", "running")]
    return {
        "id": _id(number),
        "name": f"box {number}",
        "status": "running",
        "create_time_ms": 1_760_000_000_000 + number,
        "end_time_ms": None,
        "capabilities": ["computer_usage"],
        "blueprint_id": "bpt_31JYaaMFYdjZOwqWjjbCj",
        "metadata": {"team": "research", "run": "b" * 20, "owner": "somebody@example.com"},
        "launch_parameters": {
            "resource_size_request": "SMALL",
            "keep_alive_time_seconds": 3600,
            "launch_commands": ["echo hello", "cat /etc/hosts"],
            "after_idle": {"idle_time_seconds": 60, "on_idle": "shutdown"},
        },
        "state_transitions": moments,
        "tunnel": {"tunnel_key": f"tk{number}", "auth_token": "t" * 24, "auth_mode": "authenticated"},
    }
