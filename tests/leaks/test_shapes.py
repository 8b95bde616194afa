"""Keys are found in any surroundings, and nothing else is."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.derive import attenuate
from keyscope.model.derived import MAX_LINKS
from keyscope.model.shapes import keys_in, redacted, shown
from keyscope.model.token import Kind, format_token

ROOT = format_token(Kind.RESTRICTED, bytes(range(32))).reveal()
STANDARD = format_token(Kind.STANDARD, bytes(32)).reveal()
DERIVED = attenuate(ROOT, scopes=["devboxes:read"], label="build")
DEEP = DERIVED
for _ in range(MAX_LINKS - 1):
    DEEP = attenuate(DEEP)
KEYS = {"standard": STANDARD, "restricted": ROOT, "derived": DERIVED, "longest chain": DEEP}


class Around(NamedTuple):
    before: str
    after: str


AROUND = {
    "nothing": Around("", ""),
    "a variable": Around("KEY='", "'\n"),
    "letters": Around("abc", "0aB"),
    "an address": Around("https://x:", "@example.com/_-"),
    "another key, glued on": Around(DERIVED, ROOT),
    "half a key": Around(ROOT[:40], STANDARD[:30]),
    "what looks like the beginning": Around("dk_AQdk_AQ" + "xk_" + "a" * 47, "dk_AQ"),
}


def found(content: bytes) -> list[str]:
    return [text.decode() for _, text in keys_in(content)]


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_key_is_found_in_any_surroundings(key: str, around: Around, encoding: str) -> None:
    content = "".join((around.before, key, around.after))
    raw = content.encode(encoding)
    assert key in found(raw)
    before_letter = 1 if encoding == "utf-16-be" else 0
    for start, text in keys_in(raw):
        assert raw[start - before_letter :].decode(encoding).startswith(text.decode())


def test_all_keys_are_found_in_order_and_each_whole() -> None:
    assert found("".join(KEYS.values()).encode()) == list(KEYS.values())


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_no_bytes_around_it_hide_a_key(before: bytes, after: bytes) -> None:
    assert ROOT in found(before + ROOT.encode() + after) or ROOT.encode() in before


@given(st.integers(0, len(DERIVED) - 1), st.sampled_from("0Zz_-"))
def test_a_changed_character_makes_it_junk(at: int, char: str) -> None:
    changed = DERIVED[:at] + char + DERIVED[at + 1 :]
    assert found(changed.encode()) == ([DERIVED] if changed == DERIVED else [])


@pytest.mark.parametrize("junk", [b"rk_" + b"a" * 49, b"dk_AQ" * 30, b"rk_" * 99, DERIVED[:-1].encode(), b"k_" * 50])
def test_what_only_looks_like_a_key_is_rejected_without_asking_anyone(junk: bytes) -> None:
    assert found(junk) == []


HOSTILE = {
    "beginnings of derived keys": b"dk_AQ" * 200_000,
    "derived keys with a wrong checksum": DERIVED[:-1].encode() * 3000,
    "keys with a wrong checksum": (b"rk_" + b"a" * 49) * 20_000,
    "UTF-16": b"k\0_\0A\0" * 160_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_content_is_looked_through_in_linear_time(content: bytes) -> None:
    def seconds(part: bytes) -> float:
        begun = time.process_time()
        assert found(part) == []
        return time.process_time() - begun

    assert seconds(content) < 8 * seconds(content[: len(content) // 2]) + 0.5


def test_a_megabyte_of_code_is_looked_through_in_milliseconds() -> None:
    """On an idle machine it takes about two; the bound is for busy ones."""
    content = (b"    task_id = lock_name(check_value, link_text)\n" * 25_000)[: 1 << 20]
    best = min(_seconds(content) for _ in range(5))
    assert best < 0.1


def _seconds(content: bytes) -> float:
    begun = time.process_time()
    assert found(content) == []
    return time.process_time() - begun


def test_what_is_shown_of_a_key_is_not_the_key() -> None:
    assert shown(ROOT.encode()) == f"rk_…{ROOT[-4:]}"
    assert redacted(f"/a/{ROOT}/{DEEP}.txt") == f"/a/rk_…{ROOT[-4:]}/dk_…{DEEP[-4:]}.txt"
    strange = os.fsdecode(b"\xff\xfe/" + ROOT.encode())
    assert redacted(strange) == os.fsdecode(b"\xff\xfe/") + f"rk_…{ROOT[-4:]}"
