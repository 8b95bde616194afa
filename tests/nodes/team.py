"""Several real nodes on one real PostgreSQL, each behind a relay of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.live import HERE, Live, Place
from tests.nodes.cluster import Cluster
from tests.nodes.relay import Relay

WAIT_S = 20.0
READ, WRITE = "GET", "POST"
CALLS = {READ: "/v1/devboxes/dbx_1/usage", WRITE: "/v1/devboxes/dbx_1/suspend"}
"""What keys are tried with, by method: HAProxy judges both alone."""
HAPROXY = ["--engine", "haproxy", "--engine-threads", "1"]


class Member(Live):
    """One node, of several processes; and several start together. ``database`` is the URL of the record."""

    start_s = 60.0
    relay: Relay
    """What lies between it and PostgreSQL, in a ``team``."""

    def __init__(
        self,
        directory: Path,
        name: str,
        database: str,
        first: str,
        *,
        staleness_s: float,
        options: list[str],
        environment: Mapping[str, str] | None = None,
        upstream: str | None = None,
        place: Place = HERE,
    ) -> None:
        directory.mkdir(parents=True)
        self.record = f"{database}?sslmode=disable&gssencmode=disable"
        self.replica = directory / "replica.db"
        node = [*self.files, "--node-name", name, "--max-staleness", str(staleness_s)]
        super().__init__(directory, upstream=upstream, options=[*node, *options], environment=environment, place=place)
        self.name = name
        self.first = first or self.first
        self._has_engine = options[: len(HAPROXY)] == HAPROXY

    @property
    def files(self) -> list[str]:
        """The options that name its record and its replica."""
        return ["--database", self.record, "--replica", str(self.replica)]

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/keyscope/readyz").status_code == 200
        return False

    def wait_ready(self) -> None:
        wait(self.is_ready, f"{self.name} is ready")

    def wait_closed(self) -> float:
        return wait(lambda: not self.is_ready(), f"{self.name} is closed")

    def asking(self, secret: str, method: str = READ) -> tuple[str, str, dict[str, str]]:
        """Method, path and fields of the request that says what a key may: forward-auth, or with HAProxy the call."""
        fields = {"authorization": f"Bearer {secret}"}
        if self._has_engine:
            return method, CALLS[method], fields
        return (
            READ,
            "/keyscope/authorize/caddy",
            {
                **fields,
                "x-forwarded-method": method,
                "x-forwarded-uri": CALLS[method],
            },
        )

    def may(self, secret: str, method: str = READ) -> int:
        """The verdict: 200, 401, 403 or 503."""
        method, path, fields = self.asking(secret, method)
        return self.http.request(method, path, headers=fields).status_code

    def close(self) -> None:
        if self._process is not None:
            self.go_on()
        self.stop()
        self.http.close()

    def processes(self) -> list[psutil.Process]:
        """All of it, the supervisor first."""
        top = psutil.Process(self.pid)
        return [top, *top.children(recursive=True)]

    def follower(self) -> psutil.Process:
        """The process that talks with PostgreSQL in its own behalf: the first that the supervisor started."""
        started = [child for child in psutil.Process(self.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        return min(started, key=lambda child: child.pid)

    def pause(self) -> None:
        for process in self.processes():
            process.suspend()

    def go_on(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.processes():
                process.resume()

    def kill_all(self) -> None:
        """As if the machine had lost its power."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):  # HAProxy ends with what has started it
                os.kill(process.pid, signal.SIGKILL)
        self.kill()


class Team:
    """The members, by name: a, b, c."""

    def __init__(self, cluster: Cluster, members: list[Member]) -> None:
        self.cluster = cluster
        self.members = members

    def __getitem__(self, place: int) -> Member:
        return self.members[place]

    def revoke(self, key_id: str, at: int = 0) -> dict[str, Any]:
        """The receipt."""
        reply = self[at].revoke(key_id)
        assert reply.status_code == 200, reply.text
        receipt: dict[str, Any] = reply.json()["receipt"]
        return receipt


@contextlib.contextmanager
def team(
    directory: Path,
    cluster: Cluster,
    *,
    count: int = 3,
    staleness_s: float = 1.0,
    options: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
    upstream: str | None = None,
) -> Iterator[Team]:
    """All of them started, and ready."""
    with contextlib.ExitStack() as stack:
        members: list[Member] = []
        for name in ascii_lowercase[:count]:
            relay = stack.enter_context(Relay(cluster.port))
            member = Member(
                directory / name,
                name,
                cluster.url(relay.port),
                members[0].first if members else "",
                staleness_s=staleness_s,
                options=options or [],
                environment=environment,
                upstream=upstream,
            )
            member.relay = relay
            members.append(member)
        yield stack.enter_context(started(cluster, members))


@contextlib.contextmanager
def started(cluster: Cluster, members: list[Member]) -> Iterator[Team]:
    """All of them started, and ready; ended afterwards. The first makes the tables and the first key."""
    with contextlib.ExitStack() as stack:
        for member in members:
            stack.callback(member.close)
        members[0].start()
        with ThreadPoolExecutor(len(members)) as starting:
            list(starting.map(Member.start, members[1:]))
        for member in members:
            member.wait_ready()
        yield Team(cluster, members)


def wait(until: Callable[[], bool], what: str, within_s: float = WAIT_S) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < within_s, f"{what}: not within {within_s} s"
        time.sleep(0.005)
    return time.monotonic() - began
