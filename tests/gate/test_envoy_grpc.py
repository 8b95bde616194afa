"""A real Envoy asks over gRPC, and shows the bodies that the policy has conditions on."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from keyscope.errors import ConfigurationError
from keyscope.settings import parse_settings
from tests.gate.proxies import ENVOY_GRPC, running
from tests.gate.questions import question, verdict
from tests.gate.raw import Raw
from tests.live import Live, free_port
from tests.programs import requires_program
from tests.recorder import Recorder

CHECK = "/envoy.service.auth.v3.Authorization/Check"
JUDGED = "/v1/devboxes"
JSON = ("content-type", "application/json")
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("grpc", "envoy", "google.rpc")))
from keyscope.cli.main import main
main()
"""
"""The command where the extra is not installed."""


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def live(grpc_port: int, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that is asked over gRPC, and is a gate itself, before the same upstream."""
    with Live(new_directory(), upstream=upstream.url, options=["--envoy-grpc", f"127.0.0.1:{grpc_port}"]) as server:
        yield server


@pytest.fixture(scope="module")
def envoy(live: Live, grpc_port: int, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[int]:
    """The port of an Envoy."""
    with running(ENVOY_GRPC, upstream.url, grpc_port, new_directory()) as url:
        yield httpx.URL(url).port or 0


@pytest.fixture
def through(envoy: int) -> Iterator[Raw]:
    with Raw(envoy) as connection:
        yield connection


def ask(port: int, question: bytes, host: str = "127.0.0.1") -> bytes:
    """Ask over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{host}:{port}", options) as channel:
        check: Any = channel.unary_unary(CHECK)  # without a serializer it takes and gives bytes
        answer: bytes = check(question, timeout=20)
        return answer


@requires_program("envoy")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name": "x"}', 200),
        (b'{"blueprint_id": null}', 200),
        (b'{"blueprint_id": "bpt_1"}', 403),
        (b'{"mounts": [{"object_id": "obj_1"}]}', 403),
        (b'{"blueprint_id": null, "blueprint_id": "bpt_1"}', 400),
        (b'{"name": NaN}', 400),
        (b"name=x", 400),
    ],
)
def test_a_condition_is_judged_by_the_body_itself(
    through: Raw, upstream: Recorder, key: str, body: bytes, status: int
) -> None:
    assert through.ask("POST", JUDGED, key, [JSON], body).status == status
    assert [seen.body for seen in upstream.take()] == ([body] if status == 200 else [])


@requires_program("envoy")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/blueprints", None),
        ("GET", "/v1/nowhere", None),
        ("POST", JUDGED, b'{"blueprint_id": "bpt_1"}'),
        ("POST", JUDGED, b'{"name": 1, "name": 2}'),
        ("GET", "/v1/devboxes/x;y", None),
        ("TRACE", "/v1/devboxes", None),
        ("GET", "/v1/devboxes?" + "a" * 8200, None),
    ],
)
def test_a_refusal_is_word_for_word_the_built_in_gates(
    through: Raw, live: Live, key: str, method: str, path: str, body: bytes | None
) -> None:
    with Raw(live.port) as gate:
        own = gate.ask(method, path, key, [JSON], body)
    answer = through.ask(method, path, key, [JSON], body)
    assert (answer.status, answer.body) == (own.status, own.body)
    for name in ("content-type", "cache-control", "www-authenticate"):
        assert answer.head.all(name) == own.head.all(name)


@requires_program("envoy")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("content-type", "text/plain")], 415),
        ([JSON, ("content-type", "text/plain")], 415),
        ([JSON, ("content-encoding", "gzip")], 415),
        ([JSON, ("upgrade", "websocket"), ("connection", "upgrade"), ("x-envoy-auth-partial-body", "false")], 403),
    ],
)
def test_a_body_that_could_be_read_in_two_ways_or_is_not_shown_does_not_pass(
    through: Raw, upstream: Recorder, key: str, fields: list[tuple[str, str]], status: int
) -> None:
    answer = through.ask("POST", JUDGED, key, fields, b'{"name": "x"}')
    assert (answer.status, upstream.take()) == (status, [])


@requires_program("envoy")
def test_a_body_is_shown_where_the_path_holds_an_id_too(through: Raw, live: Live, upstream: Recorder) -> None:
    key = live.mint("scenarios:write")["key_secret"]
    body = b'{"environment_parameters": {"blueprint_id": "bpt_1"}}'
    assert through.ask("POST", "/v1/scenarios/scn_1", key, [JSON], body).status == 403
    assert upstream.take() == []
    assert through.ask("POST", "/v1/scenarios/scn_1?a=b", key, [JSON], b'{"name": "x"}').status == 200


@requires_program("envoy")
def test_a_judged_body_has_a_limit(through: Raw, upstream: Recorder, key: str) -> None:
    body = json.dumps({"name": "x" * (1 << 20)}).encode()
    assert (through.ask("POST", JUDGED, key, [JSON], body).status, upstream.take()) == (413, [])


@requires_program("envoy")
def test_a_caller_cannot_say_that_a_body_was_shown(through: Raw, upstream: Recorder, key: str) -> None:
    mark = ("x-envoy-auth-partial-body", "false")
    assert through.ask("POST", JUDGED, key, [JSON, mark], b'{"blueprint_id": "b"}').status == 403
    assert upstream.take() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_several_workers_answer_and_end_with_the_server(new_directory: Callable[[], Path], host: str) -> None:
    port = free_port()
    with Live(new_directory(), options=["--envoy-grpc", f"{host}:{port}", "--workers", "2"]) as live:
        key = live.mint("devboxes:read")["key_secret"]
        passes = [verdict(ask(port, question("GET", "/v1/devboxes", key), host)).passes for _ in range(16)]
        live.stop()
        assert passes == [True] * 16
        assert "Traceback" not in live.log
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host.strip("[]"), port))


def test_a_revoked_key_is_refused_at_once(live: Live, grpc_port: int) -> None:
    made = live.mint("devboxes:read")
    asked = question("GET", "/v1/devboxes", made["key_secret"])
    assert verdict(ask(grpc_port, asked)).passes
    live.revoke(made["id"])
    assert verdict(ask(grpc_port, asked)).status == 401


def test_a_question_beyond_the_limit_is_a_grpc_error(live: Live, grpc_port: int) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(grpc_port, bytes(2 << 20))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_proxy_that_the_settings_do_not_name_is_not_believed(new_directory: Callable[[], Path]) -> None:
    port = free_port()
    options = ["--envoy-grpc", f"127.0.0.1:{port}", "--forward-auth-peers", "192.0.2.0/24"]
    with Live(new_directory(), options=options) as live:
        said = verdict(ask(port, question("GET", "/v1/devboxes", live.first)))
    assert (said.passes, said.status, json.loads(said.body)["code"]) == (False, 403, "peer_not_trusted")


def test_without_the_extra_the_server_serves(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), program=["-c", WITHOUT]) as live:
        assert live.call("GET", "/keyscope/me").status_code == 200


def refused_start(folder: Path, *options: str, program: tuple[str, ...] = ("-m", "keyscope")) -> str:
    """What the command says instead of serving."""
    words = [sys.executable, *program, "serve", "--database", "memory://", *options]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False), done.stderr
    return done.stderr


def test_without_the_extra_the_setting_says_what_to_install(tmp_path: Path) -> None:
    said = refused_start(tmp_path, "--envoy-grpc", "127.0.0.1:8701", program=("-c", WITHOUT))
    assert "--envoy-grpc" in said
    assert "pip install 'keyscope[envoy]'" in said


def test_the_doctor_finds_the_extra_missing(tmp_path: Path) -> None:
    environment = {"KEYSCOPE_ENVOY_GRPC": "127.0.0.1:8701", "KEYSCOPE_URL": "http://127.0.0.1:1"}
    for program, found in ((["-c", WITHOUT], "wrong envoy: --envoy-grpc"), (["-m", "keyscope"], "ok    envoy: ")):
        words = [sys.executable, *program, "doctor"]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert found in done.stdout


def test_an_address_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for wrong in (
        "8701",
        "127.0.0.1",
        "127.0.0.1:0",
        ":8701",
        "::1:8701",
        "127.0.0.1:x",
        "[::1:8701",
        "127.0.0.1:8700",
    ):
        with pytest.raises(ConfigurationError) as named:
            parse_settings({"envoy_grpc": wrong}, {})
        assert [fault.path for fault in named.value.faults] == ["--envoy-grpc"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused_start(tmp_path, "--port", str(free_port()), "--envoy-grpc", address)
    assert "in use by another program" in said
