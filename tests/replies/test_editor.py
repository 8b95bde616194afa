"""The editor of replies: what is cut is gone, whatever the spelling and the chunks; all else keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.errors import UpstreamAnswer
from keyscope.gate.replies.document import Document
from keyscope.gate.replies.pieces import MAX_BYTES
from keyscope.model.body import JsonPath

SECRET = "s3cret"
PATHS = ("$.boxes[*].tunnel.token", "$.token", "$.boxes[*].mounts[*].token", "$.map.*.token")
NAMES = st.sampled_from(["boxes", "tunnel", "token", "mounts", "map", "id", "", 'qu"ote', "tok\\en"])
SPACE = st.text(" \t\r\n", max_size=2)


def edited(raw: bytes, paths: tuple[str, ...] = PATHS, size: int = 1 << 16) -> bytes:
    document = Document(JsonPath.parse(path).steps for path in paths)
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    return b"".join([*map(document.feed, chunks), document.close()])


def without(value: Any, steps: tuple[str, ...]) -> Any:
    """The value without what one path leads to, as simply as it can be said."""
    step, *rest = steps
    if step == "[*]":
        return [without(item, tuple(rest)) for item in value] if isinstance(value, list) else value
    if not isinstance(value, dict):
        return value
    if step != ".*" and not rest:
        return {name: item for name, item in value.items() if name != step}
    return {name: without(item, tuple(rest)) if step in (name, ".*") else item for name, item in value.items()}


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """A string of JSON in one of its many spellings."""
    letters = (
        f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 and draw(st.integers(0, 6)) == 0 else json.dumps(letter)[1:-1]
        for letter in text
    )
    return f'"{"".join(letters)}"'


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of the value, with white space and escapes anywhere."""
    space = draw(SPACE)
    if isinstance(value, dict):
        parts = [f"{draw(SPACE)}{draw(spelled(k))}{draw(SPACE)}:{draw(written(v))}" for k, v in value.items()]
        return f"{space}{{{','.join(parts)}{draw(SPACE)}}}{draw(SPACE)}"
    if isinstance(value, list):
        return f"{space}[{','.join(draw(written(item)) for item in value)}{draw(SPACE)}]{draw(SPACE)}"
    return space + (draw(spelled(value)) if isinstance(value, str) else json.dumps(value)) + draw(SPACE)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=5) | st.sampled_from(["},{", '],"', SECRET])
VALUES = st.recursive(
    PLAIN | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
BOXES = st.fixed_dictionaries({"boxes": st.lists(VALUES, max_size=6)}, optional={"token": VALUES, "map": VALUES})


@given(st.data(), VALUES | BOXES, st.integers(1, 40))
def test_what_the_paths_lead_to_is_gone_and_all_else_is_there(data: st.DataObject, value: Any, size: int) -> None:
    raw = data.draw(written(value)).encode()
    expected = value
    for path in PATHS:
        expected = without(expected, JsonPath.parse(path).steps)
    assert json.loads(edited(raw, size=size)) == expected


@given(st.data(), BOXES, st.integers(1, 30))
def test_chunks_make_no_difference(data: st.DataObject, value: Any, size: int) -> None:
    raw = data.draw(written(value)).encode()
    assert edited(raw, size=size) == edited(raw)


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()[:-1]), st.integers(1, 9))
def test_what_is_not_json_is_never_finished(raw: bytes, size: int) -> None:
    try:
        json.loads(raw.decode("utf-8"))
    except ValueError:
        with pytest.raises(UpstreamAnswer):
            edited(raw, size=size)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"token":"s3cret","token":null}',
        b'{"token":null,"token":"s3cret"}',
        b'{"to\\u006ben":"s3cret","token":null}',
        b'{"boxes":[{"tunnel":{"token":"s3cret"},"tunnel":null}]}',
        b'{"boxes":[{"tunnel":null,"tunnel":{"token":"s3cret"}}]}',
        b'{"boxes":[{"tunnel":{"token":"s3cret","t\\u006fken":"s3cret"}}]}',
        b'{"boxes":[],"boxes":[{"tunnel":{"token":"s3cret"}}]}',
        b'{"boxes":null,"b\\u006fxes":[{"tunnel":{"token":"s3cret"}}]}',
        b'{"boxes":[{"tunnel":null}]}{"token":"s3cret"}',
        b'{"boxes":[{"tunnel":null}]}\n{"boxes":[{"tunnel":{"token":"s3cret"}}]}',
        b'{}"s3cret"',
        b'\xef\xbb\xbf{"token":"s3cret"}',
        b'{"tok\xffen":"s3cret"}',
        b'{"\xc1\xb4oken":"s3cret"}',
        b"{'token':'s3cret'}",
        b'{token:"s3cret"}',
        b'{"id":1,/*"*/"token":"s3cret"}',
        b'{"boxes":[{"id":"},{"},{"tunnel":{"token":"s3cret"}}]}',
        b'{"boxes":[{"id":"a\\"},{\\"id"},{"id":"a\\"},{\\"id","tunnel":{"token":"s3cret"}}]}',
        '{"token":"s3cret"}'.encode("utf-16-le"),
        '{"token":"s3cret"}'.encode("utf-16"),
        b")]}',\n" + b'{"token":"s3cret"}',
        b'{"boxes":[' + b"[" * 2000 + b'{"token":"s3cret"}' + b"]" * 2000 + b"]}",
        b'{"map":{"a":{"token":"s3cret"},"a":{"token":"s3cret"}}}',
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_no_spelling_carries_a_credential_past(raw: bytes, size: int) -> None:
    document = Document(JsonPath.parse(path).steps for path in PATHS)
    passed = b""
    try:
        for at in range(0, len(raw), size):
            passed += document.feed(raw[at : at + size])
        passed += document.close()
    except UpstreamAnswer:
        pass
    assert SECRET.encode() not in passed


def test_values_that_are_not_cut_keep_their_bytes() -> None:
    raw = b'{"n":1.50e+2,"big":12345678901234567890,"boxes":[{"e":"\\u00e9\\/","tunnel":{"token":1,"z":-0.0}}]}'
    assert edited(raw) == raw.replace(b'"token":1,', b"")


def test_elements_that_nothing_is_cut_from_keep_their_bytes() -> None:
    boxes = [b'{ "id": "box_%d" , "tunnel":null}' % number for number in range(500)]
    passed = edited(b'{"boxes": [' + b", \n".join(boxes) + b"]}", size=1000)
    assert passed.replace(b", \n", b",") == b'{"boxes":[' + b",".join(boxes) + b"]}"


def test_memory_is_bounded_by_an_element() -> None:
    document = Document([("boxes", "[*]", "token")])
    document.feed(b'{"boxes":[{"name":"')
    for _ in range(MAX_BYTES // (4 << 20)):
        assert document.feed(b"x" * (4 << 20)) == b""
    with pytest.raises(UpstreamAnswer):
        document.feed(b"x" * MAX_BYTES)


def test_a_long_list_goes_on_while_it_comes() -> None:
    document = Document([("boxes", "[*]", "token")])
    element = json.dumps({"name": "x" * 1000, "token": SECRET}).encode()
    document.feed(b'{"boxes":[' + element)
    for _ in range(200):
        assert len(document.feed(b"," + element)) <= 3 * len(element)
    assert SECRET.encode() not in document.feed(b"]") + document.feed(b"}") + document.close()
