"""Questions about keys over HTTP, 100,000 keys: OAuth introspection (RFC 7662) and AuthZEN evaluation.

The server runs on one core and wrk on another, with 32 connections and 64 keys asked about in turn, by a caller that is
judged each time as well. The ceiling is the same server with the same settings, which reads the body and gives a
constant answer.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from bench import keys
from bench.load import KEYS_IN_TURN, Load, post, require_wrk
from bench.measure import interleaved
from bench.processes import Running, free_port, keyscope, program, running
from bench.report import Row, at_least, known

NAME = "standards"
KEY_COUNT = 100_000
_AIM_PER_S = 10_000
_CEILING = "the same server with a constant answer"

Ask = Callable[..., Load]


def run(quick: bool) -> list[Row]:
    require_wrk()
    rounds, seconds = (2, 1) if quick else (7, 3)
    with tempfile.TemporaryDirectory() as name, _servers(Path(name)) as (ours, ceiling):
        asks = _asks(Path(name))
        measures = {what: partial(_per_s, ask, ours, seconds) for what, ask in asks.items()}
        measures[_CEILING] = partial(_per_s, next(iter(asks.values())), ceiling, seconds)
        for ask in asks.values():
            ask(ours.url, seconds=1)
        found = interleaved(measures, rounds)
    return [row for what in asks for row in _rows(what, found)] + [
        Row(f"{_CEILING}, requests per second", median(found[_CEILING]), "/s", known())
    ]


def _asks(directory: Path) -> dict[str, Ask]:
    numbers = range(1, KEYS_IN_TURN + 1)
    tokens = [f"token={keys.secret(number).reveal()}" for number in numbers]
    questions = [_question(keys.key_id(number)) for number in numbers]
    ask = partial(post, headers=[f"Authorization: Bearer {keys.secret(0).reveal()}"])
    form, body = "application/x-www-form-urlencoded", "application/json"
    return {
        "introspection": partial(
            ask, path="/keyscope/introspect", bodies=_file(directory / "tokens", tokens), content_type=form
        ),
        "AuthZEN evaluation": partial(
            ask,
            path="/keyscope/access/v1/evaluation",
            bodies=_file(directory / "questions", questions),
            content_type=body,
        ),
    }


def _question(key_id: str) -> str:
    return json.dumps(
        {
            "subject": {"type": "key", "id": key_id},
            "action": {"name": "GET"},
            "resource": {"type": "route", "id": "/v1/devboxes/dbx_30xQ2cP9bYyh1"},
        }
    )


def _file(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _per_s(ask: Ask, server: Running, seconds: int) -> float:
    return ask(server.url, seconds=seconds).per_s


@contextlib.contextmanager
def _servers(directory: Path) -> Iterator[tuple[Running, Running]]:
    """Both at once, so that rounds can alternate; only one of them has work at a time."""
    port = free_port()
    constant = running(program("constant", str(port)), port, directory / "constant.log")
    with keyscope(directory, key_count=KEY_COUNT) as ours, constant as ceiling:
        yield ours, ceiling


def _rows(what: str, found: dict[str, list[float]]) -> list[Row]:
    ratio = median(mine / theirs for mine, theirs in zip(found[what], found[_CEILING], strict=True))
    return [
        Row(f"{what}, requests per second", median(found[what]), "/s", at_least(_AIM_PER_S)),
        Row(f"{what} ÷ its ceiling", ratio, "times", known()),
    ]
