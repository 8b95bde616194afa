"""In process: from a key's text to a decision, beside a PyJWT decode.

The verifier reads a real SQLite file through the store's own index. *Hot*: 64 keys in turn. *Cold*: of 1,000,000 keys
each is asked for once, in random order, so that every call goes to SQLite; the file itself is in the system's page
cache. *Junk*: a key's shape with a wrong checksum. *Restricted*: five restrictions (two instances,
two networks, a not-before, a window in a time zone, two operations denied), each judged on what the door finds out of
the call. The JWT carries the same facts: whose, which scopes, until when.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import jwt

from bench import keys
from bench.judging import HOT_KEYS, PATH, Judge, judge_over
from bench.measure import Measure, each_us, interleaved, medians
from bench.report import Row, at_least, at_most, known
from keyscope.authority.ports import Account, Index, Writer
from keyscope.authority.verify import Verifier
from keyscope.gate.sight import Sight
from keyscope.model.body import Json
from keyscope.model.decision import Allow
from keyscope.model.facts import BodySeen
from keyscope.model.key import Key
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Level, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import SECRET_BYTES, Kind, format_token
from keyscope.serving.server import load_policy
from keyscope.store.sqlite import SqliteStore
from keyscope.system import SystemClock

NAME = "decide"
MILLION = 1_000_000
_JWT_KEY = b"a key of thirty-two bytes, shared"

FIVE: dict[str, Json] = {
    "instances": {"devboxes": [PATH.rpartition("/")[2], "ci-*"]},
    "cidrs": ["10.0.0.0/8", "2001:db8::/32"],
    "not_before_ms": 1_700_000_000_000,
    "window": {"from": "00:00", "to": "24:00", "timezone": "Europe/Berlin"},
    "deny": ["shutdownDevbox", "DELETE"],
}

Call = Callable[[bytes], object]


def run(quick: bool) -> list[Row]:
    count, calls, rounds = (100_000, 2_000, 3) if quick else (MILLION, 10_000, 15)
    path = keys.database(count)
    keys.warm(path)
    with judge_over(path) as judge, restricted_us(calls) as restricted:
        found = _measure(judge, restricted, numbers(count), calls, rounds)
    return _rows(found, count)


def _measure(judge: Judge, restricted: Measure, cold: list[int], calls: int, rounds: int) -> dict[str, float]:
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
            "restricted": restricted,
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
        Row("verify + authorise, hot key with five restrictions", us["restricted"], "µs", at_most(6)),
        Row("junk refused (wrong checksum)", us["junk"], "µs", at_most(1.5)),
        Row("well-formed key that does not exist, refused", us["unknown"], "µs", known()),
        Row(f"PyJWT {jwt.__version__} decode, HS256, with expiry", us["jwt"], "µs", known()),
        Row("PyJWT ÷ Keyscope, hot key", ratio, "times", at_least(8)),
    ]


@contextlib.contextmanager
def restricted_us(calls: int) -> Iterator[Measure]:
    """Microseconds of a decision about a key with five restrictions."""
    secret, sight = format_token(Kind.RESTRICTED, b"r" * SECRET_BYTES), Sight(body=BodySeen.LATER, knows_peer=True)
    with tempfile.TemporaryDirectory() as name, _one_key(Path(name), secret) as index:
        decide = Verifier(index, load_policy("runloop").table(), SystemClock(), set()).decide

        def allowed(token: bytes) -> object:
            return decide(token, "GET", PATH, sight, "10.1.2.3")

        token = secret.reveal().encode()
        assert isinstance(allowed(token), Allow)
        yield lambda: each_us(allowed, [token] * calls)


@contextlib.contextmanager
def _one_key(directory: Path, secret: Secret) -> Iterator[Index]:
    key = Key(
        id="key_1",
        account_id="acct_1",
        kind=Kind.RESTRICTED,
        name="agent",
        digest=secret.digest,
        hint=secret.hint,
        scopes=(Scope("devboxes", Level.READ),),
        created_at_ms=0,
        restrictions=Restrictions.parse(FIVE),
    )
    store = SqliteStore.open(directory / "keyscope.db")

    def add(writer: Writer) -> None:
        writer.add_account(Account("acct_1", "One", 0))
        writer.add_key(key)

    store.write(add)
    index = store.open_index()
    try:
        yield index
    finally:
        index.close()
        store.close()


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
