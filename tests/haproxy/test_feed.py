"""``keyscope export haproxy`` and ``keyscope feed``: a HAProxy that a team runs itself, as the two commands have it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.haproxy.inside import until
from tests.haproxy.many import minted
from tests.live import Live, free_port
from tests.programs import program, requires_program
from tests.recorder import Recorder

KEYSCOPE = [sys.executable, "-m", "keyscope"]
UPSTREAM_KEY = "ak_of_the_upstream"

pytestmark = requires_program("haproxy")


class Team(NamedTuple):
    """A team's HAProxy."""

    port: int
    pid: int
    folder: Path
    feeder: Callable[[], subprocess.Popen[bytes]]

    def status(self, key: str, path: str = "/v1/devboxes", method: str = "GET") -> int:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, trust_env=False
        ).status_code


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        started = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


@pytest.fixture
def team(live: Live, upstream: Recorder, tmp_path: Path) -> Iterator[Team]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = ["--directory", str(folder), "--socket", str(folder / "admin.sock")]
        port = free_port()
        pid_file = folder / "pid"

        def feeder() -> subprocess.Popen[bytes]:
            reload = ["--reload", f"sh -c 'kill -USR2 $(cat {pid_file})'"]
            words = [*KEYSCOPE, "feed", "--database", f"sqlite:///{live.database}", *places, *reload]
            return stack.enter_context(process(words, tmp_path / "feed.log"))

        feeding = feeder()
        until(lambda: (folder / "lease.map").exists())
        where = ["--upstream", upstream.url, "--url", live.url, "--listen", f"127.0.0.1:{port}"]
        text = subprocess.run([*KEYSCOPE, "export", "haproxy", *where, *places], capture_output=True, check=True).stdout
        (folder / "haproxy.cfg").write_bytes(text)
        command = [program("haproxy"), "-W", "-db", "-f", str(folder / "haproxy.cfg")]
        key = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}
        haproxy = stack.enter_context(process(command, tmp_path / "haproxy.log", **key))
        pid_file.write_text(str(haproxy.pid))
        made = Team(port, haproxy.pid, folder, feeder)
        until(lambda: is_up(port))
        until(lambda: judges_alone(made, live, upstream))
        yield made
        assert feeding.poll() in (None, -signal.SIGKILL)


def is_up(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/keyscope/healthz", trust_env=False).status_code)
    except httpx.TransportError:
        return False


def judges_alone(team: Team, live: Live, upstream: Recorder) -> bool:
    """Whether HAProxy itself lets the first key through: then the upstream gets the key that HAProxy has."""
    upstream.take()
    assert team.status(live.first) == 200
    [seen] = upstream.take()
    return seen.all("authorization") == [f"Bearer {UPSTREAM_KEY}"]


def test_it_judges_and_every_change_holds_for_the_next_request(team: Team, live: Live, upstream: Recorder) -> None:
    for _ in range(10):
        made = live.mint("devboxes:read")
        assert team.status(made["key_secret"]) == 200
        assert team.status(made["key_secret"], "/v1/devboxes/dbx_1/shutdown", "POST") == 403
        live.revoke(made["id"])
        assert team.status(made["key_secret"]) == 401
    assert {seen.method for seen in upstream.take()} == {"GET"}


def test_a_feeder_that_is_killed_is_waited_for_once_and_then_missed_by_nobody(
    team: Team, live: Live, upstream: Recorder
) -> None:
    links = Path(f"{live.database}.gates")
    [link] = links.iterdir()
    os.kill(int(link.name.split("-")[0]), signal.SIGKILL)
    made = live.mint("devboxes:read")  # answers when HAProxy has ceased to judge alone
    assert not judges_alone(team, live, upstream)
    assert team.status(made["key_secret"]) == 200
    live.revoke(made["id"])
    assert team.status(made["key_secret"]) == 401
    assert list(links.iterdir()) == []
    team.feeder()
    until(lambda: judges_alone(team, live, upstream))
    assert team.status(made["key_secret"]) == 401


def test_forward_auth_is_not_for_callers_from_elsewhere(team: Team) -> None:
    configuration = (team.folder / "haproxy.cfg").read_text()
    assert (
        "http-request deny deny_status 403 if { path_beg /keyscope/authorize } !{ src 127.0.0.0/8 ::1 }"
        in configuration
    )


def test_it_is_reloaded_when_much_has_changed(team: Team, live: Live, upstream: Recorder) -> None:
    root = live.mint("account:write", "devboxes:read")
    tree = minted(live, 10_500, below=root["id"])
    live.revoke(root["id"])
    until(lambda: judges_alone(team, live, upstream))
    assert {team.status(secret) for secret in tree.secrets[::1000]} == {401}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["feed", "--database", f"sqlite:///{tmp_path}/k.db", "--directory", str(tmp_path / "file" / "x")]
    done = subprocess.run([*KEYSCOPE, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "--directory" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
