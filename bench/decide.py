"""In process: from a key's text to a decision, beside a PyJWT decode.

The verifier reads a real SQLite file through the store's own index. *Hot*: 64 keys in turn. *Cold*: of 1,000,000 keys
each is asked for once, in random order, so that every call goes to SQLite; the file itself is in the system's page
cache. *Junk*: a key's shape with a wrong checksum. The JWT carries the same facts: whose, which scopes, until when.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

import jwt

from bench import keys
from bench.judging import HOT_KEYS, Judge, judge_over
from bench.measure import each_us, interleaved, medians
from bench.report import Row, at_least, at_most, known
from keyscope.model.decision import Allow

NAME = "decide"
MILLION = 1_000_000
_JWT_KEY = b"a key of thirty-two bytes, shared"

Call = Callable[[bytes], object]


def run(quick: bool) -> list[Row]:
    count, calls, rounds = (100_000, 2_000, 3) if quick else (MILLION, 10_000, 15)
    path = keys.database(count)
    keys.warm(path)
    with judge_over(path) as judge:
        found = _measure(judge, numbers(count), calls, rounds)
    return _rows(found, count)


def _measure(judge: Judge, cold: list[int], calls: int, rounds: int) -> dict[str, float]:
    hot = [keys.token(number) for number in range(1, HOT_KEYS + 1)]
    distinct = iter(cold)
    junk = [token[:-6] + b"000000" for token in hot]
    unknown = [keys.token(-number) for number in range(1, HOT_KEYS + 1)]
    signed = [_jwt(number) for number in range(1, HOT_KEYS + 1)]

    allowed, refused = judge.allowed, judge.refused

    def never_seen() -> float:
        return each_us(allowed, [keys.token(number) for number in islice(distinct, calls)])

    assert all(isinstance(allowed(token), Allow) for token in hot)
    found = interleaved(
        {
            "hot": lambda: each_us(allowed, _turns(hot, calls)),
            "cold": never_seen,
            "junk": lambda: each_us(refused, _turns(junk, calls)),
            "unknown": lambda: each_us(refused, _turns(unknown, calls)),
            "jwt": lambda: each_us(_decode, _turns(signed, calls)),
        },
        rounds,
    )
    return medians(found)


def _rows(us: dict[str, float], count: int) -> list[Row]:
    ratio = us["jwt"] / us["hot"]
    return [
        Row("verify + authorise, hot key", us["hot"], "µs", at_most(2.5)),
        Row(f"verify + authorise, {count:,} keys in SQLite, never asked for before", us["cold"], "µs", at_most(10)),
        Row("junk refused (wrong checksum)", us["junk"], "µs", at_most(1.5)),
        Row("well-formed key that does not exist, refused", us["unknown"], "µs", known()),
        Row(f"PyJWT {jwt.__version__} decode, HS256, with expiry", us["jwt"], "µs", known()),
        Row("PyJWT ÷ Keyscope, hot key", ratio, "times", at_least(8)),
    ]


def numbers(count: int) -> list[int]:
    """All keys but the hot ones, each once, in a random order that is the same every time."""
    numbers = list(range(HOT_KEYS + 1, count + 1))
    random.Random(1).shuffle(numbers)
    return numbers


def _turns(values: list[bytes], calls: int) -> list[bytes]:
    return [values[number % len(values)] for number in range(calls)]


def _jwt(number: int) -> bytes:
    claims = {"sub": f"key_{number}", "scope": "devboxes:read", "exp": 4_000_000_000}
    return jwt.encode(claims, _JWT_KEY, algorithm="HS256").encode()


def _decode(token: bytes) -> object:
    return jwt.decode(token, _JWT_KEY, algorithms=["HS256"])
