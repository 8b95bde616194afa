"""Errors on the wire: the one table from codes to statuses, and RFC 9457 problem details.

Beside the RFC's members every answer has ``code`` (stable) and ``message`` (the SDKs print it). A denial is never 409,
429 or 5xx, because the SDKs would send it again; but for one that waiting helps, which they are told how long to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from msgspec import Struct

from keyscope import errors
from keyscope.errors import Fault, KeyscopeError
from keyscope.model.objection import Objection
from keyscope.model.scope import Scope
from keyscope.wire.codec import encode

Header = tuple[bytes, bytes]

CONTENT_TYPE = b"application/problem+json"
NO_STORE: Header = (b"cache-control", b"no-store")
REALM = 'Bearer realm="keyscope"'

STATUSES: Mapping[type[KeyscopeError], HTTPStatus] = {
    errors.MissingCredential: HTTPStatus.UNAUTHORIZED,
    errors.InvalidToken: HTTPStatus.UNAUTHORIZED,
    errors.RepeatedCredential: HTTPStatus.BAD_REQUEST,
    errors.InsufficientScope: HTTPStatus.FORBIDDEN,
    errors.NotInPolicy: HTTPStatus.FORBIDDEN,
    errors.Restricted: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ExceedsParent: HTTPStatus.FORBIDDEN,
    errors.OutsideTree: HTTPStatus.FORBIDDEN,
    errors.StandardKeyRequired: HTTPStatus.FORBIDDEN,
    errors.DerivedKey: HTTPStatus.FORBIDDEN,
    errors.TooManyHeld: HTTPStatus.FORBIDDEN,
    errors.OwnOperation: HTTPStatus.FORBIDDEN,
    errors.PeerNotTrusted: HTTPStatus.FORBIDDEN,
    errors.OriginNotTrusted: HTTPStatus.FORBIDDEN,
    errors.CrossSite: HTTPStatus.FORBIDDEN,
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.RuleViolation: HTTPStatus.BAD_REQUEST,
    errors.BadTarget: HTTPStatus.BAD_REQUEST,
    errors.HeaderMismatch: HTTPStatus.BAD_REQUEST,
    errors.TargetTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.BadSignature: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.TimedOut: HTTPStatus.BAD_REQUEST,  # not 408: the SDKs would resend what was too slow
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.UnknownReceipt: HTTPStatus.NOT_FOUND,
    errors.UnknownSession: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.NotImplementedMethod: HTTPStatus.NOT_IMPLEMENTED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.HoldSettled: HTTPStatus.CONFLICT,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotHeard: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.AuditUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CountersUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotRecorded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyReports: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SigningKeysUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.AuthorityUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.AuthorityRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamUnreachable: HTTPStatus.BAD_GATEWAY,
    errors.UpstreamTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    errors.UpstreamAnswer: HTTPStatus.BAD_GATEWAY,
    errors.NoUpstream: HTTPStatus.BAD_GATEWAY,
    errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# Sending these again as they are cannot help: 409, 501 and some 5xx would otherwise be retried by the SDKs.
_NO_RETRY = (
    errors.Conflict,
    errors.HoldSettled,
    errors.NotImplementedMethod,
    errors.NoUpstream,
    errors.NotRecorded,
)


class Answer(Struct, frozen=True):
    """A whole local answer."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


class Refusal(Struct, frozen=True, kw_only=True):
    """What a refusal adds to its constant message: the operation, what is missing, and how to get it."""

    message: str
    operation: str | None = None
    missing: tuple[Scope, ...] = ()
    objections: tuple[Objection, ...] = ()
    next: tuple[str, ...] = ()
    retry_after_s: int | None = None


def answer(
    error: KeyscopeError,
    refusal: Refusal | None = None,
    *,
    allow: Sequence[str] = (),
    status: HTTPStatus | None = None,
) -> Answer:
    """The answer to an error. Nothing of ``error.detail`` is in it.

    ``allow`` goes with 405. ``status`` is for dialects that understand few statuses; otherwise the table has it.
    """
    status = status or STATUSES[type(error)]
    body = encode(_members(error, status, refusal))
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", str(len(body)).encode()),
        NO_STORE,
        *_challenge(error, refusal),
    ]
    if isinstance(error, _NO_RETRY):
        headers.append((b"x-should-retry", b"false"))
    elif isinstance(error, errors.Unavailable):
        headers.append((b"retry-after", b"1"))
    if refusal is not None and refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if allow:
        headers.append((b"allow", ", ".join(allow).encode()))
    return Answer(status, tuple(headers), body)


def _members(error: KeyscopeError, status: HTTPStatus, refusal: Refusal | None) -> dict[str, object]:
    message = refusal.message if refusal is not None else _message(error)
    members: dict[str, object] = {
        "type": f"urn:keyscope:error:{error.code}",
        "title": error.message,
        "status": int(status),
        "detail": message,
        "code": error.code,
        "message": message,
    }
    if error.faults:
        members["faults"] = [fault._asdict() for fault in error.faults]
    if refusal is not None:
        members["operation"] = refusal.operation
        members["missing_scopes"] = [str(scope) for scope in refusal.missing]
        if refusal.objections:
            members["objections"] = [_objection(objection) for objection in refusal.objections]
        members["next"] = list(refusal.next)
    return members


def _objection(objection: Objection) -> dict[str, str]:
    return {
        "reason": objection.reason.value,
        "holder": objection.holder,
        "message": objection.message,
        "remedy": objection.remedy,
    }


def _message(error: KeyscopeError) -> str:
    """The constant sentence, and the faults, which hold only paths and advice."""
    return " ".join([error.message, *(_sentence(fault) for fault in error.faults[:5])])


def _sentence(fault: Fault) -> str:
    return f"{fault.path}: {fault.message}."


def _challenge(error: KeyscopeError, refusal: Refusal | None) -> list[Header]:
    """RFC 6750 section 3: a 401 carries a challenge; without a credential it has no error code."""
    if isinstance(error, errors.MissingCredential):
        value = REALM
    elif isinstance(error, errors.RepeatedCredential):
        value = f'{REALM}, error="invalid_request"'
    elif isinstance(error, errors.InvalidToken):
        value = f'{REALM}, error="invalid_token"'
    elif isinstance(error, errors.InsufficientScope):
        scope = " ".join(map(str, refusal.missing)) if refusal is not None else ""
        value = f'{REALM}, error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
    else:
        return []
    return [(b"www-authenticate", value.encode("ascii"))]
