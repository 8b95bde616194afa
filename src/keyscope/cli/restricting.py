"""``--restrict``: restrictions as people type them, short or as JSON, put together from all times it is given.

Whatever is typed becomes the JSON of the API, and is read by the same code; there is no second meaning.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import click

from keyscope.cli.options import Duration, option
from keyscope.errors import BadRequest
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.wire.codec import decode_strict

FORMS = (
    "instances.TYPE=ID,PATTERN*; own or own=TYPE,…; cidrs=NET,…; not_before=TIME; window=09:00-17:00,ZONE[,mon,…]; "
    "uses=N; rate=N/1m; parallel=N; deny=OPERATION,…; hold=10m or hold=delay:30s[,OPERATION,…]; or JSON"
)

restrict_option = option(
    "--restrict", "restrict", multiple=True, metavar="RESTRICTION", help=f"One restriction, or several: {FORMS}."
)


def read_restrictions(texts: Iterable[str]) -> dict[str, Any] | None:
    """All restrictions as JSON; None if there is no text. Raises UsageError with every fault."""
    found: dict[str, Any] = {}
    for text in texts:
        _merge(found, _read(text))
    if not found:
        return None
    try:
        Restrictions.parse(found, "--restrict")
    except InvalidRestrictions as error:
        raise click.UsageError(". ".join(f"{fault.path}: {fault.message}" for fault in error.faults) + ".") from None
    return found


def described(restrictions: dict[str, Any]) -> list[tuple[str, str]]:
    """Restrictions for people: each kind as it would be typed, as far as there is a short form."""
    pairs = []
    for name, value in restrictions.items():
        if name == "instances":
            pairs += [(f"only {kind}", ", ".join(names)) for kind, names in value.items()]
        else:
            pairs.append((name, _shown(name, value)))
    return pairs


def _shown(name: str, value: Any) -> str:
    if name == "own":
        return "everything" if value is True else ", ".join(value)
    if name == "rate":
        return f"{value['requests']} in {value['per_ms']} ms"
    if name == "window":
        days = f" on {', '.join(value['days'])}" if "days" in value else ""
        return f"{value['from']} to {value['to']}, {value['timezone']}{days}"
    if isinstance(value, list):
        return ", ".join(value)
    return jsonlib.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _read(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return _json(text)
    name, given, value = text.partition("=")
    if name == "own":
        return {"own": value.split(",") if given else True}
    kind, dot, resource = name.partition(".")
    if kind == "instances" and dot:
        return {"instances": {resource: value.split(",")}}
    if name not in _SHORT or not value:
        raise click.UsageError(f"--restrict {text!r} is none of: {FORMS}.")
    return _SHORT[name](value)


def _json(text: str) -> dict[str, Any]:
    try:
        value = decode_strict(text.encode())
    except BadRequest as error:
        raise click.UsageError(f"--restrict: {'. '.join(fault.message for fault in error.faults)}.") from None
    if not isinstance(value, dict):
        raise click.UsageError('--restrict: the JSON is an object, like {"uses": 50}.')
    return value


def _merge(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Lists of one kind are joined; anything else can be said once."""
    for name, value in more.items():
        before = found.get(name)
        if before is None:
            found[name] = value
        elif isinstance(before, list) and isinstance(value, list):
            found[name] = [*before, *value]
        elif name == "instances" and isinstance(value, dict):
            _merge(before, value)
        else:
            raise click.UsageError(f"--restrict: {name} is given twice; say it once.")


def _number(name: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if not (text.isascii() and text.isdigit()):
            raise click.UsageError(f"--restrict {name}={text}: write a whole number, like {name}=50.")
        return {name: int(text)}

    return read


def _list(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda text: {name: text.split(",")}


def _not_before(text: str) -> dict[str, Any]:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.UsageError(f"--restrict not_before={text}: write a time with its zone, like 2027-01-31T09:00:00Z.")
    return {"not_before_ms": int(at.timestamp() * 1000)}


def _window(text: str) -> dict[str, Any]:
    hours, _, rest = text.partition(",")
    start, dash, end = hours.partition("-")
    zone, *days = rest.split(",")
    if not dash or not zone:
        raise click.UsageError(
            f"--restrict window={text}: write window=09:00-17:00,Europe/Berlin, and days if need be."
        )
    return {"window": {"from": start, "to": end, "timezone": zone, **({"days": days} if days else {})}}


def _rate(text: str) -> dict[str, Any]:
    requests, slash, period = text.partition("/")
    if not slash or not (requests.isascii() and requests.isdigit()):
        raise click.UsageError(f"--restrict rate={text}: write how many in which time, like rate=100/1m.")
    return {"rate": {"requests": int(requests), "per_ms": _ms(period)}}


def _hold(text: str) -> dict[str, Any]:
    first, *operations = text.split(",")
    delays = first.startswith("delay:")
    length_ms = _ms(first.removeprefix("delay:"))
    named = {"operations": operations} if operations else {}
    return {"hold": {"delay_ms" if delays else "deadline_ms": length_ms, **named}}


def _ms(text: str) -> int:
    return Duration().convert(text, None, None)


_SHORT: dict[str, Callable[[str], dict[str, Any]]] = {
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
