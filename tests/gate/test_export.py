"""What ``keyscope export`` prints, and what it takes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from keyscope.cli.main import root
from keyscope.gate.export import TEMPLATES, Origin, export
from tests.gate.proxies import install, program_of
from tests.live import free_port
from tests.programs import program, requires_program

CHECKS = {
    "nginx": ["-t", "-p", ".", "-c", "nginx.conf", "-e", "error.log"],
    "caddy": ["validate", "--config", "Caddyfile"],
    "envoy": ["--mode", "validate", "--config-path", "envoy.yaml"],
    "envoy-grpc": ["--mode", "validate", "--config-path", "envoy.yaml"],
}
"""How a program checks a configuration. Traefik has no such command."""


def printed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(root, ["export", *words])
    return result.exit_code, result.output


@pytest.mark.parametrize("proxy", sorted(TEMPLATES))
@pytest.mark.parametrize("api", ["http://127.0.0.1:9000", "https://api.example.com", "https://[::1]:8443"])
def test_every_place_in_a_template_is_filled_in(proxy: str, api: str) -> None:
    code, text = printed(proxy, "--upstream", api, "--url", "http://10.0.0.7:8701", "--listen", "0.0.0.0:8081")
    assert code == 0
    assert "@" not in text.replace("@websocket", "").replace("@other", "").replace('"@type"', "")
    assert all(part in text for part in ("10.0.0.7", "8701", "8081"))
    assert Origin.parse(api).host in text


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), "10.0.0.7, port_value: 8701"),
        (("--url", "http://10.0.0.8"), "10.0.0.8, port_value: 80}"),
        (("--url", "http://10.0.0.8:9701"), "10.0.0.8, port_value: 9701"),
    ],
)
def test_grpc_has_its_own_port_on_the_host_of_the_http_server(
    words: tuple[str, ...], asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSCOPE_URL", "http://10.0.0.7:8700")
    _, text = printed("envoy-grpc", "--upstream", "http://a", *words)
    assert asked in text


def test_the_bodies_that_a_policy_judges_are_shown_and_no_others() -> None:
    _, text = printed("envoy-grpc", "--upstream", "http://a", "--policy", "github-issues")
    assert re.findall(r"- {match: {(.*?), headers.*exact: (\w+)", text) == [
        (r'safe_regex: {regex: "/repos/[!-.0-~]+/[!-.0-~]+/issues"}', "POST"),
        (r'safe_regex: {regex: "/repos/[!-.0-~]+/[!-.0-~]+/issues/[!-.0-~]+"}', "PATCH"),
    ]


@pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=requires_program(program_of(name))) for name in sorted(CHECKS)]
)
def test_the_program_itself_finds_no_fault_with_an_https_upstream(
    proxy: str, new_directory: Callable[[], Path]
) -> None:
    folder = new_directory()
    text = export(
        proxy,
        upstream=Origin.parse("https://127.0.0.1:8443"),
        keyscope=Origin.parse("http://127.0.0.1:8700"),
        listen=Origin("http", "127.0.0.1", free_port()),
    )
    install(proxy, text, folder)
    environment = {**os.environ, "KEYSCOPE_UPSTREAM_KEY": "x", "HOME": str(folder)}
    done = subprocess.run(
        [program(program_of(proxy)), *CHECKS[proxy]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--upstream", "api.example.com"),
        ("--upstream", "https://api.example.com/v1"),
        ("--upstream", "https://api.example.com; return 200"),
        ("--upstream", "https://user@api.example.com"),
        ("--upstream", "http://a:70000"),
        ("--upstream", "http://a", "--url", "https://keys.example.com"),
        ("--upstream", "http://a", "--listen", "8080"),
        ("--upstream", "http://a", "--listen", "127.0.0.1"),
        (),
    ],
)
@pytest.mark.parametrize("proxy", sorted(TEMPLATES))
def test_a_wrong_address_is_named(proxy: str, words: tuple[str, ...]) -> None:
    code, text = printed(proxy, *words)
    assert code == 2
    assert "Error: " in text
    assert "Traceback" not in text
    assert all(word in text for word in words[-2:])
