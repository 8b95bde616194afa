"""The two strict readers: forms, and the quick look at JSON, which must never differ from the close one."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.errors import BadRequest
from keyscope.wire import codec
from keyscope.wire.form import MOST_FIELDS, parse_form


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", {}),
        (b"token=abc", {"token": "abc"}),
        (b"token=a%20b+c&hint=x", {"token": "a b c", "hint": "x"}),
        (b"token=%E2%98%83", {"token": "☃"}),
        (b"token=a=b==", {"token": "a=b=="}),
        (b"a=&token=b", {"token": "b"}),
        (b"%74oken=b", {"token": "b"}),
    ],
)
def test_a_form_is_read(raw: bytes, found: dict[str, str]) -> None:
    assert parse_form(raw) == found


@pytest.mark.parametrize(
    "raw",
    [b"a=1&a=1", b"a=1&%61=2", b"a=&a=1", b"a", b"=1", b"&", b"a=1&", b"&a=1", b"a=%", b"a=%4g", b"a=1;b=2",
     b"a=\xff", b"a=%ff", b"a=\x00", b"a= b", b"a=\r\n", b"a=[1]",
     b"&".join(b"a%d=1" % n for n in range(MOST_FIELDS + 1))],
)  # fmt: skip
def test_a_form_that_two_parsers_could_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_form(raw)


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=20))
def test_what_an_encoder_writes_is_read_back(values: dict[str, str]) -> None:
    try:
        encoded = urlencode(values)
    except UnicodeEncodeError:  # lone surrogates
        return
    assert parse_form(encoded.encode()) == values


class Members(list[tuple[str, Any]]):
    """An object's members, names perhaps repeated."""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(st.tuples(st.text(max_size=1), inner), max_size=4).map(Members)
    ),
    max_leaves=12,
)


def written(value: Any, space: str) -> str:
    if isinstance(value, Members):
        pairs = (f"{json.dumps(name, ensure_ascii=False)}{space}:{space}{written(one, space)}" for name, one in value)
        return "{" + f"{space},".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, space) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(VALUES, st.sampled_from(["", " ", "\n\t"]))
def test_the_quick_look_agrees_with_the_close_one(value: Any, space: str) -> None:
    _agree(written(value, space).encode("utf-8", "surrogatepass"))


PIECES = [b'"', b"{", b"}", b"[", b"]", b":", b",", b"a", b" ", b"1", b"null", b"\x00", b"\xff", b"\xed\xa0\x80"]
MORE_PIECES = [
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e5",
    b"-",
    "é".encode(),
    b"\t",
    b"\\",
    b'"a"',
    b'"a":1',
    b"\\ud800",
    b"\\u0061",
]


@given(st.lists(st.sampled_from([*PIECES, *MORE_PIECES]), max_size=14).map(b"".join))
def test_the_quick_look_takes_nothing_that_the_close_one_refuses(raw: bytes) -> None:
    _agree(raw)


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a":2}', b'{"a":1,"a" :2}', b'{"a":{"b":1,"b":""}}', b'{"a":"a","a":"a"}', b'[1e400]', b'{"a":NaN}',
     b"[" * 40 + b"]" * 40, b"9" * 400, b'{"a":"\x01"}', b'{}{}', b"", b"\xff\xfe{\x00}\x00"],
)  # fmt: skip
def test_the_quick_look_leaves_what_is_doubtful_to_the_close_one(raw: bytes) -> None:
    assert codec._quick(raw) is None


def test_a_plain_request_needs_no_close_look() -> None:
    plain = {"subject": {"type": "key", "id": "key_1"}, "n": [1, True, None, "é"]}
    assert codec._quick(json.dumps(plain, ensure_ascii=False).encode()) == plain


def _agree(raw: bytes) -> None:
    quick = codec._quick(raw)
    if quick is None:
        return
    value = codec._parse(raw)
    faults: list[Any] = []
    codec._inspect(value, "$", 0, faults)
    assert faults == []
    assert json.dumps(value) == json.dumps(quick)  # True is not 1 here
