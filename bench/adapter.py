"""Any verifier over HTTP, described in a file: how it is asked about a key, and what counts as its yes.

The file is JSON. In its path, headers and body ``{key}`` stands for the key that is asked about, and ``{caller}`` for
the credential of the one who asks; every other brace is itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

ADAPTERS = Path(__file__).parent / "adapters"
_CALLER = "{caller}"


class AdapterError(Exception):
    """The adapter file cannot be used: which, and why."""


class Yes(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer with this status, and in its JSON body, where a member is named (``data.valid``), this value."""

    status: int
    member: str = ""
    is_: Any = msgspec.field(default=None, name="is")

    def said(self, status: int, body: bytes) -> bool:
        if status != self.status:
            return False
        return not self.member or _member(body, self.member.split(".")) == self.is_

    @property
    def pattern(self) -> str:
        """A Lua pattern for the member, for a look at full speed."""
        if not self.member:
            return ""
        name, value = self.member.rpartition(".")[2], msgspec.json.encode(self.is_).decode()
        return f"{_lua(msgspec.json.encode(name).decode())}%s*:%s*{_lua(value)}"


class Adapter(Struct, frozen=True, forbid_unknown_fields=True):
    """How one verifier is asked. ``tried`` says whether these words were ever sent to a running one."""

    name: str
    documented: str
    proves: str
    tried: bool
    method: str
    path: str
    yes: Yes
    headers: dict[str, str] = {}
    body: Any = None

    @property
    def needs_caller(self) -> bool:
        return _CALLER.encode() in msgspec.json.encode(self)

    def request(self, host: str, key: str, caller: str) -> bytes:
        """The request for a key, as it is sent."""
        values = {"{key}": key, _CALLER: caller}
        content = b"" if self.body is None else msgspec.json.encode(_filled(self.body, values))
        fields = {"Host": host, **self.headers} | ({"Content-Length": str(len(content))} if content else {})
        lines = [f"{self.method} {_filled(self.path, values)} HTTP/1.1"]
        lines += [f"{name}: {_filled(value, values)}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode() + content


def read(name: str) -> Adapter:
    """An adapter that comes with the bench, by its name, or a file. Raises AdapterError."""
    path = ADAPTERS / f"{name}.json" if name in names() else Path(name)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Adapter)
    except (OSError, msgspec.DecodeError) as error:
        raise AdapterError(f"adapter {name}: {error}. There are {', '.join(names())}, or give a file") from None


def names() -> list[str]:
    return sorted(path.stem for path in ADAPTERS.glob("*.json"))


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """The value with its placeholders filled in, in every string of it."""
    if isinstance(value, dict):
        return {name: _filled(member, values) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, values) for member in value]
    if not isinstance(value, str):
        return value
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], value)


def _member(body: bytes, path: list[str]) -> Any:
    """The member of a JSON body, None where it is not there."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _lua(text: str) -> str:
    """The text as a Lua pattern that stands for itself."""
    return re.sub(r"[^A-Za-z0-9_\"]", lambda found: f"%{found[0]}", text)
