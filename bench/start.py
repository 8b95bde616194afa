"""Starting, and management: what an operator waits for.

Start-up is the time from starting the command to its ready line, with 1,000,000 keys, the file in the system's page
cache, each time with all that a start checks. A mint is durable (fsync) before it is answered; a revocation is timed
from its being sent until the next use of the key is refused.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench import keys
from bench.measure import percentile
from bench.processes import SERVER_CORE, free_port, keyscope, pinned, serve_command
from bench.report import Row, at_most, known

NAME = "start"
_SCOPES = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]
_START_S = 60


def run(quick: bool) -> list[Row]:
    count, starts, changes = (100_000, 2, 50) if quick else (1_000_000, 7, 1000)
    with tempfile.TemporaryDirectory() as name:
        database = keys.a_copy(count, Path(name))
        keys.warm(database)
        took = [_start_s(database) for _ in range(starts)]
    with tempfile.TemporaryDirectory() as name, keyscope(Path(name), key_count=10_000) as server:
        return [
            Row(f"start to ready line, {count:,} keys", median(took), "s", at_most(2)),
            *_management(server.url, changes),
        ]


def _start_s(database: Path) -> float:
    began = time.monotonic()
    command = pinned(SERVER_CORE, serve_command(database, free_port()))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in itertools.islice(process.stderr or [], 100):
            if "is ready on" in line:
                return time.monotonic() - began
        raise RuntimeError("there was no ready line")
    finally:
        process.terminate()
        process.communicate(timeout=_START_S)


def _management(url: str, changes: int) -> list[Row]:
    with _client(url, keys.secret(0).reveal()) as http:
        began = time.monotonic()
        minted = [_mint(http, number) for number in range(changes)]
        per_s = changes / (time.monotonic() - began)
        took_ms = [_revoke_ms(http, key) for key in minted]
    return [
        Row("durable mints, one after the other", per_s, "/s", known()),
        Row("revoke until the next use is refused, p50", median(took_ms), "ms", known()),
        Row("revoke until the next use is refused, p99", percentile(took_ms, 0.99), "ms", known()),
    ]


@contextlib.contextmanager
def _client(url: str, secret: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}, trust_env=False) as http:
        yield http


def _mint(http: httpx.Client, number: int) -> dict[str, Any]:
    reply = http.post("/v1/restricted_keys", json={"name": f"minted-{number}", "scopes": _SCOPES})
    key: dict[str, Any] = reply.raise_for_status().json()
    return key


def _revoke_ms(http: httpx.Client, key: dict[str, Any]) -> float:
    """Raises if the key is accepted after the revocation was answered, or was refused before."""
    own = {"authorization": f"Bearer {key['key_secret']}"}
    http.get("/keyscope/me", headers=own).raise_for_status()
    began = time.monotonic()
    http.post(f"/v1/restricted_keys/{key['id']}/revoke").raise_for_status()
    status = http.get("/keyscope/me", headers=own).status_code
    if status != 401:
        raise RuntimeError(f"a revoked key was answered {status}")
    return (time.monotonic() - began) * 1000
