"""The bench's load on a running verifier: on Keyscope for real, and never on one that refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.adapter import AdapterError, names, read
from bench.verifier import CALLER

from tests.live import Live
from tests.programs import requires_program

ROOT = Path(__file__).parents[2]


def command(live: Live, adapter: str, keys: Path, seconds: int = 1) -> list[str]:
    options = ["--adapter", adapter, "--url", live.url, "--keys", str(keys)]
    return [sys.executable, "-m", "bench.verifier", *options, "--rounds", "1", "--seconds", str(seconds)]


def measuring(live: Live, adapter: str, keys: Path, seconds: int = 1) -> subprocess.Popen[str]:
    """The command, started; the live server's first key asks."""
    environment = {**os.environ, CALLER: live.first}
    return subprocess.Popen(
        command(live, adapter, keys, seconds),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def two_keys(live: Live, tmp_path: Path) -> tuple[Path, str]:
    """A file with two keys that may read devboxes, and the id of the second."""
    made = [live.mint("devboxes:read") for _ in range(2)]
    path = tmp_path / "keys"
    path.write_text("".join(f"{key['key_secret']}\n" for key in made))
    return path, made[1]["id"]


@requires_program("wrk")
@pytest.mark.parametrize("adapter", ["keyscope", "keyscope-forward-auth"])
def test_keyscope_is_measured_by_its_own_adapters(live: Live, adapter: str, two_keys: tuple[Path, str]) -> None:
    process = measuring(live, adapter, two_keys[0])
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, complained
    assert "32 connections, requests per second" in said
    assert live.first not in said + complained


@requires_program("wrk")
def test_a_key_that_is_refused_beforehand_ends_the_measurement(live: Live, two_keys: tuple[Path, str]) -> None:
    path, second = two_keys
    live.revoke(second)
    process = measuring(live, "keyscope", path)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "key 2 got no yes" in complained
    assert said == ""


@requires_program("wrk")
def test_a_verifier_that_begins_to_refuse_under_load_is_not_measured(live: Live, two_keys: tuple[Path, str]) -> None:
    path, second = two_keys
    process = measuring(live, "keyscope", path, seconds=3)
    assert process.stderr is not None
    assert "measuring" in process.stderr.readline()
    live.revoke(second)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "answers under load were no yes" in complained
    assert said == ""


@requires_program("wrk")
def test_a_verifier_that_says_yes_to_everything_is_not_measured(
    live: Live, two_keys: tuple[Path, str], tmp_path: Path
) -> None:
    blind = tmp_path / "blind.json"
    blind.write_text(
        json.dumps(
            {
                "name": "the page that says whether the server lives",
                "documented": "docs/wire.md",
                "proves": "nothing",
                "tried": True,
                "method": "GET",
                "path": "/keyscope/healthz",
                "yes": {"status": 200},
            }
        )
    )
    process = measuring(live, str(blind), two_keys[0])
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "says yes to a text that is no key" in complained


@pytest.mark.parametrize("name", names())
def test_an_adapter_is_whole_and_says_where_it_is_documented(name: str) -> None:
    adapter = read(name)
    request = adapter.request("bench:1", 'a"key', "a caller").decode()
    head, _, body = request.partition("\r\n\r\n")
    assert request.startswith(f"{adapter.method} {adapter.path} HTTP/1.1\r\nHost: bench:1\r\n")
    assert "{key}" not in request
    assert "{caller}" not in request
    assert 'a"key' in head or 'a\\"key' in body
    assert adapter.documented.startswith("https://") or (ROOT / adapter.documented).exists()
    assert adapter.tried == name.startswith("keyscope")


def test_a_member_of_an_adapter_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.json"
    path.write_text('{"name": "x", "typo": 1}')
    with pytest.raises(AdapterError, match="typo"):
        read(str(path))


def answers() -> Iterator[tuple[str, str, bytes, bool]]:
    """Adapter, what it was answered, whether that is a yes. The bodies are those of the documentation, shortened."""
    yield "unkey", "200", b'{"meta":{},"data":{"valid":true,"code":"VALID"}}', True
    yield "unkey", "200", b'{"meta":{},"data":{"valid":false,"code":"NOT_FOUND"}}', False
    yield "unkey", "200", b'{"valid":true}', False
    yield "ory-talos", "200", b'{"is_valid": true}', True
    yield "ory-talos", "200", b'{"is_valid": false}', False
    yield "ory-talos", "200", b"no JSON", False
    yield "openbao-lookup", "403", b'{"errors":["bad token"]}', False
    yield "openbao-lookup-self", "200", b'{"data":{}}', True


@pytest.mark.parametrize(("name", "status", "body", "yes"), list(answers()))
def test_a_yes_is_what_the_adapter_calls_one(name: str, status: str, body: bytes, yes: bool) -> None:
    assert read(name).yes.said(int(status), body) is yes
