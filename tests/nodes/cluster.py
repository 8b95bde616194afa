"""A real PostgreSQL of our own, on loopback: started, stopped, restarted, copied to a standby that can take over."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.live import HERE, Place, free_port
from tests.postgres import programs

START_S = 30.0
_QUICK = {
    "fsync": "off",  # the machine of the tests may crash; it is not what they are about
    "max_connections": "200",
    "wal_level": "replica",
    "max_wal_senders": "8",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


class Cluster:
    """One server. As root it runs as a user without rights, as PostgreSQL demands."""

    def __init__(self, folder: Path, port: int, place: Place = HERE, **options: str) -> None:
        self.folder = folder
        self.port = port
        self.place = place
        listens = {"listen_addresses": place.address, "unix_socket_directories": str(folder)}
        self._options = {**_QUICK, **listens, **options}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, port: int | None = None) -> str:
        """For psycopg and for ``--database``; through a relay at another port, if one is given."""
        return f"postgresql://postgres@{self.place.address}:{port or self.port}/postgres"

    def create(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")

    def start(self) -> None:
        options = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        server = [str(programs() / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        user = _user()
        # The user is changed there, because it may not enter another place.
        becomes = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.place.enter, *becomes, *server], stdout=log, stderr=log, cwd=self.folder
            )
        end = time.monotonic() + START_S
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        if self._process is not None:
            self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")
            self._process.wait(START_S)
            self._process = None

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute(statement, parameters)
            return found.fetchall() if found.description is not None else []

    def standby(self, folder: Path) -> Cluster:
        """A copy that follows this one, not started yet. It calls itself ``standby``."""
        copy = Cluster(folder, free_port())
        dsn = f"{self.url()}?application_name=standby"
        self._run("pg_basebackup", "-D", str(copy.data), "-d", dsn, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        return copy

    def promote(self) -> None:
        self.ask("SELECT pg_promote(true, 30)")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), *arguments]
        done = subprocess.run(command, user=_user(), cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """One that the user of the server may enter; those of pytest are their owner's alone."""
    path = Path(tempfile.mkdtemp(prefix="keyscope-pg-"))
    user = _user()
    if user is not None:
        shutil.chown(path, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(place: Place = HERE, **options: str) -> Iterator[Cluster]:
    with folder() as path:
        cluster = Cluster(path, free_port(), place, **options)
        cluster.create()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    return next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
