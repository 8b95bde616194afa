"""Derived keys: whoever holds a key makes a narrower one from it, without asking the server.

A derived key (``dk_``) is its root key's SHA-256, which is how the server finds the root, and a chain of *links*, each
of which takes something away. The tag of a link is the HMAC-SHA256 of its bytes under the tag before it, so a holder
can add a link and cannot take one off, change one or move one (the construction of macaroons: Birgisson and others,
NDSS 2014). Nothing in a link grants; what a link does not name it leaves as it was.

The secret that starts the chain is known to the holder of the root key, and split between the other two: the store
keeps a *share*, every derived key carries the *wrap* that opens it. Neither has it alone (docs/decisions/0007).

Payload: version (one byte, 1), the root's digest (32), the wrap (32), for each link its length (two bytes, big-endian)
and its bytes, the last tag (32). Text: ``dk_``, the payload in base64url without padding (RFC 4648 section 5), six
base62 characters of CRC-32 of all that precedes. Every derived key has exactly one spelling.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any

from msgspec import Meta, Struct, json

from keyscope.model.key import NEVER_MS
from keyscope.model.restrictions import Bound, Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.model.secret import Secret
from keyscope.model.tightness import beyond
from keyscope.model.token import ALPHABET, checksum, is_token

PREFIX = b"dk_"
MAX_LENGTH = 4096
"""Characters of a whole derived key."""
MAX_LINKS = 16
MAX_SCOPES = 64
MAX_LABEL = 200
NONCE_CHARS = 12
MAX_TIME_MS = (1 << 53) - 1
"""The latest expiry of a link: what every JSON parser reads exactly (RFC 8259 section 6)."""

_VERSION = b"\x01"
_HASH = 32
_LINKS_AT = 1 + 2 * _HASH
_LENGTH_BYTES = 2
_CHECK_CHARS = 6
_WRAP = b"keyscope derived wrap v1"
_ROOT = b"keyscope derived root v1"
_SHARE = b"keyscope derived share v1"
_ID = b"keyscope derived id v1"
_ID_BYTES = 16
_ID_PAIRS = 11
_PAIRS = tuple(a + b for a in ALPHABET for b in ALPHABET)

_FROM_URL = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")

_ScopeText = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}:(none|read|write)\Z")]


class Caveat(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one link takes away; a member that is absent takes nothing away.

    ``scopes`` are short forms, each resource type once, and empty means nothing at all; ``restrictions`` are those of
    model/restrictions.py, in their one spelling; ``expires_at_ms`` is Unix milliseconds; ``label`` is for people, and
    goes into the record. The ``nonce`` (12 base62 characters) keeps two links that say the same apart. A member that
    this version does not know refuses the key (law 1).

    Members stand in the order of their names, so that the JSON is that of RFC 8785.
    """

    expires_at_ms: Annotated[int, Meta(ge=1, le=MAX_TIME_MS)] | None = None
    label: Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)] | None = None
    nonce: Annotated[str, Meta(pattern=rf"^[0-9A-Za-z]{{{NONCE_CHARS}}}\Z")]
    restrictions: dict[str, Any] | None = None
    scopes: Annotated[tuple[_ScopeText, ...], Meta(max_length=MAX_SCOPES)] | None = None

    @property
    def bounds(self) -> Restrictions | None:
        """What ``restrictions`` say. Raises ValueError for what is not known here."""
        return Restrictions.parse(self.restrictions) if self.restrictions is not None else None


class Derived(Struct, frozen=True):
    """A derived key's text as a value. Its shape is right; only ``verify_derived`` says whether it is genuine.

    ``digest``, ``wrap`` and ``tag`` are 32 bytes each, ``links`` the bytes of the caveats.
    """

    digest: bytes
    wrap: bytes
    caveats: tuple[Caveat, ...]
    links: tuple[bytes, ...]
    tag: bytes

    def __repr__(self) -> str:
        return "Derived(…)"  # the wrap and the tag are secrets


def share_of(secret: Secret) -> bytes:
    """What the store keeps of a root key so that it can check what is derived from it: 32 bytes.

    By itself it is noise: the chain's secret under a pad that only the wrap, which the store never holds, gives.
    """
    text = secret.reveal().encode()
    return _xor(hmac.digest(text, _ROOT, "sha256"), _pad(hmac.digest(text, _WRAP, "sha256")))


def is_derived(text: bytes) -> bool:
    """Whether the bytes have a derived key's prefix, a possible length and the right checksum. No more than that."""
    return text[:3] == PREFIX and len(text) <= MAX_LENGTH and text[-_CHECK_CHARS:] == checksum(text[:-_CHECK_CHARS])


def parse_derived(text: bytes) -> Derived:
    """Read a derived key's text. Raises ValueError, which does not repeat the text, if it is not one."""
    payload = _payload(text)
    links = _links(payload)
    try:
        caveats = tuple(map(_read, links))
    except ValueError:
        raise ValueError("this derived key has a link that this version cannot read") from None
    return Derived(payload[1 : 1 + _HASH], payload[1 + _HASH : _LINKS_AT], caveats, links, payload[-_HASH:])


def verify_derived(derived: Derived, share: bytes) -> tuple[str, ...] | None:
    """The ids of the links, first to last, if the chain is genuine; None if not. ``share`` is the root key's."""
    tag = hmac.digest(_xor(share, _pad(derived.wrap)), _VERSION + derived.digest + derived.wrap, "sha256")
    tags = []
    for link in derived.links:
        tag = hmac.digest(tag, link, "sha256")
        tags.append(tag)
    return tuple(map(_id, tags)) if hmac.compare_digest(tag, derived.tag) else None


def narrowing(derived: Derived) -> tuple[Grant | None, int]:
    """What the links leave at most: a grant (None if no link has scopes), and Unix milliseconds or ``NEVER_MS``.

    Only for a chain that is verified, since grants are remembered by their scopes.
    """
    grant: Grant | None = None
    ends = NEVER_MS
    for caveat in derived.caveats:
        if caveat.scopes is not None:
            more = _grant(caveat.scopes)
            grant = more if grant is None else grant.meet(more)
        if caveat.expires_at_ms is not None and caveat.expires_at_ms < ends:
            ends = caveat.expires_at_ms
    return grant, ends


def bounds_of(derived: Derived, ids: tuple[str, ...]) -> tuple[Bound, ...]:
    """The restrictions in the links, the last one first. ``ids`` are the links', first to last."""
    links = [(name, caveat.bounds) for name, caveat in zip(ids, derived.caveats, strict=True)]
    return tuple(Bound(name, found) for name, found in reversed(links) if found is not None)


def attenuate(
    key: Secret | str,
    *,
    nonce: str,
    scopes: Iterable[Scope | str] | None = None,
    expires_at_ms: int | None = None,
    label: str | None = None,
    restrictions: Restrictions | None = None,
) -> Secret:
    """A narrower key from a root key (``ak_``, ``rk_``) or from a derived one (``dk_``), whose chain it then extends.

    ``scopes`` None leaves the scopes as they are; empty leaves none. ``nonce`` is 12 random base62 characters.
    Raises ValueError, with a sentence for people, if the key or a limit is malformed or a limit would widen.
    """
    text = _ascii(key.reveal() if isinstance(key, Secret) else key)
    asked = None if scopes is None else tuple(_scope(scope) for scope in scopes)
    words = None if asked is None else tuple(map(str, asked))
    plain = restrictions.plain if restrictions else None
    link = _encode(Caveat(expires_at_ms=expires_at_ms, label=label, nonce=nonce, restrictions=plain, scopes=words))
    _check(link)
    if text.startswith(PREFIX):
        parent = parse_derived(text)
        _refuse_more(parent, asked or (), expires_at_ms)
        _refuse_looser(parent, restrictions)
        return _extended(_payload(text), len(parent.links), link)
    return _extended(_seed(text), 0, link)


def last_id(key: Secret | str) -> str:
    """The id of a derived key: that of its last link, which is what revokes it alone. Raises ValueError."""
    return _id(parse_derived(_ascii(key.reveal() if isinstance(key, Secret) else key)).tag)


def _seed(text: bytes) -> bytes:
    """The payload of a chain without links, from a root key's text. It is not a key: a key has a link."""
    if not is_token(text):
        raise ValueError("this is not a key: it should start with ak_, rk_ or dk_ and be copied whole")
    head = _VERSION + sha256(text).digest() + hmac.digest(text, _WRAP, "sha256")
    return head + hmac.digest(hmac.digest(text, _ROOT, "sha256"), head, "sha256")


def _extended(payload: bytes, links: int, link: bytes) -> Secret:
    """The text of a chain with one link more than ``payload`` has."""
    if links >= MAX_LINKS:
        raise ValueError(f"a derived key has at most {MAX_LINKS} links; derive from one nearer to the root")
    tag = hmac.digest(payload[-_HASH:], link, "sha256")
    longer = payload[:-_HASH] + len(link).to_bytes(_LENGTH_BYTES) + link + tag
    body = PREFIX + _spelled(longer)
    if len(body) + _CHECK_CHARS > MAX_LENGTH:
        raise ValueError(f"the derived key would be longer than {MAX_LENGTH} characters: fewer scopes or fewer links")
    return Secret((body + checksum(body)).decode())


def _refuse_more(parent: Derived, asked: tuple[Scope, ...], expires_at_ms: int | None) -> None:
    """A link that asks for more would get no more. It is refused so that nobody believes it did."""
    grant, ends = narrowing(parent)
    beyond = grant.missing(asked) if grant is not None else ()
    if beyond:
        raise ValueError(f"the key does not have {' '.join(map(str, beyond))}, so it cannot pass it on")
    if expires_at_ms is not None and expires_at_ms > ends:
        raise ValueError(f"the key ends at {ends} (Unix milliseconds), so what is derived from it cannot end later")


def _refuse_looser(parent: Derived, asked: Restrictions | None) -> None:
    held = [caveat.bounds for caveat in parent.caveats]
    faults = [fault for above in held if above is not None for fault in beyond(asked, above, "the key")]
    if faults:
        raise ValueError("; ".join(f"{fault.path.removeprefix('$.')}: {fault.message}" for fault in faults))


def _payload(text: bytes) -> bytes:
    """The payload of a derived key's text, decoded from its one spelling."""
    body = text[len(PREFIX) : -_CHECK_CHARS]
    if not is_derived(text):
        raise ValueError("this is not a derived key: it should start with dk_ and be copied whole")
    try:
        payload = a2b_base64(body.translate(_FROM_URL) + b"==")
    except ValueError:
        payload = b""
    if _spelled(payload) != body or payload[:1] != _VERSION:
        raise ValueError("this is not a derived key of a version that is known here")
    return payload


def _spelled(payload: bytes) -> bytes:
    return b2a_base64(payload, newline=False).rstrip(b"=").translate(_TO_URL)


def _links(payload: bytes) -> tuple[bytes, ...]:
    """The bytes of the links. They fill the room between the wrap and the tag exactly."""
    links: list[bytes] = []
    at, end = _LINKS_AT, len(payload) - _HASH
    while at < end and len(links) < MAX_LINKS:
        start = at + _LENGTH_BYTES
        at = start + (payload[at] << 8 | payload[at + 1])
        links.append(payload[start:at])
    if at != end or not links:
        raise ValueError(f"a derived key has 1 to {MAX_LINKS} links and nothing beside them")
    return tuple(links)


_decode = json.Decoder(Caveat).decode
_encode = json.Encoder(order="deterministic").encode


def _read(link: bytes) -> Caveat:
    """The caveat of a link. Raises ValueError unless it is well-formed and in its one spelling.

    The comparison also refuses repeated members, which parsers elsewhere could read differently.
    """
    caveat = _decode(link)
    if _encode(caveat) != link:
        raise ValueError("not in canonical form")
    bounds = caveat.bounds
    if bounds is not None and (not bounds or bounds.plain != caveat.restrictions):
        raise ValueError("restrictions that are empty, or not in their one spelling")
    if caveat.label is not None and not caveat.label.isprintable():
        raise ValueError("a label is one line of printable characters")
    if caveat.scopes and len({scope.partition(":")[0] for scope in caveat.scopes}) != len(caveat.scopes):
        raise ValueError("name each resource type once")
    return caveat


def _check(link: bytes) -> None:
    try:
        _read(link)
    except ValueError as error:
        raise ValueError(f"this limit cannot be put into a key: {error}") from None


def _scope(scope: Scope | str) -> Scope:
    return scope if isinstance(scope, Scope) else Scope.parse(scope)


@lru_cache(maxsize=4096)
def _grant(scopes: tuple[str, ...]) -> Grant:
    """Many derived keys share a few sets of scopes."""
    return Grant(map(Scope.parse, scopes))


def _id(tag: bytes) -> str:
    """The id of the link with this tag. It says nothing about the tag, so it may be logged.

    Spelled two digits at a time: a digit at a time costs as much as an HMAC.
    """
    number = int.from_bytes(sha256(_ID + tag).digest()[:_ID_BYTES])
    pairs = []
    for _ in range(_ID_PAIRS):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "drv_" + "".join(reversed(pairs))


def _pad(wrap: bytes) -> bytes:
    return sha256(_SHARE + wrap).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(_HASH)


def _ascii(text: str) -> bytes:
    """The text as bytes; characters that no key has become nothing that is one."""
    return text.encode("ascii", "replace")
