"""The API reference, from the OpenAPI document of a running server. ``scripts.docs`` puts it into docs/api.md."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import ProxyHandler, build_opener

Json = dict[str, Any]


def reference() -> Iterator[str]:
    """One section per group of operations, then one with their shapes."""
    document = served()
    groups: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append((method, path, operation))
    for tag, rows in groups.items():
        yield f"## {tag}"
        yield ""
        for method, path, operation in rows:
            yield from _operation(method, path, operation)
    yield "## Shapes"
    yield ""
    schemas = document["components"]["schemas"]
    for name in sorted(_reached(document["paths"], schemas)):
        yield from _shape(name, schemas[name])


def served() -> Json:
    """What a fresh server, with the Runloop policy and nothing stored, says of itself."""
    url = f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "keyscope", "serve", "--database", "memory://", "--port", url.rsplit(":", 1)[1]]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KEYSCOPE_")}
    with subprocess.Popen(command, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            said = next((line for line in server.stderr or () if "is ready on" in line), None)
            if said is None:
                raise SystemExit("keyscope serve does not start; see what it says: keyscope serve --database memory://")
            with build_opener(ProxyHandler({})).open(f"{url}/keyscope/openapi.json", timeout=10) as answer:
                document: Json = json.load(answer)
                return document
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reached(part: object, schemas: Mapping[str, Json]) -> set[str]:
    """The shapes that a part of the document speaks of, and those that they speak of."""
    found: set[str] = set()
    new = _named(part)
    while new:
        found |= new
        new = _named([schemas[name] for name in new]) - found
    return found


def _named(part: object) -> set[str]:
    return set(re.findall(r"#/components/schemas/(\w+)", json.dumps(part)))


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`"
    yield ""
    yield f"`{operation['operationId']}`. {_prose(operation['description'])}"
    yield ""
    yield from _parameters(operation)
    replies = operation["responses"]
    others = ", ".join(status for status in sorted(replies) if status != "200")
    yield f"{_takes(operation)}Answers {_content(replies['200'])}{others and f'; otherwise {others}'}."
    yield ""


def _parameters(operation: Json) -> Iterator[str]:
    rows = [row for row in operation.get("parameters", ()) if row["in"] != "path"]
    yield from (f"- `{row['name']}` ({row['in']}): {row.get('description', '')}".rstrip(": ") for row in rows)
    if rows:
        yield ""


def _takes(operation: Json) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    return f"Takes {_content(body)}{'' if body.get('required') else ', or no body'}. "


def _content(described: Json) -> str:
    return " or ".join(_shown(*shape) for shape in described.get("content", {}).items()) or "nothing"


def _shown(media: str, content: Json) -> str:
    shape = _type(content.get("schema", {}))
    return shape if media == "application/json" else f"{shape} as `{media}`"


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield _prose(schema["description"])
        yield ""
    members: Mapping[str, Json] = schema.get("properties", {})
    if members:
        required = schema.get("required", ())
        yield "| member | type | |"
        yield "|---|---|---|"
        for member, described in members.items():
            yield f"| `{member}` | {_type(described)} | {'required' if member in required else ''} |"
        yield ""


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    for either in ("anyOf", "oneOf", "allOf"):
        if either in schema:
            return " or ".join(_type(option) for option in schema[either])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))
