"""What callers may send. Unknown members, wrong types and unknown words are faults, all of them reported at once.

The models are Pydantic's, in strict mode: ``true`` is no number and ``"1"`` is no integer. The resource types are the
policy's, so they are checked against the validation context.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from keyscope.api.restricting import RestrictionSet
from keyscope.api.restricting import faults_of as restriction_faults
from keyscope.authority.webhooks import KINDS
from keyscope.errors import BadRequest, Fault
from keyscope.model.body import Json
from keyscope.model.derived import MAX_LENGTH
from keyscope.model.run import LEAST_LEASE_MS, MOST_LEASE_MS, Run, is_instance_id
from keyscope.model.scope import WIRE_LEVEL_PREFIX, WIRE_TYPE_PREFIX, Level, Scope
from keyscope.webhooks.address import MOST_CHARACTERS
from keyscope.wire.codec import decode

WebhookKind = Literal[
    "key.minted",
    "key.revoked",
    "key.dead_used",
    "hold.created",
    "hold.approved",
    "hold.refused",
    "hold.ended",
    "key.first_used",
    "key.expiring",
    "key.expired",
]
MAX_NAME = 200
MAX_REASON = 500
MAX_WHERE = 2000
MAX_SCOPES = 64
LEAST_IDLE_MS = 3_600_000
"""Uses are written down a few seconds late, so a shorter time could stop a key that is in use."""
MAX_CHECKS = 1000
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, Unix time."""
_SECONDS_BELOW = 100_000_000_000

_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _one_line(text: str) -> str:
    # Names stand in logs, terminals and consoles: no escape sequence, no forged line, no reversed text.
    if any(unicodedata.category(char) in _UNPRINTABLE or char in _BIDI for char in text):
        raise ValueError("control characters, line breaks and bidirectional marks are not allowed")
    return text


def _in_future(value: int, info: ValidationInfo) -> int:
    now_ms = (info.context or {}).get("now_ms", 0)
    if value <= now_ms:
        hint = " (this looks like seconds; use milliseconds)" if 0 < value < _SECONDS_BELOW else ""
        raise ValueError(f"the time is not in the future{hint}; leave it out for a key that does not expire")
    return value


def _known_type(value: str, info: ValidationInfo) -> str:
    known = (info.context or {}).get("resource_types", ())
    if value not in known:
        raise ValueError(f"unknown resource type; use one of {', '.join(known)}")
    return value


def _known_level(value: str) -> str:
    if value not in _LEVELS:
        raise ValueError(f"unknown access level; use one of {', '.join(_LEVELS)}")
    return value


def _absent() -> Any:
    """The default of a member that may be left out, but not be null."""
    return Field(default=None)


_LEVELS = {level.wire: level for level in Level}

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_one_line)]
Reason = Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_one_line)]
KeyId = Annotated[str, Field(min_length=1, max_length=64)]
ExpiresAt = Annotated[int, Field(le=LATEST_MS), AfterValidator(_in_future)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class ScopeEntry(_Strict):
    """One scope, in Runloop's words."""

    resource_type: Annotated[str, AfterValidator(_known_type)]
    access_level: Annotated[str, AfterValidator(_known_level), Field(json_schema_extra={"enum": list(_LEVELS)})]

    def scope(self) -> Scope:
        resource = self.resource_type.removeprefix(WIRE_TYPE_PREFIX).lower()
        return Scope(resource, Level[self.access_level.removeprefix(WIRE_LEVEL_PREFIX)])


def _one_level_each(entries: list[ScopeEntry]) -> list[ScopeEntry]:
    levels: dict[str, str] = {}
    for entry in entries:
        if levels.setdefault(entry.resource_type, entry.access_level) != entry.access_level:
            raise ValueError(f"{entry.resource_type} stands twice with different levels")
    return entries


def _an_id(text: str) -> str:
    if not is_instance_id(text):
        raise ValueError("this is not the id of a devbox; give one as the API shows it, like dbx_31CYd5LLFbBxst8mqnUjO")
    return text


class BindToRun(_Strict):
    """What the key dies with: a devbox, a lease that it has to renew every so many milliseconds, or both."""

    devbox_id: Annotated[str, Field(max_length=256), AfterValidator(_an_id)] = _absent()
    lease_ms: Annotated[int, Field(ge=LEAST_LEASE_MS, le=MOST_LEASE_MS)] = _absent()

    @model_validator(mode="after")
    def _something(self) -> BindToRun:
        if self.devbox_id is None and self.lease_ms is None:
            raise ValueError("say what the key is bound to: devbox_id, lease_ms or both")
        return self

    def run(self) -> Run:
        return Run(devbox_id=self.devbox_id, lease_ms=self.lease_ms)


Scopes = Annotated[list[ScopeEntry], Field(max_length=MAX_SCOPES), AfterValidator(_one_level_each)]


class CreateApiKey(_Strict):
    """A standard key: full access to its account."""

    name: Name = _absent()
    expires_at_ms: ExpiresAt | None = None


class CreateRestrictedKey(CreateApiKey):
    """A restricted key. No scopes means no access. ``preset`` stands for what the policy has under that name.

    ``run`` is what the key dies with.
    """

    scopes: Scopes = _absent()
    preset: Annotated[str, Field(max_length=64)] = _absent()
    restrictions: RestrictionSet = None
    run: BindToRun = _absent()

    @model_validator(mode="after")
    def _scopes_or_preset(self) -> CreateRestrictedKey:
        if self.scopes is not None and self.preset is not None:
            raise ValueError("scopes and preset do not go together: give one of them")
        return self


class UpdateApiKey(_Strict):
    """What to change; what is left out stays. ``expires_at_ms`` null removes the expiry."""

    name: Name = _absent()
    expires_at_ms: ExpiresAt | None = None


class UpdateRestrictedKey(UpdateApiKey):
    """What to change; what is left out stays. ``scopes`` and ``restrictions`` replace all there are."""

    scopes: Scopes = _absent()
    restrictions: RestrictionSet = None


class RevokeKey(_Strict):
    """Why the key is revoked, for the record."""

    reason: Reason | None = None


class ApproveHold(_Strict):
    """Why, for the record, and the digest of the call that was read: 64 hexadecimal digits."""

    reason: Reason | None = None
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Nothing(_Strict):
    """An empty object, or no body."""


class LintScopes(_Strict):
    """Scopes to remark upon, or a preset, and restrictions beside them."""

    scopes: Scopes = _absent()
    preset: Annotated[str, Field(max_length=64)] = _absent()
    restrictions: RestrictionSet = None

    @model_validator(mode="after")
    def _one_of_both(self) -> LintScopes:
        if (self.scopes is None) == (self.preset is None):
            raise ValueError("give either scopes or preset")
        return self


class ReplaceRules(_Strict):
    """All rules of the account on its keys; what is left out asks for nothing. ``_ms`` are milliseconds."""

    max_lifetime_ms: Annotated[int, Field(ge=1000, le=LATEST_MS)] | None = None
    require_expiry: bool = False
    max_idle_ms: Annotated[int, Field(ge=LEAST_IDLE_MS, le=LATEST_MS)] | None = None
    allowed_scopes: Scopes | None = None
    name_pattern: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)] | None = None


class AddWebhook(_Strict):
    """Where messages go, and of what kinds; left out, of every kind."""

    url: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
    kinds: Annotated[list[WebhookKind], Field(min_length=1, max_length=len(KINDS))] | None = None


class ObserveKey(_Strict):
    """Until when the key is observed, Unix milliseconds; null ends it."""

    until_ms: ExpiresAt | None


class NarrowKey(_Strict):
    """All scopes that the key is left with, each one that it has; with ``may_add`` also others, as in an update."""

    scopes: Scopes
    may_add: bool = False


class RotateKey(_Strict):
    """How long the old secret goes on working, in milliseconds; 0 ends it at once."""

    overlap_ms: Annotated[int, Field(ge=0, le=LATEST_MS)] = 0


class EndKeys(_Strict):
    """Which keys to revoke. ``tree`` is a key id, for that key and all below it; the others are added up (and)."""

    tree: KeyId = _absent()
    created_by: KeyId = _absent()
    name_prefix: Name = _absent()
    all_restricted: bool = False
    dry_run: bool = False
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_selector(self) -> EndKeys:
        others = self.created_by is not None or self.name_prefix is not None or self.all_restricted
        if not others and self.tree is None:
            raise ValueError("say which keys: tree, created_by, name_prefix or all_restricted")
        if others and self.tree is not None:
            raise ValueError("tree stands alone: leave out the other selectors")
        return self


class VerifyKey(_Strict):
    """A key to verify, and optionally a call, with its JSON body and its caller's address, or scopes to judge it by.

    ``counts`` false: the question is no use of the key, nor of a dead one.
    """

    key: Annotated[str, Field(max_length=MAX_LENGTH)]
    counts: bool = True
    method: Annotated[str, Field(max_length=16)] = _absent()
    path: Annotated[str, Field(max_length=8192)] = _absent()
    peer: Annotated[str, Field(max_length=45)] = _absent()
    body: JsonValue = None
    scopes: Scopes = _absent()

    @model_validator(mode="after")
    def _call_whole(self) -> VerifyKey:
        if (self.method is None) != (self.path is None):
            raise ValueError("method and path go together")
        return self


class VerifyKeys(_Strict):
    """Several questions of ``/keyscope/verify`` at once, answered in the same order."""

    checks: Annotated[list[VerifyKey], Field(min_length=1, max_length=MAX_CHECKS)]


class LeakedKey(_Strict):
    """A key's text that was found where it should not be, and where."""

    key: Annotated[str, Field(max_length=MAX_LENGTH)]
    where: Annotated[str, Field(max_length=MAX_WHERE), AfterValidator(_one_line)] | None = None


class ReportLeaks(_Strict):
    """Leaked keys, to be ended."""

    leaks: Annotated[list[LeakedKey], Field(min_length=1, max_length=MAX_CHECKS)]


M = TypeVar("M", bound=BaseModel)


def scopes_of(entries: list[ScopeEntry] | None) -> tuple[Scope, ...]:
    """The scopes as asked for, each once."""
    return tuple(dict.fromkeys(entry.scope() for entry in entries or ()))


def parse(raw: bytes, model: type[M], context: dict[str, object]) -> M:
    """Read a JSON body, absent or empty for an empty object. Raises BadRequest with every fault and its JSON path."""
    value, faults = decode(raw) if raw else ({}, [])
    return checked(value, faults, model, context)


def checked(value: Json, faults: list[Fault], model: type[M], context: dict[str, object]) -> M:
    """A decoded body as a value. Raises BadRequest with every fault, those found in decoding included."""
    try:
        parsed = model.model_validate(value, context=context)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            faults += restriction_faults(detail) or (_fault(detail),)
    if faults:
        raise BadRequest("body", faults)
    return parsed


def _fault(detail: ErrorDetails) -> Fault:
    path = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown member; leave it out"
    return Fault(path, message)


def _shown(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()[:64]
