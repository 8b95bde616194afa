"""A YAML document as places that know their line, so that a fault can name where it stands.

Nothing is constructed from the text: tags are read and never obeyed, keys are never merged, and a key that stands
twice is a fault. Faults are collected, not raised, so that one reading names all of them; ``settle`` raises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

import yaml

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.body import Json

_TAG = "tag:yaml.org,2002:"
_KINDS = {"map": "a mapping", "seq": "a list", "str": "text", "bool": "true or false", "null": "empty"}
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 100


class Loader(_BASE):  # type: ignore[misc]  # the C loader where there is one, typed as Any
    """PyYAML's safe loader, with a bound on nesting: without one, the C composer overflows the stack and crashes."""

    depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {MAX_DEPTH} deep",
                problem_mark=current_node.start_mark if current_node else None,
            )
        super().descend_resolver(current_node, current_index)

    def ascend_resolver(self) -> None:
        self.depth -= 1
        super().ascend_resolver()


class Document:
    """One YAML text and the faults found in it so far."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.faults: list[Fault] = []
        self.root = Place(self, _compose(text, where), "")

    def settle(self) -> None:
        """Raise ConfigurationError with every fault, if there is any."""
        if self.faults:
            count = "one fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
            raise ConfigurationError(f"{self.where} has {count}", self.faults)


class Place:
    """One node of the document. A reader of the wrong kind of node notes a fault and returns None or nothing."""

    __slots__ = ("_document", "_node", "path")

    def __init__(self, document: Document, node: yaml.Node, path: str) -> None:
        self._document = document
        self._node = node
        self.path = path

    def fault(self, message: str) -> None:
        """Note what is wrong here; ``message`` is a sentence that says what to do."""
        line = f"line {self._node.start_mark.line + 1}"
        self._document.faults.append(Fault(f"{line}, {self.path}" if self.path else line, message))

    @property
    def is_null(self) -> bool:
        return self._kind == "null"

    @property
    def is_list(self) -> bool:
        return self._kind == "seq"

    @property
    def is_mapping(self) -> bool:
        return self._kind == "map"

    def members(self, called: str = "") -> dict[str, Place]:
        """The members of a mapping, by name. ``called`` replaces this place's path in those of its members."""
        found: dict[str, Place] = {}
        if not self._is("map"):
            return found
        for key, value in self._node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            member = Place(self._document, value, _join(called or self.path, name))
            if _kind(key) != "str":
                Place(self._document, key, member.path).fault(f"A member's name is text: quote {name!r}.")
            elif name in found:
                Place(self._document, key, member.path).fault(f"{name!r} stands twice: remove one of the two.")
            else:
                found[name] = member
        return found

    def record(self, required: Collection[str], optional: Collection[str], called: str = "") -> dict[str, Place]:
        """The members of a mapping that may have these members and no other."""
        found = self.members(called)
        for name in sorted(found.keys() - {*required, *optional}):
            found.pop(name).fault(f"{name!r} is not a member here{near(name, [*required, *optional])}")
        if self._kind == "map":
            for name in [name for name in required if name not in found]:
                self.fault(f"{name!r} is missing: add it.")
        return found

    def items(self) -> Iterator[Place]:
        """The items of a list."""
        items = self._node.value if self._is("seq") else ()
        return (Place(self._document, item, f"{self.path}[{index}]") for index, item in enumerate(items))

    def text(self) -> str | None:
        """The text here, or None after noting that there is none."""
        if not self._is("str"):
            return None
        value = str(self._node.value)
        if not value.strip():
            self.fault("This is empty: write some text.")
            return None
        return value.strip()

    def plain(self) -> Json:
        """The value here as JSON has it: mappings, lists, text, whole numbers, truth values and null."""
        if self.is_mapping:
            return {name: member.plain() for name, member in self.members().items()}
        if self.is_list:
            return [item.plain() for item in self.items()]
        if self._kind == "bool":
            return self.flag()
        text = str(self._node.value)
        return None if self.is_null else int(text) if self._kind == "int" and text.isdecimal() else text

    def peek(self, name: str) -> str | None:
        """The text of a member, without noting any fault: for naming a place to people."""
        members = self._node.value if self._kind == "map" else ()
        texts = (value.value for key, value in members if key.value == name and _kind(value) == "str")
        return next(texts, None)

    def peek_names(self) -> frozenset[str]:
        """The names of the members, without noting any fault."""
        members = self._node.value if self._kind == "map" else ()
        return frozenset(str(key.value) for key, _ in members)

    def flag(self) -> bool:
        """The truth value here; False after noting that there is none."""
        return self._is("bool") and self._node.value.lower() in ("true", "yes", "on")

    @property
    def _kind(self) -> str:
        return _kind(self._node)

    def _is(self, kind: str) -> bool:
        if self._kind == kind:
            return True
        hint = " Put it in quotes." if kind == "str" and isinstance(self._node, yaml.ScalarNode) else ""
        self.fault(f"This should be {_KINDS[kind]}, not {_KINDS.get(self._kind, self._kind)}.{hint}")
        return False


def near(name: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them."""
    by_lower = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f": did you mean {by_lower[close[0]]!r}?"
    return f": use one of {', '.join(sorted(known))}."


def _compose(text: str, where: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where} is not usable YAML", [_syntax(error)]) from error
    if node is None:
        raise ConfigurationError(f"{where} is empty", [Fault("line 1", "The file is empty: write a policy in it.")])
    return node


def _syntax(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    return Fault(place, f"This is not usable YAML: {problem}.")


def _kind(node: yaml.Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
