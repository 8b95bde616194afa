"""Policies: one API's operations and the scopes that each requires, read from YAML (docs/policy-format.md).

A policy is read whole or refused whole, with every fault named by line. What a row does not say is never guessed:
``needs`` must be written out, unknown members are refused, and a scope of an unknown resource type is a fault.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.operation import Operation, Table
from keyscope.policy.advice import Caution, Preset, read_cautions, read_presets
from keyscope.policy.collections import Collection, located, read_collections
from keyscope.policy.ends import with_signs
from keyscope.policy.handed import CredentialKind, read_credential_kinds
from keyscope.policy.rows import Names, read_operations
from keyscope.policy.source import Document, Place, near
from keyscope.policy.tools import read_tools

PLACEHOLDER = "keys"
"""The placeholder in Keyscope's own rows, so no API's resource type."""

MAX_BYTES = 4_000_000
_BUILTIN = files("keyscope.policy") / "builtin"
_OWN = "keyscope"
_REQUIRED = ("policy", "title", "resource_types")
_ROWS = ("operations", "mcp")
_OPTIONAL = ("key_management", "collections", "ends", "presets", "cautions", "credential_kinds")


class ResourceType(Struct, frozen=True):
    """Something that access is granted to, and what it covers, for people."""

    name: str
    description: str


class Policy(Struct, frozen=True, kw_only=True):
    """The operations of one API.

    ``key_management`` is the resource type whose level lets a restricted key use Keyscope's own key operations; None
    leaves those to standard keys. ``undocumented`` has the ids of the operations that the API's OpenAPI document is
    known not to list; ``undocumented_members`` has ``id path`` for members of a body that it is known not to describe.
    ``whole_lists`` has the ids of those whose reply is a list that belongs to what the path names, as a whole.
    """

    name: str
    title: str
    key_management: str | None
    resource_types: tuple[ResourceType, ...]
    operations: tuple[Operation, ...]
    undocumented: frozenset[str] = frozenset()
    undocumented_members: frozenset[str] = frozenset()
    whole_lists: frozenset[str] = frozenset()
    collections: tuple[Collection, ...] = ()
    presets: tuple[Preset, ...] = ()
    cautions: tuple[Caution, ...] = ()
    credential_kinds: tuple[CredentialKind, ...] = ()

    @property
    def resource_names(self) -> tuple[str, ...]:
        """The resource types, in the order of the file."""
        return tuple(resource.name for resource in self.resource_types)

    @property
    def shows_ends(self) -> bool:
        """Whether some call shows that an instance has ended to which keys can be bound."""
        return any(operation.sign is not None for operation in self.operations)

    def table(self) -> Table:
        """The operations, compiled for look-up."""
        return Table(self.operations)


def builtin_names() -> tuple[str, ...]:
    """The policies that come with Keyscope, for ``load``."""
    names = (entry.name.removesuffix(".yaml") for entry in _BUILTIN.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name for name in names if name != _OWN))


def load(source: str) -> Policy:
    """Read a built-in policy by its name, or a file. Raises ConfigurationError with every fault."""
    if source in builtin_names():
        return parse((_BUILTIN / f"{source}.yaml").read_text("utf-8"), f"the built-in policy {source}")
    return parse(read_text(source, "policy", builtin_names()), source)


def load_own() -> tuple[Operation, ...]:
    """Keyscope's own operations, with the placeholder resource type ``keys``."""
    return parse((_BUILTIN / f"{_OWN}.yaml").read_text("utf-8"), "Keyscope's own policy", own=True).operations


def parse(text: str, where: str, *, own: bool = False) -> Policy:
    """Read a policy from YAML text; ``where`` names it to people. Raises ConfigurationError with every fault."""
    document = Document(text, where)
    required, optional = _members(document.root.peek_names())
    top = document.root.record(required, optional)
    types = _resource_types(top.get("resource_types"), own)
    names = Names(tuple(resource.name for resource in types))
    rows = read_operations(top.get("operations"), names)
    tools = read_tools(top.get("mcp"), names)
    collections = read_collections(top.get("collections"), names)
    placed = tuple(located(row, collections) for row in rows.operations)
    policy = Policy(
        name=_text(top.get("policy")),
        title=_text(top.get("title")),
        key_management=_key_management(top.get("key_management"), names),
        resource_types=types,
        operations=(
            *with_signs(top.get("ends"), names, placed),
            *tools,
        ),
        undocumented=rows.undocumented | {tool.id for tool in tools},
        undocumented_members=rows.undocumented_members,
        whole_lists=rows.whole_lists,
        collections=collections,
        presets=read_presets(top.get("presets"), names),
        cautions=read_cautions(top.get("cautions"), names),
        credential_kinds=read_credential_kinds(top.get("credential_kinds")),
    )
    document.settle()
    return policy


def _members(present: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The members that a policy must have, and those that it may: operations, unless it speaks of MCP alone."""
    required = _REQUIRED if "mcp" in present else (*_REQUIRED, "operations")
    return required, (*_ROWS, *_OPTIONAL)


def read_text(source: str, kind: str, known: tuple[str, ...] = ()) -> str:
    """A text file, whole. Raises ConfigurationError with a sentence for each way that this can fail."""
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        hint = near(source, known) if known and not Path(source).exists() else "."
        reason = (error.strerror or str(error)).lower()
        message = f"The {kind} {source!r} cannot be read, {reason}{hint}"
        raise ConfigurationError(f"cannot read {source}", [Fault(source, message)]) from error
    if len(data) > MAX_BYTES:
        message = f"The {kind} has more than {MAX_BYTES} bytes: give another file."
        raise ConfigurationError(f"{source} is too large", [Fault(source, message)])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = Fault(source, f"The {kind} is not UTF-8, from byte {error.start} on: save it as UTF-8.")
        raise ConfigurationError(f"{source} is not UTF-8", [fault]) from error


def _text(place: Place | None) -> str:
    return (place.text() if place else None) or ""


def _key_management(place: Place | None, names: Names) -> str | None:
    return names.resource(place) if place and not place.is_null else None


def _resource_types(place: Place | None, own: bool) -> tuple[ResourceType, ...]:
    members = place.members() if place else {}
    if place and not members:
        place.fault("There are no resource types: name at least one, with a description.")
    for name, member in members.items():
        if not Names.is_name(name):
            member.fault(f"{name!r} is not a resource type: use a-z, 0-9 and _, a letter first.")
        elif name == PLACEHOLDER and not own:
            member.fault(f"{name!r} is the name of Keyscope's own placeholder: choose another.")
    return tuple(ResourceType(name, member.text() or "") for name, member in members.items())
