"""GitHub's secret-scanning partner protocol: a signed list of tokens comes in, a list of verdicts goes out.

The signature is ECDSA over P-256 with SHA-256 of the body as it was sent (docs.github.com, "Secret scanning partner
program"). The protocol has no time and no nonce, so whoever keeps a signed body can send it again: what is done must
be the same the second time, and so must the answer.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from keyscope.errors import BadRequest, BadSignature, Fault
from keyscope.wire.asgi import RawHeaders

IDENTIFIER = b"github-public-key-identifier"
SIGNATURE = b"github-public-key-signature"

_MOST_IDENTIFIER = 200
_MOST_SIGNATURE = 200
"""Characters; P-256 in DER takes 96 in base64."""
_MOST_WHERE = 2000

Keys = dict[str, EllipticCurvePublicKey]
"""Public keys by identifier."""


class Signed(Struct, frozen=True):
    """What the headers say of the signature."""

    identifier: str
    signature: bytes


class Match(Struct, frozen=True):
    """One token that was found. ``url`` may be empty, ``source`` any word (content, commit, npm, …)."""

    token: str
    type: str
    url: str | None = ""
    source: str | None = ""

    @property
    def where(self) -> str | None:
        """For the record: the address, or at least the kind of place."""
        return (self.url or self.source or "")[:_MOST_WHERE] or None

    def __repr__(self) -> str:
        return "Match(…)"


class _PublicKey(Struct):
    key_identifier: str
    key: str
    is_current: bool = False


class _PublicKeys(Struct):
    public_keys: list[_PublicKey]


_matches = msgspec.json.Decoder(list[Match]).decode
_published = msgspec.json.Decoder(_PublicKeys).decode
_encode = msgspec.json.Encoder().encode


def read_signature(headers: RawHeaders) -> Signed:
    """The signature of a request. Raises BadSignature unless both headers stand there once and can be one."""
    identifiers = [value for name, value in headers if name == IDENTIFIER]
    signatures = [value for name, value in headers if name == SIGNATURE]
    if len(identifiers) != 1 or len(signatures) != 1:
        raise BadSignature("a header is missing or stands twice")
    if not 0 < len(identifiers[0]) <= _MOST_IDENTIFIER or len(signatures[0]) > _MOST_SIGNATURE:
        raise BadSignature("a header is too long or empty")
    try:
        return Signed(identifiers[0].decode("ascii"), b64decode(signatures[0], validate=True))
    except ValueError:
        raise BadSignature("a header is malformed") from None


def check_signature(signed: Signed, key: EllipticCurvePublicKey, body: bytes) -> None:
    """Raise BadSignature unless the key signed exactly this body."""
    try:
        key.verify(signed.signature, body, ECDSA(SHA256()))
    except InvalidSignature:
        raise BadSignature("the signature does not fit the body") from None


def read_keys(document: bytes) -> Keys:
    """The published keys, P-256 ones alone. Raises ValueError if the document is not one, or has none."""
    try:
        listed = _published(document).public_keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a list of public keys ({error})") from None
    keys = {one.key_identifier: key for one in listed if (key := _p256(one.key)) is not None}
    if not keys:
        raise ValueError("it lists no P-256 key")
    return keys


def read_matches(body: bytes) -> list[Match]:
    """The tokens of a body; members that are not known are passed over. Raises BadRequest."""
    try:
        return _matches(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fault = Fault("$", "send a list of objects, each with the texts token, type, url and source")
        raise BadRequest("not a report", [fault]) from None


def feedback(matches: Sequence[Match], known: Iterable[bool]) -> bytes:
    """The answer: for each token whether it is one of ours. The token itself is never repeated, only its SHA-256."""
    return _encode(
        [
            {
                "token_hash": sha256(match.token.encode()).hexdigest(),
                "token_type": match.type,
                "label": "true_positive" if is_known else "false_positive",
            }
            for match, is_known in zip(matches, known, strict=True)
        ]
    )


def _p256(text: str) -> EllipticCurvePublicKey | None:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1) else None
