"""A damaged database refuses, or answers as the whole one did. It never allows what the whole one denies."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace as with_
from tests.store.samples import NOW, a_key, an_event, digest, listed, note, put, replace

from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.model.key import Key, Lineage
from keyscope.store import prepare
from keyscope.store.sqlite import SqliteStore

IDS = [f"key_{number:02}" for number in range(40)]
ROUNDS = 250
Answer = tuple[object, ...]
Damage = Callable[[Path, random.Random], None]


def _grow(store: SqliteStore) -> None:
    """Keys in every state: of four one revoked, one expired, one suspended; half of them below another."""
    put(store, a_key(IDS[0]))
    for number, key_id in enumerate(IDS[1:], start=1):
        parent = IDS[number // 2 * 2 - 2] if number > 20 else IDS[0]
        key = a_key(key_id, parent, scopes=("objects:none", "devboxes:read")[number % 2], expires_at_ms=NOW * 2)
        put(store, key)
        replace(store, _ended(key, number % 4))
    note(store, an_event())


def _ended(key: Key, way: int) -> Key:
    return (
        key,
        with_(key, revoked_at_ms=1),
        with_(key, expires_at_ms=1),
        with_(key, suspended_at_ms=1),
    )[way]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was closed."""
    directory = tmp_path_factory.mktemp("closed")
    store = SqliteStore.open(directory / "keyscope.db")
    _grow(store)
    store.close()
    return directory


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a crash leaves it: all of its content in the WAL."""
    original, directory = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("crashed")
    store = SqliteStore.open(original / "keyscope.db")
    _grow(store)
    for name in ("keyscope.db", "keyscope.db-wal", "keyscope.db.marker"):
        shutil.copy(original / name, directory / name)
    store.close()
    return directory


def _answer(line: Lineage | None) -> Answer | None:
    return (
        None if line is None else (line.ids, line.grant, line.expires_at_ms, line.state_at(NOW), line.state_at(3 * NOW))
    )


def _answers(directory: Path) -> list[Answer | None]:
    store = SqliteStore.open(directory / "keyscope.db")
    index = store.open_index()
    try:
        return [_asked(lambda key_id=key_id: index.find(digest(key_id))) for key_id in IDS]  # type: ignore[misc]
    finally:
        index.close()
        with suppress(StoreUnavailable):
            listed(store)
        store.close()


def _asked(find: Callable[[], Lineage | None]) -> Answer | None:
    try:
        return _answer(find())
    except StoreUnavailable:
        return None


def flip(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= chance.randrange(1, 256)
    file.write_bytes(content)


def truncate(file: Path, chance: random.Random) -> None:
    with file.open("r+b") as open_file:
        open_file.truncate(chance.randrange(file.stat().st_size))


def zero(file: Path, chance: random.Random) -> None:
    """A sector that was never written."""
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content)) // 512 * 512
    content[place : place + 512] = bytes(len(content[place : place + 512]))
    file.write_bytes(content)


def _refusals(whole: Path, name: str, damage: Damage, scratch: Path) -> int:
    """Damage copies, one after another, and compare. How many copies refused as a whole or in part."""
    intact = _answers(shutil.copytree(whole, scratch / "intact"))
    assert None not in intact
    refused = 0
    for round_ in range(ROUNDS):
        copy = shutil.copytree(whole, scratch / str(round_))
        damage(copy / name, random.Random(round_))  # noqa: S311  # the same damage in every run
        try:
            answers = _answers(copy)
        except ConfigurationError:
            refused += 1
            continue
        for answer, right in zip(answers, intact, strict=True):
            assert answer in (None, right), f"{damage.__name__} round {round_}"
        refused += None in answers
        shutil.rmtree(copy)
    return refused


@pytest.mark.parametrize("damage", [flip, truncate, zero])
def test_a_damaged_file_never_allows_more(closed: Path, damage: Damage, tmp_path: Path) -> None:
    assert _refusals(closed, "keyscope.db", damage, tmp_path) > 0


@pytest.mark.parametrize("damage", [flip, truncate, zero])
def test_a_damaged_wal_never_brings_a_revoked_key_back(crashed: Path, damage: Damage, tmp_path: Path) -> None:
    assert _refusals(crashed, "keyscope.db-wal", damage, tmp_path) > 0


def test_a_damaged_file_that_is_too_large_to_be_checked_whole_never_allows_more(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "CHECKED_WHOLE_BELOW", 0)
    assert _refusals(closed, "keyscope.db", flip, tmp_path) > 0
