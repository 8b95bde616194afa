"""Lists of operations, one a line, and traces: JSON Lines, one call a line, as an export of the audit has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from keyscope.errors import Fault
from keyscope.model.scope import Scope
from keyscope.plan.calls import Attempt, BadFile, attempt

_MOST_FAULTS = 20
_CALLS = "call."
_EXAMPLE = 'write an object like {"method": "GET", "path": "/v1/devboxes"}, with a body if there is one'


def read_list(text: str) -> list[Attempt]:
    """``METHOD /path`` or an operation id a line; ``#`` starts a comment. Raises BadFile with line numbers."""
    faults: list[Fault] = []
    found: list[Attempt] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            found += _listed(words, f"line {number}", faults)
    return _whole(found, faults)


def _listed(words: list[str], where: str, faults: list[Fault]) -> Iterator[Attempt]:
    if len(words) == 1 and not words[0].startswith("/"):
        yield Attempt(operation=words[0])
    elif len(words) == 2 and words[1].startswith("/"):
        yield attempt(words[0], words[1].partition("?")[0])
    else:
        faults.append(Fault(where, "write an operation id, or a method, a space and a path: GET /v1/devboxes"))


def read_trace(text: str) -> list[Attempt]:
    """One JSON object a line, with ``method`` and ``path`` or an ``operation``, and perhaps a ``body``.

    Lines of an audit export that are about something else than a call are left out. Raises BadFile with line numbers.
    """
    faults: list[Fault] = []
    found: list[Attempt] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            found += _traced(line, f"line {number}", faults)
    return _whole(found, faults)


def _traced(line: str, where: str, faults: list[Fault]) -> Iterator[Attempt]:
    try:
        call = msgspec.json.decode(line)
        if not isinstance(call, dict):
            raise TypeError
        if _is_about_a_call(call):
            yield _attempted(call)
    except (msgspec.DecodeError, UnicodeEncodeError):
        faults.append(Fault(where, "this is not JSON"))
    except (KeyError, TypeError, ValueError):
        faults.append(
            Fault(where, 'write an object like {"method": "GET", "path": "/v1/devboxes"}, with a body if any')
        )


def _is_about_a_call(call: dict[str, Any]) -> bool:
    """Whether it is one of a trace, or an entry of the audit about a call that is known (a flood is only counted)."""
    kind = call.get("kind")
    if kind is None:
        return True
    is_known = call.get("operation") is not None or call.get("method") is not None
    return isinstance(kind, str) and kind.startswith(_CALLS) and is_known


def _attempted(call: dict[str, Any]) -> Attempt:
    more = tuple(map(Scope.parse, call.get("missing") or ()))
    body = call.get("body", UNSET)
    if call.get("method") is None and call.get("path") is None:
        return Attempt(operation=_text(call["operation"]), body=body, more=more)
    return attempt(_text(call["method"]), _text(call["path"]).partition("?")[0], body, more)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _whole(found: list[Attempt], faults: list[Fault]) -> list[Attempt]:
    if faults:
        raise BadFile(faults[:_MOST_FAULTS])
    if not found:
        raise BadFile([Fault("line 1", "there is no call in it")])
    return found
