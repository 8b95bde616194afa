"""The protocol's parts, with the signatures that GitHub's own documentation shows and with ones made here."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyscope.errors import BadRequest, BadSignature
from keyscope.leaks.github import (
    Match,
    Signed,
    check_signature,
    feedback,
    read_keys,
    read_matches,
    read_signature,
)
from tests.leaks.signing import GitHub, pem, published

_HEAD, _TAIL = "-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n"

# Key in base64 DER, body, signature.
DOCUMENTED = {
    "2024": (
        (
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAdAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5Grob"
            "zUvQSyJFVw=="
        ),
        b'[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]',
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
    ),
    "2021": (
        (
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUqkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9"
            "gWhFbNHWAA=="
        ),
        b'[{"token":"some_token","type":"some_type","url":"some_url"}]',
        "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=",
    ),
}


@pytest.mark.parametrize(("key", "body", "signature"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_documented_signatures_fit_their_bodies_and_no_others(key: str, body: bytes, signature: str) -> None:
    found = read_keys(published(one=_HEAD + key + _TAIL))["one"]
    signed = read_signature(
        [(b"github-public-key-identifier", b"one"), (b"github-public-key-signature", signature.encode())]
    )
    check_signature(signed, found, body)
    for other in (body + b"\n", body.replace(b":", b": "), body[:-1], b""):
        with pytest.raises(BadSignature):
            check_signature(signed, found, other)


def test_a_signature_of_another_key_or_with_more_to_it_is_refused() -> None:
    github, other = GitHub(), GitHub()
    good = b64decode(github.headers(b"[]")["Github-Public-Key-Signature"])
    check_signature(Signed("one", good), github.key.public_key(), b"[]")
    for wrong in (good + b"\0", good[:-1], b"", b"0" * 70):
        with pytest.raises(BadSignature):
            check_signature(Signed("one", wrong), github.key.public_key(), b"[]")
    with pytest.raises(BadSignature):
        check_signature(Signed("one", good), other.key.public_key(), b"[]")


HEADERS = {
    "none": [],
    "no identifier": [(b"github-public-key-signature", b"AAAA")],
    "no signature": [(b"github-public-key-identifier", b"one")],
    "twice": [(b"github-public-key-identifier", b"one")] * 2 + [(b"github-public-key-signature", b"AAAA")],
    "empty": [(b"github-public-key-identifier", b""), (b"github-public-key-signature", b"AAAA")],
    "long": [(b"github-public-key-identifier", b"x" * 201), (b"github-public-key-signature", b"AAAA")],
    "not base64": [(b"github-public-key-identifier", b"one"), (b"github-public-key-signature", b"A-_A")],
    "not text": [(b"github-public-key-identifier", b"\xff"), (b"github-public-key-signature", b"AAAA")],
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_not_a_signature_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadSignature):
        read_signature(headers)


def test_only_p256_keys_are_taken_from_what_is_published() -> None:
    good = GitHub().key
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    listed = published(
        good=pem(good),
        wider=pem(ec.generate_private_key(ec.SECP384R1())),
        edwards=edwards.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        junk="junk",
    )
    assert set(read_keys(listed)) == {"good"}


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"public_keys":[]}', b'{"public_keys":[{"key":1}]}', b"\xff"]
)
def test_a_document_without_a_key_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|list"):
        read_keys(document)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"token":"x"}]', b'[{"token":1,"type":"t"}]', b"[", b"\xff[]"])
def test_a_body_that_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_matches(body)


def test_unknown_members_and_absent_addresses_are_taken() -> None:
    body = b'[{"token":"t","type":"y","more":[1]},{"token":"t","type":"y","url":null,"source":"Npm"}]'
    assert [match.where for match in read_matches(body)] == [None, "Npm"]


def test_the_feedback_has_the_hash_and_never_the_token() -> None:
    said = feedback([Match("abc", "y"), Match("d", "z")], [True, False])
    assert said == (
        b'[{"token_hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","token_type":"y",'
        b'"label":"true_positive"},'
        b'{"token_hash":"18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4","token_type":"z",'
        b'"label":"false_positive"}]'
    )
    assert "abc" not in repr(Match("abc", "y"))
    assert b64encode(b"abc") not in said
