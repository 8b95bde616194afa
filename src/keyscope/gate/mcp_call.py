"""What an MCP message asks for: the rows of the policy that it must be covered by.

Nothing passes because it is unknown. A few methods need no more than a live key: the life of a session, lists (whose
replies are cut down to what the key may call), and notices about requests of one's own. Tools, prompts and resources
are judged by name; every other method needs a row of its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from msgspec import Struct

from keyscope.errors import BadRequest, Fault, HeaderMismatch
from keyscope.model.body import Json
from keyscope.policy.tools import NAMED, OPEN, path_of
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.rpc import Kind, Message, members_of, text_of
from keyscope.wire.target import canonical_path

TOOL, PROMPT, RESOURCE = NAMED["tools"], NAMED["prompts"], NAMED["resources"]

_NOTICES = frozenset(f"notifications/{name}" for name in ("initialized", "cancelled", "progress", "roots/list_changed"))
_OF_RESOURCES = frozenset({RESOURCE, "resources/subscribe", "resources/unsubscribe"})
_CHANGES = frozenset({"toolsListChanged", "promptsListChanged", "resourcesListChanged"})
_SUBSCRIPTIONS = "resourceSubscriptions"

_ONE_AT_MOST = frozenset(
    {b"mcp-session-id", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"last-event-id", b"origin"}
)
_ENCODED = re.compile(r"=\?base64\?(.*)\?=", re.ASCII)
_PARAMETER = re.compile(r"\{[^{}/]*\}")


class Want(Struct, frozen=True):
    """One thing asked for: its path in the policy's table, and what of the message its conditions look at."""

    path: str
    arguments: Json = None


def wants(message: Message) -> Iterator[Want]:
    """Everything that the message asks for; nothing if a live key is enough.

    Raises BadRequest if it does not say what it asks for in the one way that the specification has.
    """
    method, params = message.method, message.params
    if message.kind is Kind.NOTIFICATION:
        if method not in _NOTICES:
            yield Want(path_of(method))
    elif method in (TOOL, PROMPT):
        yield Want(path_of(method, text_of(params.get("name"), "$.params.name")), params.get("arguments"))
    elif method in _OF_RESOURCES:
        yield Want(uri_path(text_of(params.get("uri"), "$.params.uri")))
    elif method == "completion/complete":
        yield _referred(params.get("ref"))
    elif method == "subscriptions/listen":
        yield from _listened(params.get("notifications"))
    elif message.kind is Kind.REQUEST and method not in OPEN:
        yield Want(path_of(method))


def uri_path(uri: str) -> str:
    """The path of a resource in the table. Raises BadTarget for a URI that programs could read in two ways.

    What follows the scheme must be a plain path, by the rule that holds for request targets: a ``{parameter}`` of the
    policy stands for one segment, and ``..`` or ``%2f`` in that segment would reach further.
    """
    _, found, rest = uri.partition("://")
    rest = rest if found else uri
    canonical_path((rest if rest.startswith("/") else f"/{rest}").encode("utf-8"))
    return path_of(RESOURCE, uri)


def template_path(template: str) -> str:
    """The same for a URI template: each of its parameters is one segment of the policy's."""
    uri_path(_PARAMETER.sub("x", template))
    return path_of(RESOURCE, template)


def _referred(ref: Json) -> Want:
    """A completion helps to fill in a prompt or a resource, so it is judged as that."""
    reference = members_of(ref, "$.params.ref")
    kind = reference.get("type")
    if kind == "ref/prompt":
        return Want(path_of(PROMPT, text_of(reference.get("name"), "$.params.ref.name")))
    if kind == "ref/resource":
        return Want(template_path(text_of(reference.get("uri"), "$.params.ref.uri")))
    raise BadRequest("reference", [Fault("$.params.ref.type", "this is ref/prompt or ref/resource")])


def _listened(chosen: Json) -> Iterator[Want]:
    """Changes of lists are open, as the lists are; changes of a resource are judged as reading it."""
    for name, value in members_of(chosen, "$.params.notifications").items():
        if name == _SUBSCRIPTIONS:
            yield from (Want(uri_path(uri)) for uri in _uris(value))
        elif name not in _CHANGES:
            yield Want(path_of("subscriptions/listen", name))


def _uris(value: Json) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest("subscriptions", [Fault(f"$.params.notifications.{_SUBSCRIPTIONS}", "this is a list")])
    return [text_of(uri, f"$.params.notifications.{_SUBSCRIPTIONS}[{at}]") for at, uri in enumerate(value)]


def check_fields(headers: RawHeaders) -> None:
    """Raise BadRequest if one of MCP's own header fields stands twice."""
    names = [name for name, _ in headers if name in _ONE_AT_MOST]
    for name in sorted({name.decode() for name in names if names.count(name) > 1}):
        raise BadRequest("repeated field", [Fault(name, "send this header field once")])


def check_mirrors(headers: RawHeaders, message: Message) -> None:
    """Raise HeaderMismatch if Mcp-Method or Mcp-Name say something else than the message.

    The specification lets programs on the way act by these fields alone, so they must be what was judged.
    """
    fields = dict(headers)
    _check_mirror("Mcp-Method", fields.get(b"mcp-method"), message.method)
    _check_mirror("Mcp-Name", fields.get(b"mcp-name"), _name(message))


def _name(message: Message) -> Json:
    """What Mcp-Name mirrors; None for a method that has no such field."""
    if message.method in (TOOL, PROMPT):
        return message.params.get("name")
    return message.params.get("uri") if message.method in _OF_RESOURCES else None


def _check_mirror(field: str, said: bytes | None, meant: Json) -> None:
    if said is None:
        return
    text = _decoded(said)
    if text is None or text != meant:
        raise HeaderMismatch(field, [Fault(field, "this is not what the body says")])


def _decoded(value: bytes) -> str | None:
    """The text of a mirrored field; None if its encoding is broken."""
    text = value.decode("latin-1")
    found = _ENCODED.fullmatch(text)
    if found is None:
        return text
    try:
        return base64.b64decode(found[1], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
