"""Text and value are the same thing: what is formatted parses back, and junk never parses."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.model.body import JsonPath
from keyscope.model.ident import format_id, is_key_id
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.model.token import ALPHABET, Kind, base62, format_token, is_token, parse_token
from tests.laws.strategies import kinds, scopes, secrets

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "tokens.json").read_text())


@given(kinds, st.binary(min_size=32, max_size=32))
def test_a_key_text_parses_back(kind: Kind, entropy: bytes) -> None:
    secret = format_token(kind, entropy)
    found, parsed = parse_token(secret.reveal())
    assert (found, parsed.reveal(), len(secret.reveal())) == (kind, secret.reveal(), 52)


@given(secrets, st.integers(0, 51), st.sampled_from(ALPHABET + "_-é "))
def test_a_key_text_with_one_character_changed_is_no_key(secret: Secret, place: int, char: str) -> None:
    text = secret.reveal()
    changed = text[:place] + char + text[place + 1 :]
    assert is_token(changed.encode()) == (changed == text)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_no_key_and_raise_nothing(junk: bytes) -> None:
    assert not is_token(junk)


@given(st.integers(0, (1 << 256) - 1))
def test_base62_is_the_number(number: int) -> None:
    value = 0
    for char in base62(number, 43):
        value = value * 62 + ALPHABET.index(char)
    assert value == number


@given(scopes)
def test_a_scope_parses_back(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(st.lists(st.sampled_from([".a", ".b_c", ".*", "[*]"]), max_size=6))
def test_a_json_path_parses_back(steps: list[str]) -> None:
    text = "$" + "".join(steps)
    assert str(JsonPath.parse(text)) == text


@given(st.lists(st.integers(0, 1 << 47), min_size=2, max_size=5, unique=True), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_age(times: list[int], entropy: bytes) -> None:
    ids = [format_id("key", now_ms, entropy) for now_ms in sorted(times)]
    assert ids == sorted(ids)
    assert all(map(is_key_id, ids))


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["name"])
def test_the_key_vectors_hold(vector: dict[str, str]) -> None:
    secret = format_token(Kind(vector["kind"]), bytes.fromhex(vector["entropy_hex"]))
    assert secret.reveal() == vector["text"]
    assert secret.digest.hex() == vector["sha256_hex"]


@pytest.mark.parametrize("vector", VECTORS["junk"], ids=lambda vector: vector["name"])
def test_the_junk_vectors_are_refused(vector: dict[str, str]) -> None:
    assert not is_token(vector["text"].encode())
    with pytest.raises(ValueError, match="not a key") as caught:
        parse_token(vector["text"])
    assert len(vector["text"]) < 4 or vector["text"] not in str(caught.value)


def test_the_checksum_is_zlibs_crc32_in_base62() -> None:
    text = format_token(Kind.RESTRICTED, bytes(range(32))).reveal()
    assert text[46:] == base62(crc32(text[:46].encode()), 6)


@given(secrets)
def test_a_secret_shows_itself_nowhere(secret: Secret) -> None:
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>80}", repr([secret]), repr({"key": secret})]
    assert not any(secret.reveal()[4:] in text for text in shown)
    for leak in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError):
            leak(secret)
