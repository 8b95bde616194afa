"""Strict JSON (RFC 8259, I-JSON): what two parsers could read in two ways is refused.

Refused are duplicate members, NaN and infinities, lone surrogates, a byte order mark, other encodings than UTF-8, and
nesting beyond 32. Every fault is reported with its JSON path.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import msgspec

from keyscope.errors import BadRequest, Fault
from keyscope.model.body import Json

MAX_DEPTH = 32


_SURE = 1 << 53
"""Whole numbers below this are the same to every parser (RFC 8259 section 6)."""

_decode = msgspec.json.Decoder().decode


class _Unsure(Exception):
    """The quick look does not do."""


class _Object(dict[str, Any]):
    """An object that remembers which members stood in it more than once."""

    repeated: tuple[str, ...] = ()


def decode(raw: bytes) -> tuple[Json, list[Fault]]:
    """The value, and every fault in it. Raises BadRequest if the bytes are not JSON at all."""
    quick = _quick(raw)
    if quick is not None:
        return quick, []
    value = _parse(raw)
    faults: list[Fault] = []
    _inspect(value, "$", 0, faults)
    return value, faults


def decode_strict(raw: bytes) -> Json:
    """The value. Raises BadRequest, with all faults, if there is any."""
    value, faults = decode(raw)
    if faults:
        raise BadRequest("not strict JSON", faults)
    return value


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON. Members keep their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _quick(raw: bytes) -> Json:
    """The value of what is certainly sound, ten times as fast; None if a closer look is needed.

    The fast parser takes the last of two members with one name. Without a backslash no string holds a quote, so the
    quotes in the text tell how many names and strings stand in it; were a name there twice, the value would have fewer.
    Numbers are left to the closer look, small whole ones aside, because parsers differ in them.
    """
    if b"\\" in raw or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        return None
    try:
        value: Json = _decode(raw)
        return value if 2 * _texts(value) == raw.count(b'"') else None
    except (msgspec.DecodeError, UnicodeDecodeError, _Unsure):
        return None


def _texts(value: Any) -> int:
    """How many names and strings stand in a value. Raises _Unsure if there is a number that is not small and whole."""
    kind = type(value)
    if kind is str:
        return 1
    if kind is dict:
        return len(value) + sum(map(_texts, value.values()))
    if kind is list:
        return sum(map(_texts, value))
    if kind is float or (kind is int and not -_SURE < value < _SURE):
        raise _Unsure
    return 0


def _parse(raw: bytes) -> Json:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("the body is not UTF-8")
    if text.startswith("\ufeff"):
        _refuse("the body starts with a byte order mark; leave it out")
    try:
        parsed: Json = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        _refuse(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except (ValueError, RecursionError):
        # More than 4,300 digits, or nesting that the parser's own guard stopped.
        _refuse("the body holds a number that is too long, or nests too deep")
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        made.repeated = tuple(name for name in made if names.count(name) > 1)
    return made


def _inspect(value: Json, path: str, depth: int, faults: list[Fault]) -> None:
    if depth > MAX_DEPTH:
        faults.append(Fault(path, f"nested more than {MAX_DEPTH} deep"))
    elif isinstance(value, str):
        _inspect_text(value, path, faults)
    elif isinstance(value, float) and not math.isfinite(value):
        faults.append(Fault(path, "NaN, infinities and numbers beyond a double are not JSON"))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _inspect(item, f"{path}[{number}]", depth + 1, faults)
    elif isinstance(value, _Object):
        faults.extend(Fault(f"{path}.{_shown(name)}", "this member stands twice") for name in value.repeated)
        for name, item in value.items():
            _inspect_text(name, f"{path}.{_shown(name)}", faults)
            _inspect(item, f"{path}.{_shown(name)}", depth + 1, faults)


def _inspect_text(text: str, path: str, faults: list[Fault]) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        faults.append(Fault(path, "a lone surrogate is not a character"))


def _shown(name: str) -> str:
    """A member name as part of a path in a message: short, and safe to print."""
    return name.encode("ascii", "backslashreplace").decode()[:64]


def _refuse(why: str) -> NoReturn:
    raise BadRequest(why, [Fault("$", why)])
