"""Every error Keyscope raises on purpose, as one tree. A child is a true subset of its parent.

    KeyscopeError
    ├── Refused                     the caller may not, or has not shown who they are
    │   ├── Unauthenticated         no usable credential
    │   │   ├── MissingCredential
    │   │   ├── InvalidToken        malformed, unknown, expired, suspended or revoked: one answer for all
    │   │   └── RepeatedCredential  more than one credential in one request
    │   └── Forbidden               known, and not allowed
    │       ├── InsufficientScope
    │       ├── NotInPolicy
    │       ├── Restricted          the key has the scopes, and a restriction of its line objects
    │       ├── RateLimited         the key may be used only so often, or by so many at once, and not now
    │       ├── ExceedsParent       a key may not mint or update into more than itself
    │       ├── OutsideTree         a restricted key manages only what it minted
    │       ├── StandardKeyRequired
    │       ├── DerivedKey          a key that its holder derived manages no keys
    │       ├── TooManyHeld         as many calls of the key wait for approval as may
    │       ├── OwnOperation        asked through a proxy for what Keyscope answers itself
    │       ├── PeerNotTrusted      a forward-auth question from an address that the settings do not name
    │       ├── OriginNotTrusted    a page of another origin asks the MCP gate
    │       └── CrossSite           a form of the console that no page of the console sent
    ├── BadRequest                  the request itself is wrong; ``faults`` names every place
    │   ├── RuleViolation           against the account's own rules on its keys
    │   ├── BadTarget               the request target is not in canonical form
    │   ├── HeaderMismatch          header fields that say something else than the body
    │   ├── BadSignature            a report that is not signed as it must be
    │   ├── UnsupportedMediaType
    │   ├── TooLarge
    │   │   ├── TargetTooLong
    │   │   └── HeadersTooLarge
    │   ├── ExpectationFailed       an Expect other than 100-continue
    │   └── TimedOut                the request did not arrive in time
    ├── NotFound
    │   ├── UnknownReceipt          of no change of this database
    │   └── UnknownSession          no MCP session of this key
    ├── MethodNotAllowed
    ├── NotImplementedMethod
    ├── Conflict                    the same request id with another body
    ├── HoldSettled                 a held call that was decided before, or whose time is over
    ├── Unavailable                 the authority cannot decide; the gate stays closed
    │   ├── StoreUnavailable
    │   ├── NotHeard                a node has not heard from the database of all nodes for too long
    │   ├── AuditUnavailable        what was decided cannot be written down
    │   ├── CountersUnavailable     how often a key was used cannot be counted
    │   ├── NotRecorded             what a key made cannot be written down as its own
    │   ├── Draining                this server is about to end: readiness alone says so
    │   ├── TooManyStreams          as many follow the changes as one process serves
    │   ├── TooManyReports          as many reports of leaks are read as one process takes at once
    │   ├── SigningKeysUnavailable  the public keys of who signs reports cannot be had
    │   └── AuthorityUnavailable    a Keyscope server that is asked over the network does not answer
    │       └── AuthorityRefused    it does not accept the key of the asking program
    ├── UpstreamFailure             the API behind the gate
    │   ├── UpstreamUnreachable
    │   ├── UpstreamTimeout
    │   ├── UpstreamAnswer          it answered with something that must not go on
    │   └── NoUpstream
    ├── ConfigurationError          found at start; ``faults`` names every one
    └── InternalError               a fault of Keyscope's own

A code is stable and a message is a constant that may be shown to anyone. ``detail`` is for logs only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong with an input: where (a JSON path, an option, a line) and what to do about it."""

    path: str
    message: str


class KeyscopeError(Exception):
    """The root. ``code`` is stable; ``message`` is a public constant."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = "Keyscope refused this."

    def __init__(self, detail: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail or self.message)
        self.detail = detail
        self.faults = tuple(faults)


class Refused(KeyscopeError):
    """The caller may not."""

    code = "refused"
    message = "The request was refused."


class Unauthenticated(Refused):
    """There is no usable credential (RFC 6750 section 3)."""

    code = "unauthenticated"
    message = "This request needs a key."


class MissingCredential(Unauthenticated):
    """No credential at all: the challenge carries no error code (RFC 6750 section 3.1)."""

    code = "missing_credential"
    message = "This request needs a key. Send the header: Authorization: Bearer <key>."


class InvalidToken(Unauthenticated):
    """Malformed, unknown, expired, suspended and revoked look the same, so that an answer tells nothing about a key."""

    code = "invalid_token"
    message = "The key is not valid: it is malformed, unknown, expired, suspended or revoked."


class RepeatedCredential(Unauthenticated):
    """Two credentials in one request (RFC 6750 section 2): never pick one."""

    code = "repeated_credential"
    message = "Send exactly one Authorization header with exactly one credential."


class Forbidden(Refused):
    """The key is good and does not cover this."""

    code = "forbidden"
    message = "The key may not do this."


class InsufficientScope(Forbidden):
    """Scopes are missing; the answer names them (RFC 6750 section 3.1)."""

    code = "insufficient_scope"
    message = "The key does not have the scopes that this operation needs."


class NotInPolicy(Forbidden):
    """Absent means no: a restricted key reaches only operations that the policy lists."""

    code = "not_in_policy"
    message = "This operation is not in the policy, so restricted keys may not call it."


class Restricted(Forbidden):
    """A restriction of the key, or of one above it, objects; the answer says which and what would help."""

    code = "restricted"
    message = "The key is restricted, and one of its restrictions does not allow this call."


class RateLimited(Forbidden):
    """RFC 6585 section 4: the same call may pass later, and the answer says after how many seconds to try."""

    code = "rate_limited"
    message = "The key is used too often, or by too many calls at once. Try again later."


class ExceedsParent(Forbidden):
    """Law 2: a key never mints or updates into a key that can do more or live longer than itself."""

    code = "exceeds_parent"
    message = "A key cannot give what it does not have: neither more scopes nor a later expiry."


class OutsideTree(Forbidden):
    """A restricted key manages itself and the keys that it minted, no others."""

    code = "outside_tree"
    message = "A restricted key may change or revoke only itself and keys that it minted. Use a standard key (ak_)."


class StandardKeyRequired(Forbidden):
    """Only a standard (ak_) key may do this."""

    code = "standard_key_required"
    message = "Only a standard key (ak_) may do this."


class DerivedKey(Forbidden):
    """What a derived key minted or changed would outlive it, so it manages nothing."""

    code = "derived_key"
    message = "A derived key manages no keys. Derive a narrower one from it, or use the key that it came from."


class TooManyHeld(Forbidden):
    """Whoever approves must be able to read what waits."""

    code = "too_many_held"
    message = "As many calls of this key are held as may be. Have some of them approved or refused first."


class OwnOperation(Forbidden):
    """A proxy asks about one of Keyscope's own paths. Sent on, it would act on the upstream with the upstream's key."""

    code = "own_operation"
    message = "Keyscope answers this path itself. Send the call to Keyscope's own address, not through the proxy."


class PeerNotTrusted(Forbidden):
    """Forward-auth is answered only to the peers that the settings name."""

    code = "peer_not_trusted"
    message = "Forward-auth is not answered to this address. Name the proxy in KEYSCOPE_FORWARD_AUTH_PEERS."


class OriginNotTrusted(Forbidden):
    """A browser's page of another origin (MCP, streamable HTTP: servers validate Origin against DNS rebinding)."""

    code = "origin_not_trusted"
    message = "The MCP gate answers no pages of other origins. Call it without an Origin header."


class CrossSite(Forbidden):
    """Another site's page made the browser send it, or the page that it comes from is of an earlier session."""

    code = "cross_site"
    message = "This was not sent by a page of this session of the console. Go back, load the page again, and repeat it."


class BadRequest(KeyscopeError):
    """The request is malformed; ``faults`` lists every place."""

    code = "invalid_request"
    message = "The request is not valid."


class RuleViolation(BadRequest):
    """The account's rules do not allow such a key."""

    code = "rule_violation"
    message = "The rules of this account do not allow such a key."


class BadTarget(BadRequest):
    """The request target is not in canonical form; it is refused rather than repaired."""

    code = "invalid_target"
    message = "The request target is not in canonical form. Send the plain path, without dot segments or odd encodings."


class HeaderMismatch(BadRequest):
    """Mcp-Method or Mcp-Name contradicts the message: a program that reads the one would not do what was judged."""

    code = "header_mismatch"
    message = "The header fields of this MCP request do not say what its body says."


class BadSignature(BadRequest):
    """A header is missing, the public key is not known, or it did not sign this body: one answer for all."""

    code = "invalid_signature"
    message = "The report is not signed by a public key that is known here."


class UnsupportedMediaType(BadRequest):
    """The body must be JSON, in UTF-8, without a content coding."""

    code = "unsupported_media_type"
    message = "Send the body as application/json, in UTF-8, without Content-Encoding."


class TooLarge(BadRequest):
    """The body, a header or the target is over its limit."""

    code = "too_large"
    message = "The request body is larger than this operation takes."


class TargetTooLong(TooLarge):
    """The request target is over 8,192 bytes."""

    code = "target_too_long"
    message = "The request target is longer than 8192 bytes."


class HeadersTooLarge(TooLarge):
    """The header fields are over the limit of count or size."""

    code = "headers_too_large"
    message = "The request has too many header fields, or they are too large."


class ExpectationFailed(BadRequest):
    """An Expect header with anything but ``100-continue`` (RFC 9110 section 10.1.1)."""

    code = "expectation_failed"
    message = "The only expectation that can be met is 100-continue."


class TimedOut(BadRequest):
    """The body did not arrive within the limit."""

    code = "request_timeout"
    message = "The request body did not arrive in time."


class NotFound(KeyscopeError):
    """No such thing in this account."""

    code = "not_found"
    message = "There is no such thing in this account."


class UnknownReceipt(NotFound):
    """A receipt of another database, of another life of this one, or of none. Only servers that are nodes give any."""

    code = "unknown_receipt"
    message = (
        "There is no such receipt here; another server may have taken over since, or the database was restored. "
        "Send the change again: it does nothing twice."
    )


class UnknownSession(NotFound):
    """A session is the key's that opened it; of others' nothing is said. A client then starts a new one."""

    code = "unknown_session"
    message = "This key has no such MCP session here. Start a new one with initialize."


class MethodNotAllowed(KeyscopeError):
    """The path exists; the method does not. ``faults`` carries the allowed methods."""

    code = "method_not_allowed"
    message = "This path does not take this method."


class NotImplementedMethod(KeyscopeError):
    """A method that Keyscope does not know (RFC 9110 section 15.6.2)."""

    code = "unknown_method"
    message = "Keyscope does not know this method."


class Conflict(KeyscopeError):
    """The same request id was used with another body."""

    code = "idempotency_conflict"
    message = "This request id was already used with another request. Use a new x-request-id."


class HoldSettled(KeyscopeError):
    """A held call is decided once."""

    code = "hold_settled"
    message = "The held call was decided before, or its time is over."


class Unavailable(KeyscopeError):
    """Trouble closes the gate (law 7)."""

    code = "unavailable"
    message = "Keyscope cannot decide at the moment, so nothing is let through. Try again."


class StoreUnavailable(Unavailable):
    """The database is locked, full, read-only, gone or damaged."""

    code = "store_unavailable"
    message = "The key database cannot be used at the moment, so nothing is let through. The log says why."


class NotHeard(Unavailable):
    """One of several nodes has had no word from their database for the time that the settings allow (decision 20)."""

    code = "not_heard"
    message = "This node has not heard from the key database for too long, so nothing is let through. Try another node."


class AuditUnavailable(Unavailable):
    """The audit trail could not be written for some seconds, so what is let through would leave no trace."""

    code = "audit_unavailable"
    message = "The audit trail cannot be written at the moment, so nothing is let through. The log says why."


class CountersUnavailable(Unavailable):
    """The counters are locked, full, gone or damaged. Only keys whose use is counted are closed by it."""

    code = "counters_unavailable"
    message = "How often the key was used cannot be counted at the moment, so it is not let through. The log says why."


class NotRecorded(Unavailable):
    """A key that may touch only what it made has made something that could not be written down: it stays hidden."""

    code = "not_recorded"
    message = (
        "What this call made could not be written down as the key's own, so the key cannot reach it. It may exist:"
        " the holder of a standard key (ak_) can look for it. Do not repeat the call."
    )


class Draining(Unavailable):
    """The server ends soon. Only readiness says so; requests are still answered."""

    code = "draining"
    message = "This server is about to end. Send new requests to another one."


class TooManyStreams(Unavailable):
    """Streams of changes stay open, so a process serves a bounded number of them, and of one account a part of it."""

    code = "too_many_streams"
    message = "Too many streams of changes are open. Close one that is not needed, or try again."


class TooManyReports(Unavailable):
    """A report is read whole before its signature can be checked, so few are read at once."""

    code = "too_many_reports"
    message = "Too many reports of leaks are being read. Send it again."


class SigningKeysUnavailable(Unavailable):
    """Their address does not answer well, or was asked less than a minute ago."""

    code = "signing_keys_unavailable"
    message = "The public keys that reports are signed with cannot be had at the moment. Send it again."


class AuthorityUnavailable(Unavailable):
    """The Keyscope server cannot be reached, fails, or does not answer like one."""

    code = "authority_unavailable"
    message = "The Keyscope server does not answer, so nothing is let through. The log says why."


class AuthorityRefused(AuthorityUnavailable):
    """The asking program's own key is not good, or lacks read on keys."""

    code = "authority_refused"
    message = "The Keyscope server does not accept the key of this program, so nothing is let through."


class UpstreamFailure(KeyscopeError):
    """The API behind the gate failed."""

    code = "upstream_failure"
    message = "The API behind the gate failed."


class UpstreamUnreachable(UpstreamFailure):
    """No connection, or it broke before an answer."""

    code = "upstream_unreachable"
    message = "The API behind the gate cannot be reached."


class UpstreamTimeout(UpstreamFailure):
    """No answer in time."""

    code = "upstream_timeout"
    message = "The API behind the gate did not answer in time."


class UpstreamAnswer(UpstreamFailure):
    """A redirect, or a list that cannot be read and so cannot be cut down to what the key may see."""

    code = "upstream_answer"
    message = "The server behind the gate gave an answer that cannot be passed on."


class NoUpstream(UpstreamFailure):
    """The gate was started without an upstream."""

    code = "no_upstream"
    message = "The call is allowed, but no upstream is set. Start Keyscope with --upstream URL."


class ConfigurationError(KeyscopeError):
    """A setting, policy or database that Keyscope cannot start with; exit code 2."""

    code = "configuration_error"
    message = "Keyscope cannot start with these settings."


class InternalError(KeyscopeError):
    """A fault of Keyscope's own in a management call; the log has it."""

    code = "internal_error"
    message = "Something went wrong in Keyscope. The log has the details; nothing was let through."
