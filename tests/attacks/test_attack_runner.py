"""The runner itself: no row is left out unseen, and its words mean what the rows say they mean."""

from __future__ import annotations

import pytest

from tests.attacks import token_ops
from tests.attacks.h1 import _replies
from tests.attacks.outcome import Outcome, Reply
from tests.attacks.rows import APPLICABLE, FACES, NOT_APPLICABLE, ROWS, rows_for
from tests.attacks.verdicts import _status

LEFT_OUT = {
    "split-token": "tok-018 tok-019 tok-020 tok-021 tok-022",
    "base64-token": "tok-030 tok-031",
    "secret-scanning": "whk-004 whk-005 whk-007 whk-008 whk-009 whk-010 whk-011",
}
"""Every row that does not apply, by what the product lacks."""

KEY = "rk_" + "0" * 42 + "Z"
NO_DIGEST = bytes


def test_exactly_these_rows_are_left_out() -> None:
    left_out = {need: " ".join(row.id for row in ROWS if row.lacks == need) for need in NOT_APPLICABLE}
    assert left_out == LEFT_OUT


def test_every_other_row_is_sent_to_a_face() -> None:
    sent = {row.id for face in FACES for row in rows_for(face)}
    assert sent == {row.id for row in ROWS if row.lacks is None}
    assert {face: len(rows_for(face)) for face in FACES} == {
        "proxy": 354,
        "api": 93,
        "forward-auth": 213,
        "built-in": 39,
    }


def test_every_need_of_a_row_is_known() -> None:
    needs = {need for row in ROWS for need in (row.requires, row.policy) if need is not None}
    assert needs == APPLICABLE | NOT_APPLICABLE.keys()


def test_rows_have_ids_of_their_own() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        (["drop_last:1"], "rk_abcde1"),
        (["drop_first:1"], "k_abcde12"),
        (["flip_last"], "rk_abcde1a"),
        (["flip_mid"], "rk_abade12"),
        (["lower"], "rk_abcde12"),
        (["upper"], "RK_ABCDE12"),
        (["prefix:rk_->rk_rk_"], "rk_rk_abcde12"),
        (["append:=="], "rk_abcde12=="),
        (["prepend:x", "append:y"], "xrk_abcde12y"),
        (["insert_mid:-"], "rk_ab-cde12"),
        (["latin1_byte:é"], "rk_abécde12"),
        (["duplicate"], "rk_abcde12rk_abcde12"),
        (["literal:rk_%"], "rk_%"),
        (["urlencode"], "%72%6B%5F%61%62%63%64%65%31%32"),
        (["homoglyph"], "rk_abcd\u043512"),
        (["fullwidth_digit"], "rk_abcde1\uff12"),
        (["kelvin"], "r\u212a_abcde12"),
        (["stored_hash_b64url"], "rk__w"),
    ],
)
def test_a_token_operation_makes_its_edit(operations: list[str], text: str) -> None:
    assert token_ops.apply("rk_abcde12", operations, lambda: b"\xff") == text


def test_a_changed_key_can_be_given_its_right_checksum() -> None:
    assert token_ops.checksum("123456789") == "3jZRME"  # CRC-32's check value, 0xCBF43926
    whole = KEY + token_ops.checksum(KEY)
    assert token_ops.apply(whole, ["flip_mid", "flip_mid", "flip_last", "fix_checksum"], NO_DIGEST)[-6:] != whole[-6:]
    assert token_ops.apply(KEY + "000000", ["fix_checksum"], NO_DIGEST) == whole


def test_an_unknown_token_operation_is_an_error() -> None:
    with pytest.raises(KeyError):
        token_ops.apply("rk_a", ["shuffle"], NO_DIGEST)


ONE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"
CHUNKED = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


def test_answers_on_one_connection_are_told_apart() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    found = _replies(interim + ONE + CHUNKED + ONE[:-1], head=False, closed=False)
    assert [(reply.status, reply.body) for reply in found] == [(200, b"ab"), (403, b"abc")]


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    received = b"HTTP/1.1 400 Bad Request\r\n\r\nwhy"
    assert _replies(received, head=False, closed=False) == []
    assert [reply.body for reply in _replies(received, head=False, closed=True)] == [b"why"]


def test_only_a_refusal_may_be_a_closed_connection() -> None:
    closed = Outcome((), closed=True)
    assert _status(400, closed)
    assert not _status(200, closed)


def test_an_answer_does_not_count_if_the_upstream_was_touched() -> None:
    refusal = (Reply(403, (), b""),)
    assert _status(403, Outcome(refusal, closed=True))
    assert not _status(403, Outcome(refusal, closed=True, cut=("POST /v1/devboxes",)))
