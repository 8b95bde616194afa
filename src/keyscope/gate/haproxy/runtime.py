"""HAProxy's runtime socket: one connection, kept, on which commands are answered one after the other.

A connection belongs to one HAProxy process for life. A reload puts a new process behind the same path, while the old
one goes on with what it has begun; their process numbers tell them apart.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from keyscope.authority.copying import Point
from keyscope.gate.haproxy.files import ASK, KEYS, LEASE, UNTIL, number_in, sequence_of

ANSWER_S = 1.0
_PROMPT = b"> "
_LINE_PROMPT = "+ "
_MOST_LINES = 100
"""A command and its lines have to fit HAProxy's buffer (16 KiB at least)."""
_LARGEST_ANSWER_BYTES = 1 << 28

_CALLS = re.compile(r"key=(\S+) .*?gpt0=(\d+) .*?http_req_cnt=(\d+)")


class Away(Exception):
    """HAProxy cannot be reached, or did not do what it was told."""


class Runtime:
    """Use ``connect``. Every method raises Away, and the connection is of no use after that."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, maps: Path) -> None:
        self._reader = reader
        self._writer = writer
        self._maps = maps
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, socket: Path, maps: Path) -> Runtime:
        """Talk to the process that listens at the path now. ``maps`` is the folder of its map files."""
        try:
            async with asyncio.timeout(ANSWER_S):
                runtime = cls(*await asyncio.open_unix_connection(socket, limit=_LARGEST_ANSWER_BYTES), maps)
        except (OSError, TimeoutError) as error:
            raise Away(f"{socket}: {error}") from None
        await runtime._told("prompt")
        return runtime

    def close(self) -> None:
        self._writer.close()

    async def process(self) -> int:
        """The number of the process (its own, which in a container is not the one outside)."""
        found = re.search(r"^Pid: (\d+)$", await self._asked("show info"), re.MULTILINE)
        if found is None:
            raise Away("HAProxy does not say its process number")
        return int(found[1])

    async def point(self) -> Point:
        """The point up to which the maps of the process are true."""
        said = await self._asked(f"show map {self._maps / LEASE}")
        values = (line.split()[1:3] for line in said.splitlines() if line.strip())
        try:
            [point] = [Point(found, int(value)) for name, value in values if (found := sequence_of(name)) is not None]
        except ValueError:
            self.close()
            raise Away("HAProxy has another lease.map than Keyscope writes") from None
        return point

    async def add_keys(self, lines: Sequence[str]) -> None:
        """Lines of ``keys.map``."""
        await self._add(KEYS, lines)

    async def add_asked(self, names: Iterable[str]) -> None:
        """Digests about which Keyscope is to be asked from now on."""
        await self._add(ASK, [f"{name} 1" for name in names])

    async def renew(self, until_ms: int, point: Point) -> None:
        """Let HAProxy judge alone until then (Unix milliseconds; 0: not now), by maps that are true up to a point."""
        lease = self._maps / LEASE
        await self._told(f"set map {lease} {number_in(point.sequence)} {point.number}")
        await self._told(f"set map {lease} {UNTIL} {until_ms}")

    async def stop_judging(self) -> None:
        """Have it ask Keyscope about everything."""
        await self._told(f"set map {self._maps / LEASE} {UNTIL} 0")

    async def requests(self) -> int:
        """How many requests of callers are in flight."""
        return (await self._asked("show sess")).count(" fe=keyscope ")

    async def calls(self, since_s: int) -> list[tuple[str, int, int]]:
        """The table of calls: what was called, when last (Unix seconds), and how often; those since then."""
        said = await self._asked(f"show table calls data.gpt0 ge {since_s}")
        return [(what, int(at_s), int(calls)) for what, at_s, calls in _CALLS.findall(said)]

    async def refusals(self) -> AsyncIterator[str]:
        """What HAProxy writes down of its refusals, a line each, as they happen. The connection is for this alone."""
        try:
            self._writer.write(b"show events refusals -w\n")
            while line := await self._reader.readline():
                yield line.decode("ascii", "replace").removeprefix("> ").rstrip("\n")
        except (OSError, ValueError) as error:
            raise Away(type(error).__name__) from None

    async def _add(self, name: str, lines: Sequence[str]) -> None:
        for at in range(0, len(lines), _MOST_LINES):
            some = "\n".join(lines[at : at + _MOST_LINES])
            await self._told(f"add map {self._maps / name} <<\n{some}\n")

    async def _told(self, command: str) -> None:
        said = await self._asked(command)
        if said.strip():
            raise Away(f"HAProxy refused {command.split()[:2]}: {said.strip()[:200]}")

    async def _asked(self, command: str) -> str:
        """One command at a time, and never left in the middle: the next one would read this one's answer."""
        return await asyncio.shield(self._exchange(command))

    async def _exchange(self, command: str) -> str:
        try:
            async with self._turn, asyncio.timeout(ANSWER_S):
                self._writer.write(command.encode() + b"\n")
                await self._writer.drain()
                said = await self._reader.readuntil(b"\n" + _PROMPT)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            with suppress(OSError):
                self._writer.close()
            raise Away(type(error).__name__) from None
        return said.removesuffix(_PROMPT).decode().replace(_LINE_PROMPT, "")
