"""Restrictions as people type them: short forms, or JSON, put together into the JSON of the API.

What is typed is read by the same code as the API's JSON, so that there is no second meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from keyscope.model.body import Json
from keyscope.model.restrictions import Restrictions

FORMS = (
    "instances.TYPE=ID,PATTERN*; own or own=TYPE,…; cidrs=NET,…; not_before=TIME; window=09:00-17:00,ZONE[,mon,…]; "
    "uses=N; rate=N/1m; parallel=N; deny=OPERATION,…; hold=10m or hold=delay:30s[,OPERATION,…]; or JSON"
)

Members = dict[str, Any]

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration_ms(text: str) -> int:
    """A length of time like ``8h`` or ``90m`` in milliseconds. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{text!r} is not a length of time: write a number and ms, s, m, h, d or w, like 8h")
    return int(found[1]) * _UNIT_MS[found[2]]


def read_typed(texts: Iterable[str], decode: Callable[[bytes], Json]) -> Members | None:
    """All that was typed as one JSON object; None if nothing was. ``decode`` reads JSON strictly.

    Raises ValueError for what is no form, and what ``decode`` does. Whether the whole is sound is not looked at.
    """
    found: Members = {}
    for text in texts:
        _merge(found, _read(text.strip(), decode))
    return found or None


def typed(restrictions: Restrictions) -> Iterator[str]:
    """The restrictions as they would be typed, one each."""
    for name, value in restrictions.plain.items():
        if name == "instances" and isinstance(value, dict):
            yield from (
                _one("instances", {kind: names}, f"instances.{kind}={_joined(names)}") for kind, names in value.items()
            )
        else:
            yield _one(name, value, _short(name, value))


def _one(name: str, value: Json, short: str | None) -> str:
    """The short form, if it says the same; else JSON."""
    try:
        if short is not None and _read(short, json.loads) == {name: value}:
            return short
    except ValueError:
        pass
    return json.dumps({name: value}, ensure_ascii=False)


def _short(name: str, value: Any) -> str | None:
    if name == "own":
        return "own" if value is True else f"own={_joined(value)}"
    if name == "not_before_ms":
        return f"not_before={datetime.fromtimestamp(value / 1000, UTC).isoformat().replace('+00:00', 'Z')}"
    if name == "window":
        return ",".join([f"window={value['from']}-{value['to']}", value["timezone"], *value.get("days", ())])
    if name == "rate":
        return f"rate={value['requests']}/{_spelled(value['per_ms'])}"
    if name == "hold":
        length = f"delay:{_spelled(value['delay_ms'])}" if "delay_ms" in value else _spelled(value["deadline_ms"])
        return ",".join([f"hold={length}", *value.get("operations", ())])
    return f"{name}={_joined(value) if isinstance(value, list) else value}"


def _joined(names: Any) -> str:
    return ",".join(names)


def _spelled(length_ms: int) -> str:
    """The largest unit that says it exactly."""
    unit = next(unit for unit in ("w", "d", "h", "m", "s", "ms") if length_ms % _UNIT_MS[unit] == 0)
    return f"{length_ms // _UNIT_MS[unit]}{unit}"


def _read(text: str, decode: Callable[[bytes], Json]) -> Members:
    if text.startswith("{"):
        value = decode(text.encode())
        if not isinstance(value, dict):
            raise ValueError('the JSON is an object, like {"uses": 50}')
        return dict(value)
    name, given, value_text = text.partition("=")
    if name == "own":
        return {"own": value_text.split(",") if given else True}
    kind, dot, resource = name.partition(".")
    if kind == "instances" and dot:
        return {"instances": {resource: value_text.split(",")}}
    if name not in _READERS or not value_text:
        raise ValueError(f"{text!r} is none of: {FORMS}")
    return _READERS[name](value_text)


def _merge(found: Members, more: Members) -> None:
    """Lists of one kind are joined; anything else can be said once."""
    for name, value in more.items():
        before = found.get(name)
        if before is None:
            found[name] = value
        elif isinstance(before, list) and isinstance(value, list):
            found[name] = [*before, *value]
        elif name == "instances" and isinstance(before, dict) and isinstance(value, dict):
            _merge(before, value)
        else:
            raise ValueError(f"{name} is given twice: say it once")


def _number(name: str) -> Callable[[str], Members]:
    def read(text: str) -> Members:
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{name}={text}: write a whole number, like {name}=50")
        return {name: int(text)}

    return read


def _list(name: str) -> Callable[[str], Members]:
    return lambda text: {name: text.split(",")}


def _not_before(text: str) -> Members:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"not_before={text}: write a time with its zone, like 2027-01-31T09:00:00Z")
    return {"not_before_ms": round(at.timestamp() * 1000)}


def _window(text: str) -> Members:
    hours, _, rest = text.partition(",")
    start, dash, end = hours.partition("-")
    zone, *days = rest.split(",")
    if not dash or not zone:
        raise ValueError(f"window={text}: write window=09:00-17:00,Europe/Berlin, and days if need be")
    return {"window": {"from": start, "to": end, "timezone": zone, **({"days": days} if days else {})}}


def _rate(text: str) -> Members:
    requests, slash, period = text.partition("/")
    if not slash or not (requests.isascii() and requests.isdigit()):
        raise ValueError(f"rate={text}: write how many in which time, like rate=100/1m")
    return {"rate": {"requests": int(requests), "per_ms": duration_ms(period)}}


def _hold(text: str) -> Members:
    first, *operations = text.split(",")
    member = "delay_ms" if first.startswith("delay:") else "deadline_ms"
    named = {"operations": operations} if operations else {}
    return {"hold": {member: duration_ms(first.removeprefix("delay:")), **named}}


_READERS: dict[str, Callable[[str], Members]] = {
    "cidrs": _list("cidrs"),
    "deny": _list("deny"),
    "hold": _hold,
    "not_before": _not_before,
    "not_before_ms": _number("not_before_ms"),
    "parallel": _number("parallel"),
    "rate": _rate,
    "uses": _number("uses"),
    "window": _window,
}
