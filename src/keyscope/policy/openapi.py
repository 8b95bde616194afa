"""An OpenAPI 3.x document, reduced to what a policy is held against.

The calls with their ids, ``x-required-scopes`` and JSON schemas of request and reply; nothing is validated beyond that.
References (``$ref``) are followed only inside the document and only when a schema is looked into.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import yaml
from msgspec import Struct

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.body import JsonPath
from keyscope.model.operation import PARAMETER
from keyscope.policy.document import read_text
from keyscope.policy.source import Loader

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
SCOPES = "x-required-scopes"

Schema: TypeAlias = Mapping[str, Any]


class Call(Struct, frozen=True):
    """One operation of the document. ``scopes`` is None where it carries no ``x-required-scopes``."""

    method: str
    template: str
    operation_id: str | None
    scopes: tuple[str, ...] | None
    body: Schema | None
    summary: str = ""
    deprecated: bool = False
    reply: Schema | None = None

    @property
    def segments(self) -> tuple[str, ...]:
        """The template's segments; one that holds a parameter, even in part, as ``{}``."""
        return tuple(PARAMETER if "{" in part else part for part in self.template.split("/")[1:])

    @property
    def call(self) -> str:
        return f"{self.method} {self.template}"


class OpenApi(Struct, frozen=True):
    """A document: its title, its calls, and itself for following references."""

    where: str
    title: str
    calls: tuple[Call, ...]
    document: Schema

    def has_member(self, schema: Schema, path: JsonPath) -> bool:
        """Whether a body of this schema may hold what the path selects.

        A schema that says nothing about its members may hold any. One that lists members holds those, and others
        only where it has ``additionalProperties`` or ``patternProperties`` of its own.
        """
        places = [schema]
        for step in path.steps:
            places = [found for place in places for found in self._step(place, step)]
        return bool(places)

    def _step(self, schema: Schema, step: str) -> Iterator[Schema]:
        branches = list(self._branches(schema))
        if all(_is_silent(branch) for branch in branches):
            yield {}
        for branch in branches:
            yield from _inside(branch, step)

    def _branches(self, schema: Schema) -> Iterator[Schema]:
        """The schema and all that it refers to or is composed of, each once."""
        waiting, seen = [schema], set[int]()
        while waiting:
            one = waiting.pop()
            if not isinstance(one, Mapping) or id(one) in seen:
                continue
            seen.add(id(one))
            yield one
            waiting += [part for word in ("allOf", "anyOf", "oneOf") for part in one.get(word) or ()]
            if "$ref" in one:
                waiting.append(follow(self.document, one))


_MEMBERS = frozenset({"properties", "additionalProperties", "patternProperties", "items"})
_OPEN_TYPES = frozenset({"object", "array"})


def read(source: str) -> OpenApi:
    """Read an OpenAPI document from a file, YAML or JSON. Raises ConfigurationError."""
    return parse(read_text(source, "OpenAPI document"), source)


def parse(text: str, where: str) -> OpenApi:
    """Read an OpenAPI document from text. Raises ConfigurationError."""
    document = _decode(text, where)
    version = document.get("openapi") if isinstance(document, dict) else None
    if not isinstance(version, str) or not version.startswith("3."):
        raise _fault(where, "openapi", "This is not an OpenAPI 3 document: its member 'openapi' should say 3.x.")
    paths = document.get("paths", {})
    if not isinstance(paths, dict):
        raise _fault(where, "paths", "This should be a mapping from paths to operations.")
    info = document.get("info")
    title = info.get("title", where) if isinstance(info, dict) else where
    return OpenApi(where, str(title), tuple(_calls(document, paths, where)), document)


def follow(document: Schema, value: Any) -> Any:
    """What a ``$ref`` into this document stands for; anything else is itself. A reference to nothing is empty."""
    for _ in range(32):
        if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
            return value
        value = _at(document, value["$ref"])
    return {}


def _at(document: Schema, reference: str) -> Any:
    place: Any = document
    if not reference.startswith("#/"):
        return {}
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, Mapping) else None
    return {} if place is None else place


def _is_silent(schema: Schema) -> bool:
    """Whether a schema allows members and says nothing about them."""
    told = schema.get("type", "object")
    types = set(told) if isinstance(told, list) else {told}
    return not _MEMBERS & schema.keys() and bool(_OPEN_TYPES & types)


def _inside(schema: Schema, step: str) -> Iterator[Schema]:
    if step == "[*]":
        yield from _schemas([schema.get("items")])
        return
    properties = schema.get("properties")
    named = properties if isinstance(properties, Mapping) else {}
    patterns = schema.get("patternProperties")
    wild = [schema.get("additionalProperties"), *(patterns.values() if isinstance(patterns, Mapping) else ())]
    if step == ".*":
        yield from _schemas([*named.values(), *wild])
    elif step in named:
        yield from _schemas([named[step]])
    else:
        yield from _schemas(wild)


def _schemas(values: list[Any]) -> Iterator[Schema]:
    for value in values:
        if isinstance(value, Mapping):
            yield value
        elif value is True:
            yield {}


def _calls(document: Schema, paths: dict[str, Any], where: str) -> Iterator[Call]:
    for template, item in paths.items():
        operations = follow(document, item)
        if not isinstance(template, str) or not isinstance(operations, Mapping):
            raise _fault(where, f"paths.{template}", "This should be a path with a mapping from methods to operations.")
        for method in METHODS:
            if isinstance(operations.get(method), Mapping):
                yield _call(document, method.upper(), template, operations[method], where)


def _call(document: Schema, method: str, template: str, operation: Schema, where: str) -> Call:
    identifier = operation.get("operationId")
    return Call(
        method=method,
        template=template,
        operation_id=identifier if isinstance(identifier, str) else None,
        scopes=_scopes(operation.get(SCOPES), f"{method} {template}", where),
        body=_body(document, operation.get("requestBody")),
        reply=_reply(document, operation.get("responses")),
        summary=str(operation.get("summary") or ""),
        deprecated=operation.get("deprecated") is True,
    )


def _scopes(value: Any, call: str, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _fault(where, f"{call}, {SCOPES}", "This should be a list of scopes, like [devboxes:write].")


def _body(document: Schema, value: Any) -> Schema | None:
    """The schema of a JSON request body; None where the document describes none."""
    content = follow(document, value)
    media = content.get("content") if isinstance(content, Mapping) else None
    for kind, entry in media.items() if isinstance(media, Mapping) else ():
        if str(kind).split(";")[0].strip().endswith("json") and isinstance(entry, Mapping):
            schema = entry.get("schema")
            return schema if isinstance(schema, Mapping) else None
    return None


def _reply(document: Schema, value: Any) -> Schema | None:
    """The schema of the JSON reply of a success; None where the document describes none."""
    responses = value if isinstance(value, Mapping) else {}
    return next((found for code in ("200", 200, "201", 201) if (found := _body(document, responses.get(code)))), None)


def _decode(text: str, where: str) -> Any:
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_once)
        return yaml.load(text, Loader=_Strict)  # noqa: S506  # a SafeLoader that also refuses repeated keys
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else where
        raise _fault(where, place, f"This cannot be read: {getattr(error, 'problem', None) or error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the member {name!r} stands twice")
        found[name] = value
    return found


class _Strict(Loader):
    """Safe, and a key that stands twice is an error: it would hide an operation."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                problem = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


def _fault(where: str, place: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"{where} is not a usable OpenAPI document", [Fault(place, message)])
