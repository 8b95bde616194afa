"""In process: a key that its holder derived, from its text to a decision, beside the key that it came from.

The verifier, the store and the keys are those of `decide`. *Seen before*: 64 derived keys in turn. *First time*: each
derived key is shown once, so that its whole chain is checked; the keys that they came from are in turn. *Forged*: the
last tag is wrong, the checksum right. The *hashes alone* are what a check of one link cannot do without.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from itertools import count

from bench import keys
from bench.judging import HOT_KEYS, Judge, judge_over
from bench.measure import each_us, interleaved, medians
from bench.report import Row, at_most, known
from keyscope.model.decision import Allow
from keyscope.model.derived import attenuate
from keyscope.model.token import checksum

NAME = "derived"
_KEYS = 100_000
_ENDS_MS = 3_900_000_000_000
_NUMBERS = count()


def run(quick: bool) -> list[Row]:
    calls, rounds = (1_000, 3) if quick else (5_000, 15)
    path = keys.database(_KEYS)
    keys.warm(path)
    with judge_over(path) as judge:
        found = _measure(judge, calls, rounds)
    return _rows(found)


def _measure(judge: Judge, calls: int, rounds: int) -> dict[str, float]:
    plain = [keys.token(number) for number in range(1, HOT_KEYS + 1)]
    seen = _derived(1, HOT_KEYS)
    forged = [_forged(text) for text in seen]

    allowed, refused = judge.allowed, judge.refused

    assert all(isinstance(allowed(token), Allow) for token in [*plain, *seen, *_derived(3, HOT_KEYS)])
    found = interleaved(
        {
            "plain": lambda: each_us(allowed, _turns(plain, calls)),
            "seen": lambda: each_us(allowed, _turns(seen, calls)),
            "one": lambda: each_us(allowed, _derived(1, calls)),
            "three": lambda: each_us(allowed, _derived(3, calls)),
            "forged": lambda: each_us(refused, _turns(forged, calls)),
            "hashes": lambda: each_us(_hashes, _turns(seen, calls)),
        },
        rounds,
    )
    return medians(found)


def _rows(us: dict[str, float]) -> list[Row]:
    return [
        Row("the key itself, hot", us["plain"], "µs", known()),
        Row("derived, one link, seen before", us["seen"], "µs", at_most(15)),
        Row("derived, one link, first time", us["one"], "µs", at_most(15)),
        Row("derived, three links, first time", us["three"], "µs", known()),
        Row("derived, forged, refused", us["forged"], "µs", known()),
        Row("the hashes of one link alone: two HMACs, four SHA-256", us["hashes"], "µs", known()),
        Row("derived, seen before ÷ the key itself", us["seen"] / us["plain"], "times", at_most(10)),
        Row("derived, one link, first time ÷ the key itself", us["one"] / us["plain"], "times", at_most(10)),
    ]


def _derived(links: int, number: int) -> list[bytes]:
    """Derived keys that were never shown before, from the hot keys in turn."""
    made = []
    for place in range(number):
        key = keys.secret(place % HOT_KEYS + 1)
        for link in range(links):
            nonce = f"{next(_NUMBERS):012d}"
            key = attenuate(key, nonce=nonce, scopes=["devboxes:read"], expires_at_ms=_ENDS_MS - link, label="build")
        made.append(key.reveal().encode())
    return made


def _forged(text: bytes) -> bytes:
    place = len(text) - 20  # within the last tag
    body = text[:place] + (b"A" if text[place : place + 1] != b"A" else b"B") + text[place + 1 : -6]
    return body + checksum(body)


def _hashes(text: bytes) -> bytes:
    """Of the text for its mark, the wrap for the pad, the tag for the id; and of the head and the link under a key."""
    key = sha256(b"keyscope derived share v1" + text[:32]).digest()
    tag = hmac.digest(hmac.digest(key, text[:65], "sha256"), text[65:165], "sha256")
    return sha256(sha256(text).digest() + sha256(tag).digest()).digest()


def _turns(values: list[bytes], calls: int) -> list[bytes]:
    return [values[number % len(values)] for number in range(calls)]
