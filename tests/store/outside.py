"""What other processes and other users do to a database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process with the same import path, talked to by line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def say(process: subprocess.Popen[str], line: str) -> str:
    """Send a line, return the answer."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return hear(process)


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    """Close its input, wait for it, return what it still had to say."""
    rest, _ = process.communicate(timeout=30)
    return rest.strip()


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(database: Path, *statements: str) -> Iterator[None]:
    """The database while another process has run the statements and stays."""
    process = python(_HOLD, database, *statements)
    try:
        assert hear(process) == "held"
        yield
    finally:
        end(process)


def as_nobody(work: Callable[[], str]) -> str:
    """What the work returns in a child process without root's privileges: root may write where nobody else may."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
