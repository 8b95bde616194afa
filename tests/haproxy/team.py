"""A HAProxy that a team runs itself, with what ``keyscope export haproxy`` prints, and ``keyscope feed`` beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.haproxy.inside import until
from tests.live import Live, free_port
from tests.programs import program
from tests.recorder import Recorder

KEYSCOPE = [sys.executable, "-m", "keyscope"]
UPSTREAM_KEY = "ak_of_the_teams_haproxy"
Edit = Callable[[str], str]


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


@contextmanager
def running_team(
    live: Live, upstream: Recorder, logs: Path, edit: Edit = lambda text: text, *, on: Sequence[str] = ()
) -> Iterator[Team]:
    """In front of an upstream, once it judges; its configuration edited first. ``on``: options that name the keys."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = ["--directory", str(folder), "--socket", str(folder / "admin.sock")]
        port = free_port()
        pid_file = folder / "pid"

        def feeder() -> subprocess.Popen[bytes]:
            reload = ["--reload", f"sh -c 'kill -USR2 $(cat {pid_file})'"]
            keys = on or ["--database", f"sqlite:///{live.database}"]
            words = [*KEYSCOPE, "feed", *keys, *places, *reload]
            return stack.enter_context(process(words, logs / "feed.log"))

        feeder()
        until(lambda: (folder / "lease.map").exists())
        where = ["--upstream", upstream.url, "--url", live.url, "--listen", f"127.0.0.1:{port}"]
        words = [*KEYSCOPE, "export", "haproxy", *where, *places]
        text = subprocess.run(words, capture_output=True, check=True, text=True).stdout
        (folder / "haproxy.cfg").write_text(edit(text))
        command = [program("haproxy"), "-W", "-db", "-f", str(folder / "haproxy.cfg")]
        key = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}
        haproxy = stack.enter_context(process(command, logs / "haproxy.log", **key))
        pid_file.write_text(str(haproxy.pid))
        made = Team(port, haproxy.pid, folder, feeder)
        until(lambda: is_up(port))
        until(lambda: judges_alone(made, live, upstream))
        yield made


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
