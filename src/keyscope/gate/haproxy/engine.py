"""HAProxy as Keyscope's engine: write what it reads, start it, feed it, start it again, give it new maps.

Either side may die. Without HAProxy nothing listens; without Keyscope HAProxy asks, and is answered by nobody: 503.
HAProxy ends with the process that runs the engine, even if that is killed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from keyscope.authority.ports import Clock, Reader, Store
from keyscope.errors import ConfigurationError, Fault, KeyscopeError
from keyscope.gate.followers import following
from keyscope.gate.haproxy.configuration import Bounds, Place, configuration
from keyscope.gate.haproxy.feeder import Feeder
from keyscope.gate.haproxy.files import bits_of, write_all, write_keys
from keyscope.gate.haproxy.uses import Uses
from keyscope.model.operation import Table

log = logging.getLogger(__name__)

OLDEST = (2, 6)
CONFIGURATION = "haproxy.cfg"
DRAIN_S = 10.0
_RESTART_S = 0.5
_LOOK_S = 0.02
_TAKE_OVER_S = 120.0
_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""HAProxy is told to end when the thread that started it does."""


class Own(Struct, frozen=True):
    """Keyscope's own paths: what tells one, and the beginnings of all."""

    is_own: Callable[[str], bool]
    prefixes: tuple[str, ...]


def find_haproxy() -> str:
    """The program. Raises ConfigurationError if there is none, or an old one."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise _unusable("there is no haproxy on the PATH; on Debian: apt-get install haproxy")
    said = subprocess.run([found, "-v"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r"version (\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise _unusable(f"{found} is older than HAProxy {OLDEST[0]}.{OLDEST[1]}, or says no version")
    return found


class Engine:
    """One HAProxy, in the folder of its place, which nobody else can read. Run it in the process's first thread."""

    def __init__(
        self,
        place: Place,
        bounds: Bounds,
        store: Store,
        clock: Clock,
        table: Table,
        own: Own,
        *,
        has_key: bool,
    ) -> None:
        self._program = find_haproxy()
        self._store = store
        self._clock = clock
        self._table = table
        self._own = own
        self._folder = place.directory
        self._configuration = configuration(place, bounds, table, own.prefixes, is_engine=True, has_key=has_key)
        self._bits = bits_of(table)
        self._wants_maps = asyncio.Event()
        self._feeder = Feeder(store, self._bits, place.socket, place.directory, clock, self._wants_maps.set)
        self._uses = Uses(store, place.socket, place.directory, clock)
        self._process: Process | None = None

    async def run(self, followed: Path) -> None:
        """Serve until cancelled, then let requests in flight end. ``followed``: the folder of the followers."""
        await asyncio.to_thread(self._write)
        tasks = []
        try:
            async with following(followed, self._folder / "follow.sock", self._feeder.confirm):
                tasks = [
                    asyncio.create_task(work) for work in (self._keep_running(), self._feeder.follow(), self._renew())
                ]
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._uses.record()
            await self._stop()

    def _write(self) -> None:
        (self._folder / CONFIGURATION).write_text(self._configuration)
        now_ms = self._clock.now_ms()
        self._store.read(lambda reader: write_all(self._folder, reader, self._table, self._own.is_own, now_ms))

    async def _keep_running(self) -> None:
        while True:
            command = [*_WITH_US, self._program, "-W", "-db", "-f", str(self._folder / CONFIGURATION)]
            self._process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
            code = await self._process.wait()
            log.error("HAProxy ended with code %s; starting it again", code)
            await asyncio.sleep(_RESTART_S)

    async def _renew(self) -> None:
        """Give HAProxy new maps when it is wanted: a process with them takes over, and no request is dropped."""
        while True:
            await self._wants_maps.wait()
            try:
                await self._give_new_maps()
            except KeyscopeError as error:
                log.error("HAProxy gets no new maps: %s", error.detail)
            await asyncio.sleep(_RESTART_S)
            self._wants_maps.clear()

    async def _give_new_maps(self) -> None:
        now_ms = self._clock.now_ms()

        def write(reader: Reader) -> int:
            return write_keys(self._folder, reader, self._bits, now_ms)

        number = await asyncio.to_thread(self._store.read, write)
        self._signal(signal.SIGUSR2)
        end = asyncio.get_running_loop().time() + _TAKE_OVER_S
        while not self._feeder.has_fed_since(number):
            if asyncio.get_running_loop().time() > end:
                return log.error("HAProxy did not take its new maps in %d s", _TAKE_OVER_S)
            await asyncio.sleep(_LOOK_S)
        return None

    async def _stop(self) -> None:
        await self._feeder.stop()
        if self._process is None:
            return
        self._signal(signal.SIGUSR1)
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGTERM)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError("haproxy", [Fault("--engine", why)])
