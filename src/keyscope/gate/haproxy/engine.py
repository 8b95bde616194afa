"""HAProxy as Keyscope's engine: write what it reads, start it, feed it, start it again.

Either side may die. Without HAProxy nothing listens; without Keyscope HAProxy asks, and is answered by nobody: 503.
HAProxy ends with the process that runs the engine, even if that is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from keyscope.authority.copying import Keys
from keyscope.authority.ports import Clock, Store
from keyscope.authority.recording import Recording
from keyscope.errors import ConfigurationError, Fault
from keyscope.gate.haproxy.configuration import Bounds, Place, configuration
from keyscope.gate.haproxy.feed import Feed
from keyscope.gate.haproxy.runtime import Away, Runtime
from keyscope.gate.haproxy.said import heard
from keyscope.gate.upkeep import FirstUses
from keyscope.model.operation import Table
from keyscope.model.secret import Secret

log = logging.getLogger(__name__)

OLDEST = (2, 6)
CONFIGURATION = "haproxy.cfg"
KEY_VARIABLE = "KEYSCOPE_UPSTREAM_KEY"
_RESTART_S = 0.5
_LOOK_S = 0.05
_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""HAProxy is told to end when the thread that started it does."""


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
    """One HAProxy, in the folder of its place, which nobody else can read. Run it in the process's first thread.

    ``stop_s``: how long requests under way may take to end, in seconds.
    """

    def __init__(
        self,
        place: Place,
        bounds: Bounds,
        store: Store,
        keys: Keys,
        clock: Clock,
        table: Table,
        recording: Recording | None,
        first_uses: FirstUses | None,
        *,
        upstream_key: Secret | None,
        stop_s: float,
    ) -> None:
        self._stop_s = stop_s
        self._program = find_haproxy()
        self._folder = place.directory
        self._socket = place.socket
        self._configuration = configuration(place, bounds, table, is_engine=True, has_key=upstream_key is not None)
        self._upstream_key = upstream_key
        self._feed = Feed(store, keys, clock, table, place.directory, place.socket, self._reload, recording, first_uses)
        self._process: Process | None = None

    async def run(self, followed: Path) -> None:
        """Serve until cancelled, then let requests in flight end. ``followed``: the folder of the followers."""
        (self._folder / CONFIGURATION).write_text(self._configuration)
        await asyncio.to_thread(self._feed.write_to_start)
        async with heard() as stderr:
            running = asyncio.create_task(self._keep_running(stderr))
            try:
                await self._feed.run(followed, self._folder / "follow.sock")
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self._stop()

    async def _keep_running(self, stderr: int) -> None:
        while True:
            command = [*_WITH_US, self._program, "-W", "-db", "-f", str(self._folder / CONFIGURATION)]
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=self._environment()
            )
            code = await self._process.wait()
            log.error("HAProxy ended with code %s; starting it again", code)
            await asyncio.sleep(_RESTART_S)

    def _environment(self) -> dict[str, str]:
        """Its configuration is a file, so it names the variable only. We may have the key from a file of our own."""
        key = self._upstream_key
        return {**os.environ, **({KEY_VARIABLE: key.reveal()} if key is not None else {})}

    async def _reload(self) -> None:
        self._signal(signal.SIGUSR2)

    async def _stop(self) -> None:
        """End when the requests in flight have ended. HAProxy itself would wait for idle connections, too."""
        if self._process is None:
            return
        with suppress(Away, TimeoutError):
            runtime = await Runtime.connect(self._socket, self._folder)  # it stays open in a soft stop
            self._signal(signal.SIGUSR1)
            async with asyncio.timeout(self._stop_s):
                while await runtime.requests():
                    await asyncio.sleep(_LOOK_S)
            runtime.close()
        self._signal(signal.SIGTERM)
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError("haproxy", [Fault("--engine", why)])
