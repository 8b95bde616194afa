"""``--restrict``: restrictions as people type them, put together from all times it is given."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable
from typing import Any

import click

from keyscope.cli.options import option
from keyscope.errors import BadRequest
from keyscope.model.restriction.typed import FORMS, read_typed
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.wire.codec import decode_strict

restrict_option = option(
    "--restrict", "restrict", multiple=True, metavar="RESTRICTION", help=f"One restriction, or several: {FORMS}."
)


def read_restrictions(texts: Iterable[str]) -> dict[str, Any] | None:
    """All restrictions as JSON; None if there is no text. Raises UsageError with every fault."""
    try:
        found = read_typed(texts, decode_strict)
        if found is not None:
            Restrictions.parse(found, "--restrict")
    except InvalidRestrictions as error:
        raise click.UsageError(". ".join(f"{fault.path}: {fault.message}" for fault in error.faults) + ".") from None
    except BadRequest as error:
        raise click.UsageError(f"--restrict: {'. '.join(fault.message for fault in error.faults)}.") from None
    except ValueError as error:
        raise click.UsageError(f"--restrict: {error}.") from None
    return found


def described(restrictions: dict[str, Any]) -> list[tuple[str, str]]:
    """Restrictions for people: the kind, and what it says."""
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
