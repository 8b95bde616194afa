"""``restrictions`` in a body: read by the model, held against the policy, every fault with its own path."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import JsonValue, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import ErrorDetails

from keyscope.errors import Fault
from keyscope.model.restriction.calls import METHODS
from keyscope.model.restriction.times import DAYS
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.policy.document import Policy
from keyscope.policy.restricting import unknown_names

_CALLERS = (
    "this server was not told who stands in front of it, so it does not know from where calls come: set "
    "KEYSCOPE_TRUSTED_PROXIES to the proxies' addresses, or to none"
)
_COUNTS = (
    "this server counts nothing, because the nodes of a database on PostgreSQL would have to count together: set "
    "KEYSCOPE_COUNTERS to a Valkey or Redis of theirs"
)
_STANDARD = "a standard key has full access and takes no restrictions: mint a restricted key instead"


def _read(value: JsonValue, info: ValidationInfo) -> Restrictions | None:
    """None for no restrictions at all. Raises InvalidRestrictions."""
    if value is None or isinstance(value, Restrictions):
        return value
    found = Restrictions.parse(value)
    faults = list(_against(found, info.context or {}))
    if faults:
        raise InvalidRestrictions(faults)
    return found or None


def _against(found: Restrictions, context: dict[str, Any]) -> list[Fault]:
    policy: Policy | None = context.get("policy")
    faults: list[Fault] = []
    if policy is not None:
        faults += unknown_names(found, policy.resource_names, [row.id for row in policy.operations])
    if found.cidrs is not None and not context.get("knows_callers", True):
        faults.append(Fault("$.restrictions.cidrs", _CALLERS))
    if not context.get("counts", True):
        counted = {"uses": found.uses, "rate": found.rate, "parallel": found.parallel}
        faults += [Fault(f"$.restrictions.{name}", _COUNTS) for name, given in counted.items() if given is not None]
    return faults


def faults_of(detail: ErrorDetails) -> tuple[Fault, ...]:
    """The faults of restrictions that did not pass; empty if this is about something else."""
    if detail["loc"][-1:] == ("restrictions",) and detail["type"] == "extra_forbidden":
        return (Fault("$.restrictions", _STANDARD),)
    error = detail.get("ctx", {}).get("error")
    return error.faults if isinstance(error, InvalidRestrictions) else ()


def _whole(least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least}


def _some(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def _closed(members: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": [*required], "additionalProperties": False}


_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_TIME = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}

SCHEMA: dict[str, Any] = {
    "title": "Restrictions",
    "description": "What the key is restricted to beyond its scopes. Each member can only take away; all must hold.",
    **_closed(
        {
            "instances": {"type": "object", "additionalProperties": _some(_TEXT), "minProperties": 1},
            "own": {"anyOf": [{"const": True}, _some(_TEXT)]},
            "cidrs": _some(_TEXT),
            "not_before_ms": _whole(),
            "window": _closed(
                {"from": _TIME, "to": _TIME, "timezone": _TEXT, "days": _some({"enum": list(DAYS)})},
                "from", "to", "timezone",
            ),
            "uses": _whole(),
            "rate": _closed({"requests": _whole(), "per_ms": _whole(100)}, "requests", "per_ms"),
            "parallel": _whole(),
            "deny": _some({"anyOf": [_TEXT, {"enum": list(METHODS)}]}),
            "hold": _closed({"operations": _some(_TEXT), "deadline_ms": _whole(), "delay_ms": _whole()}),
        }
    ),
}  # fmt: skip
"""For the OpenAPI document."""

RestrictionSet = Annotated[
    Restrictions | None,
    PlainValidator(_read),
    WithJsonSchema({"anyOf": [SCHEMA, {"type": "null"}]}),
]
"""A member of a request."""
