"""Two nodes on one database behind a load balancer that asks for their readiness: one after the other is restarted,
and no request fails.

The load balancer is HAProxy and tries nothing twice, so that what is shown is the nodes' own doing.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scripts.programs import program

from tests.engines import ENGINES
from tests.haproxy.inside import Inside, until
from tests.haproxy.traffic import read, traffic
from tests.live import Live, free_port
from tests.postgres import Databases
from tests.programs import requires_program
from tests.recorder import Recorder

pytestmark = requires_program("haproxy")

MORE = 200
"""Requests between two steps, so that each step happens under load."""

BALANCER = """
global
  stats socket {folder}/lb.sock level admin
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout check 10s
  retries 0
frontend callers
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  option httpchk
  http-check send meth GET uri /keyscope/readyz ver HTTP/1.1 hdr Host keyscope
  http-check expect status 200
  default-server check inter 100ms fall 1 rise 1
"""


class Balancer:
    """HAProxy in front of nodes, by name."""

    def __init__(self, folder: Path, nodes: dict[str, Live]) -> None:
        self.port = free_port()
        self._folder = folder
        servers = "".join(f"  server {name} 127.0.0.1:{node.port}\n" for name, node in nodes.items())
        (folder / "lb.cfg").write_text(BALANCER.format(folder=folder, port=self.port) + servers)

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [program("haproxy"), "-db", "-f", str(self._folder / "lb.cfg")]
        with (self._folder / "lb.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: (self._folder / "lb.sock").exists())
            yield
        finally:
            process.terminate()
            process.wait(10)

    def is_up(self, name: str) -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._folder / "lb.sock"))
            asking.sendall(b"show stat\n")
            said = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        rows = [line.split(",") for line in said.splitlines() if line]
        at = rows[0].index("status")
        return any(row[at] == "UP" for row in rows[1:] if row[1] == name)


@pytest.fixture(params=[*ENGINES, "postgresql"])
def nodes(
    request: pytest.FixtureRequest, upstream: Recorder, new_directory: Callable[[], Path]
) -> Iterator[list[Live]]:
    """Two servers on one database: a SQLite file of this host with each engine, and a PostgreSQL."""
    options = ["--drain-s", "1"]
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("databases")
        options += ["--database", databases.empty()]
    else:
        options += ["--engine", request.param, "--engine-threads", "1"]
    one = Live(new_directory(), upstream=upstream.url, options=options)
    shared = [] if request.param == "postgresql" else ["--database", f"sqlite:///{one.database}"]
    with one, Live(new_directory(), upstream=upstream.url, options=[*options, *shared]) as two:
        two.first = one.first
        yield [one, two]


def test_no_request_fails_while_one_node_after_the_other_is_restarted(nodes: list[Live], tmp_path: Path) -> None:
    key = nodes[0].mint("devboxes:read")["key_secret"]
    balancer = Balancer(tmp_path, {"one": nodes[0], "two": nodes[1]})
    with balancer.running():
        until(lambda: balancer.is_up("one") and balancer.is_up("two"))
        with traffic(balancer.port, [key], tmp_path) as report:

            def more() -> None:
                done = len(read(report))
                until(lambda: len(read(report)) > done + MORE)

            more()
            for name, node in zip(("one", "two"), nodes, strict=True):
                node.tell(signal.SIGTERM)
                until(lambda name=name: not balancer.is_up(name))  # type: ignore[misc]
                assert node.exit_code() == 0
                more()
                node.start()
                if "haproxy" in node.command():
                    until(Inside(node).is_judging)
                until(lambda name=name: balancer.is_up(name))  # type: ignore[misc]
                more()
    sent = read(report)
    assert {one.status for one in sent} == {200}
