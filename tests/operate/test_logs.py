"""The log as JSON: every line is one object, a request's lines name it, and no key is in any of them."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from keyscope.logs import Lines, Objects
from keyscope.model.token import Kind, format_token
from tests.engines import ENGINES
from tests.haproxy.inside import until
from tests.live import Live, free_port

MEMBERS = {"time", "level", "logger", "message", "process"}
MORE = {"request_id", "exception"}
SECRET = format_token(Kind.RESTRICTED, bytes(range(32))).reveal()


def told(live: Live) -> list[dict[str, Any]]:
    """Every line of the log. Fails for one that is no object."""
    return [json.loads(line) for line in live.log.splitlines()]


def about(live: Live, words: str) -> dict[str, Any]:
    """The first line that says this, once it is there."""
    return until(lambda: next((line for line in told(live) if words in line["message"]), None))


@pytest.fixture(params=ENGINES)
def live(request: pytest.FixtureRequest, new_directory: Callable[[], Path]) -> Any:
    """In front of an API that does not answer."""
    options = ["--log-format", "json", "--engine", request.param, "--workers", "2"]
    with Live(new_directory(), upstream=f"http://127.0.0.1:{free_port()}", options=options) as server:
        yield server


def test_every_line_from_the_first_to_the_last_is_one_object(live: Live) -> None:
    headers = {"x-request-id": "req-17", "connection": "close"}
    # With a body that counts, HAProxy asks, and Keyscope is who fails to reach the API.
    assert live.call("POST", "/v1/devboxes", json={}, headers=headers).status_code == 502
    failed = about(live, "upstream failed")
    assert (failed["level"], failed["logger"], failed["request_id"]) == ("warning", "keyscope.gate.proxy", "req-17")
    assert "request_id" not in about(live, "is ready on")
    if "haproxy" in live.command():
        assert about(live, "New worker")["logger"] == "keyscope.gate.haproxy.said"
    live.stop()
    for line in told(live):
        assert MEMBERS <= set(line) <= MEMBERS | MORE
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["level"] in {"debug", "info", "warning", "error", "critical"}
        assert live.first not in str(line)


def test_a_request_id_that_is_a_key_is_not_said(live: Live) -> None:
    headers = {"x-request-id": SECRET, "connection": "close"}
    assert live.call("POST", "/v1/devboxes", json={}, headers=headers).status_code == 502
    assert "request_id" not in about(live, "upstream failed")


def test_what_keeps_the_server_from_starting_is_one_object_too(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYSCOPE_")}
    environment |= {"KEYSCOPE_LOG_FORMAT": "json", "KEYSCOPE_PORT": "none", "KEYSCOPE_WORKERS": "0"}
    command = [sys.executable, "-m", "keyscope", "serve"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    line = json.loads(done.stderr)
    assert line["level"] == "critical"
    assert all(name in line["message"] for name in ("KEYSCOPE_PORT", "KEYSCOPE_WORKERS"))


@pytest.mark.parametrize("form", [Lines("%(message)s"), Objects()])
def test_a_key_that_comes_into_a_line_does_not_come_out(form: logging.Formatter) -> None:
    try:
        raise ValueError(f"{SECRET} is wrong")
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("a", logging.ERROR, "", 0, "key %s\nand\u2028more", (SECRET,), error)
    said = form.format(record)
    assert SECRET[3:] not in said
    assert said.count("[key]") >= 2


def test_an_object_is_one_line_whatever_it_says() -> None:
    record = logging.LogRecord("a", logging.ERROR, "", 0, "one\ntwo\u2028three \udcff", (), None)
    said = Objects().format(record)
    assert said.isascii()
    assert said.splitlines() == [said]
    assert json.loads(said)["message"] == "one\ntwo\u2028three \udcff"
