"""Requests without a pause, from a process of its own, that writes down when each was sent and how it ended.

``python -m tests.haproxy.traffic PORT SECRETS REPORT``: one line of the report a request, ``SECRET_NUMBER SENT_NS
STATUS``, with the time of CLOCK_MONOTONIC, which is one for all processes of a machine. Status 0: no answer.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

CONNECTIONS = 8


class Sent(NamedTuple):
    number: int
    sent_ns: int
    status: int


@contextmanager
def traffic(port: int, secrets: list[str], folder: Path) -> Iterator[Path]:
    """Traffic with these keys in random order, until the block ends. Gives the report."""
    (folder / "secrets").write_text("\n".join(secrets))
    report = folder / "report"
    report.touch()
    command = [sys.executable, "-m", "tests.haproxy.traffic", str(port), str(folder / "secrets"), str(report)]
    process = subprocess.Popen(command)
    try:
        yield report
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        (folder / "secrets").unlink()


def read(report: Path) -> list[Sent]:
    """All whole lines."""
    lines = report.read_text().rpartition("\n")[0].splitlines()
    return [Sent(*map(int, line.split())) for line in lines]


async def _send(port: int, secrets: list[str], report: TextIO) -> None:
    chance = random.Random(port)  # noqa: S311  (no secret comes from it)
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            await _on_one_connection(port, secrets, report, chance)
        await asyncio.sleep(0.005)


async def _on_one_connection(port: int, secrets: list[str], report: TextIO, chance: random.Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            number = chance.randrange(len(secrets))
            head = f"GET /v1/devboxes/dbx_1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secrets[number]}\r\n\r\n"
            sent_ns = time.monotonic_ns()
            writer.write(head.encode())
            try:
                status, is_last = await _status(reader)
            except (OSError, asyncio.IncompleteReadError):
                status, is_last = 0, True
            report.write(f"{number} {sent_ns} {status}\n")
            if is_last:
                return
    finally:
        writer.close()


async def _status(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of the next answer, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(head.split(" ", 2)[1]), "\r\nconnection: close\r\n" in head


async def _main(port: int, secrets: list[str], path: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    with path.open("w", buffering=1) as report:
        tasks = [asyncio.create_task(_send(port, secrets, report)) for _ in range(CONNECTIONS)]
        await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]).read_text().splitlines(), Path(sys.argv[3])))
