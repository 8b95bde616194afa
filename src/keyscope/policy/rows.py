"""The rows of a policy: each becomes an Operation, or faults that say how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from keyscope.model.body import BodyCondition, Credential, JsonPath
from keyscope.model.operation import Operation
from keyscope.model.scope import Level, Scope
from keyscope.policy.source import Place, near

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TRANSPORTS = ("json", "sse", "longpoll", "multipart", "binary", "text", "zip", "stream", "websocket")

REQUIRED = ("id", "call", "needs")
OPTIONAL = (
    "why", "body", "refers", "creates", "destroys", "lists", "credentials", "caps", "transport", "deprecated",
    "undocumented",
)  # fmt: skip
UNITS_MS = {"milliseconds": 1, "seconds": 1000, "minutes": 60_000}
MEMBERS = (*REQUIRED, *OPTIONAL)
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,99}", re.ASCII)
_CALL = re.compile(r"(\S+) (\S+)")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@-]+", re.ASCII)
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_.-]*\}", re.ASCII)
_RESOURCE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)

T = TypeVar("T")


class Names(NamedTuple):
    """The resource types that a policy may speak of."""

    known: tuple[str, ...]

    @staticmethod
    def is_name(text: str) -> bool:
        return _RESOURCE.fullmatch(text) is not None

    def resource(self, place: Place, text: str | None = None) -> str | None:
        """The resource type named here, or None after noting a fault."""
        name = text or place.text()
        if name is None or name in self.known:
            return name
        if self.known:
            place.fault(f"{name!r} is not a resource type of this policy{near(name, self.known)}")
        return None

    def scope(self, place: Place) -> Scope | None:
        """The scope written here, or None after noting a fault."""
        text = place.text()
        scope = _try(place, Scope.parse, text) if text else None
        if scope is None or self.resource(place, scope.resource) is None:
            return None
        if scope.level is Level.NONE:
            place.fault(f"{text!r} asks for nothing: name read or write, or leave it out.")
            return None
        return scope


class Rows(NamedTuple):
    """What the list of operations says: the sound rows, and the marks that are not part of an Operation."""

    operations: tuple[Operation, ...]
    undocumented: frozenset[str]
    undocumented_members: frozenset[str]
    whole_lists: frozenset[str]


def read_operations(place: Place | None, names: Names) -> Rows:
    """The operations of a policy, each once."""
    items = list(place.items()) if place else []
    if place and not items:
        place.fault("There are no operations: list at least one.")
    rows = [(item, _read(item, names)) for item in items]
    sound = [(item, row.operation) for item, row in rows if row.operation]
    require_unique(sound, lambda operation: operation.id, "id")
    require_unique(sound, lambda operation: (operation.method, operation.segments), "call")
    return Rows(
        tuple(operation for _, operation in sound),
        frozenset(row.operation.id for _, row in rows if row.operation and row.undocumented),
        frozenset(f"{row.operation.id} {path}" for _, row in rows if row.operation for path in row.hidden),
        frozenset(row.operation.id for _, row in rows if row.operation and row.lists_whole),
    )


class _Row(NamedTuple):
    operation: Operation | None
    undocumented: bool
    hidden: tuple[str, ...]
    lists_whole: bool


def _read(place: Place, names: Names) -> _Row:
    parts = place.record(REQUIRED, OPTIONAL, called=place.peek("id") or place.path)
    identifier = _id(parts["id"]) if "id" in parts else None
    call = _call(parts["call"]) if "call" in parts else None
    conditions = list(read_conditions(parts["body"], names)) if "body" in parts else []
    refers = list(_refers(parts["refers"], names)) if "refers" in parts else []
    needs = read_needs(parts["needs"], names) if "needs" in parts else ()
    operation = Operation(
        id=identifier or "",
        method=call[0] if call else "",
        template=call[1] if call else "",
        needs=needs,
        body=tuple(condition for condition, _ in conditions),
        why=_text(parts.get("why")),
        destroys=names.resource(parts["destroys"]) if "destroys" in parts else None,
        refers=tuple((path, resource) for path, resource, _ in refers),
        lists=_lists(parts.get("lists"), names),
        creates=_of_type(parts["creates"], names, "new id, like {devboxes: $.id}") if "creates" in parts else None,
        credentials=_all(_credential(item, needs, names) for item in parts["credentials"].items())
        if "credentials" in parts
        else (),
        caps=_caps(parts["caps"]) if "caps" in parts else (),
        transport=_transport(parts["transport"]) if "transport" in parts else "json",
        deprecated=_flag(parts.get("deprecated")),
    )
    undocumented = _flag(parts.get("undocumented"))
    hidden = [str(condition.when) for condition, undocumented in conditions if undocumented]
    hidden += [str(path) for path, _, undocumented in refers if undocumented]
    whole = "lists" in parts and parts["lists"].is_null
    return _Row(operation if identifier and call else None, undocumented, tuple(hidden), whole)


def _flag(place: Place | None) -> bool:
    return place.flag() if place else False


def _text(place: Place | None) -> str:
    return (place.text() if place else None) or ""


def _id(place: Place) -> str | None:
    text = place.text()
    if text is None or _ID.fullmatch(text):
        return text
    place.fault(f"{text!r} is not an id: use letters, digits and _ . / -, a letter first, at most 100.")
    return None


def _call(place: Place) -> tuple[str, str] | None:
    text = place.text()
    if text is None:
        return None
    found = _CALL.fullmatch(text)
    if not found:
        place.fault(f"{text!r} is not a call: write a method, one space and a path, like GET /v1/things/{{id}}.")
        return None
    method, template = found.groups()
    if method not in METHODS:
        place.fault(f"{method!r} is not a method{near(method, METHODS)}")
        return None
    return (method, template) if _is_template(place, template) else None


def _is_template(place: Place, template: str) -> bool:
    problems = list(template_problems(template))
    for problem in problems:
        place.fault(f"{template!r} is not a path template: {problem}.")
    return not problems


def template_problems(template: str) -> Iterator[str]:
    if not template.startswith("/"):
        yield "it starts with /"
        return
    segments = template.split("/")[1:]
    parameters = [segment for segment in segments if _PARAMETER.fullmatch(segment)]
    for segment in segments if template != "/" else ():
        if segment in ("", ".", ".."):
            yield f"the segment {segment!r} never occurs in a canonical path"
        elif segment not in parameters and not _LITERAL.fullmatch(segment):
            yield f"{segment!r} is neither a literal segment nor one whole {{parameter}}"
    if len(set(parameters)) < len(parameters):
        yield "a parameter stands in it twice"


def read_needs(place: Place, names: Names) -> tuple[Scope, ...]:
    """A list of scopes, each resource type once."""
    scopes = _all(names.scope(item) for item in place.items())
    resources = [scope.resource for scope in scopes]
    for resource in sorted({name for name in resources if resources.count(name) > 1}):
        place.fault(f"{resource!r} is needed twice: keep the higher level.")
    return scopes


def read_conditions(place: Place, names: Names) -> Iterator[tuple[BodyCondition, bool]]:
    """A list of conditions, each with whether it says that its member is undocumented."""
    for item in place.items():
        parts = item.record(("when", "needs"), ("why", "undocumented"))
        when = read_path(parts["when"]) if "when" in parts else None
        scope = names.scope(parts["needs"]) if "needs" in parts else None
        why, undocumented = _text(parts.get("why")), _flag(parts.get("undocumented"))
        if when and scope:
            yield BodyCondition(when, scope, why), undocumented


def _refers(place: Place, names: Names) -> Iterator[tuple[JsonPath, str, bool]]:
    """Members of the body, each with the resource type of what it names, and whether it is undocumented."""
    for text, member in place.members().items():
        parts = member.record(("type",), ("undocumented",)) if member.is_mapping else {"type": member}
        path = _try(member, JsonPath.parse, text)
        resource = names.resource(parts["type"]) if "type" in parts else None
        if path and resource:
            yield path, resource, _flag(parts.get("undocumented"))


def _lists(place: Place | None, names: Names) -> tuple[str, JsonPath] | None:
    if place is None or place.is_null:
        return None
    return _of_type(place, names, "ids, like {devboxes: '$.devboxes[*].id'}")


def _of_type(place: Place, names: Names, what: str) -> tuple[str, JsonPath] | None:
    """One resource type, and a place in the reply."""
    members = place.members()
    if len(members) != 1:
        place.fault(f"Write one resource type and where the reply holds the {what}.")
    for name, member in members.items():
        path = read_path(member)
        if names.resource(member, name) and path:
            return name, path
    return None


def _credential(place: Place, needs: tuple[Scope, ...], names: Names) -> Credential | None:
    """A path, or a path and who receives what it leads to: by itself, who may write what the call needs first."""
    parts = place.record(("at",), ("needs",)) if place.is_mapping else {"at": place}
    path = read_path(parts["at"]) if "at" in parts else None
    scope = names.scope(parts["needs"]) if "needs" in parts else None
    if scope is None and "needs" not in parts:
        if not needs:
            place.fault("The call needs no scope: say who receives this, like {at: $.token, needs: things:write}.")
            return None
        scope = Scope(needs[0].resource, Level.WRITE)
    return Credential(path.text, path.steps, scope) if path and scope else None


def _caps(place: Place) -> tuple[tuple[str, int], ...]:
    """Query parameters and their units."""
    found = []
    for name, member in place.members().items():
        unit = member.text()
        if unit is not None and unit not in UNITS_MS:
            member.fault(f"{unit!r} is not a unit{near(unit, UNITS_MS)}")
        elif not _LITERAL.fullmatch(name) or set(name) & set("&=+"):
            member.fault(f"{name!r} is not the name of a query parameter.")
        elif unit is not None:
            found.append((name, UNITS_MS[unit]))
    return tuple(found)


def _transport(place: Place) -> str:
    text = place.text()
    if text is None or text in TRANSPORTS:
        return text or "json"
    place.fault(f"{text!r} is not a transport{near(text, TRANSPORTS)}")
    return "json"


def read_path(place: Place) -> JsonPath | None:
    """The path written here, or None after noting a fault."""
    text = place.text()
    return _try(place, JsonPath.parse, text) if text else None


def _try(place: Place, parse: Callable[[str], T], text: str) -> T | None:
    try:
        return parse(text)
    except ValueError as error:
        place.fault(f"{error}.")
        return None


def _all(values: Iterator[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)


def require_unique(rows: Sequence[tuple[Place, Operation]], key: Callable[[Operation], object], what: str) -> None:
    """Note a fault at each row that has the same key as one before it."""
    seen: dict[object, Operation] = {}
    for place, operation in rows:
        first = seen.setdefault(key(operation), operation)
        if first is not operation:
            place.fault(f"{operation} has the {what} of {first}: remove or change one of the two.")
