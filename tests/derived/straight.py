"""The format of derived keys once more, straight from its description, with nothing but the standard library.

It knows nothing of Keyscope's code, so that the two can be held against each other. It makes what is asked for, sound
or not: the tests need both.
"""

from __future__ import annotations

import hmac
import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number: int, width: int) -> str:
    return "".join(DIGITS[number // 62**place % 62] for place in range(width - 1, -1, -1))


def text_of(payload: bytes) -> str:
    return sealed("dk_" + urlsafe_b64encode(payload).decode().rstrip("="))


def sealed(body: str) -> str:
    """With its checksum."""
    return body + base62(zlib.crc32(body.encode()), 6)


def payload_of(text: str) -> bytes:
    body = text[3:-6]
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, sha256).digest()


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def share(root: str) -> bytes:
    """What the store keeps of a root key."""
    wrap = mac(root.encode(), b"keyscope derived wrap v1")
    return xor(mac(root.encode(), b"keyscope derived root v1"), sha256(b"keyscope derived share v1" + wrap).digest())


def caveat(**members: Any) -> bytes:
    """The JSON of a link: members by name, no spaces, UTF-8."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def head_of(root: str, version: int = 1) -> bytes:
    return bytes([version]) + sha256(root.encode()).digest() + mac(root.encode(), b"keyscope derived wrap v1")


def joined(head: bytes, links: list[bytes], tag: bytes) -> bytes:
    return head + b"".join(len(link).to_bytes(2, "big") + link for link in links) + tag


def derive(root: str, links: list[bytes], version: int = 1) -> str:
    """A key with these links, from a root key's text."""
    head = head_of(root, version)
    return text_of(joined(head, links, chain(mac(root.encode(), b"keyscope derived root v1"), head, links)[-1]))


def chain(root_secret: bytes, head: bytes, links: list[bytes]) -> list[bytes]:
    """The tag of the head, and then of each link."""
    tags = [mac(root_secret, head)]
    for link in links:
        tags.append(mac(tags[-1], link))
    return tags


def split(text: str) -> tuple[bytes, list[bytes], bytes]:
    """The head, the links and the tag."""
    payload = payload_of(text)
    head, rest, tag = payload[:65], payload[65:-32], payload[-32:]
    links = []
    while rest:
        size = int.from_bytes(rest[:2], "big")
        links.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return head, links, tag


def extend(text: str, link: bytes) -> str:
    """What any holder of a derived key can make of it, whatever the link says."""
    head, links, tag = split(text)
    return text_of(joined(head, [*links, link], mac(tag, link)))


def ids(text: str, kept: bytes) -> list[str] | None:
    """What a server says that keeps this share: the ids of the links, or None for a forged chain."""
    head, links, tag = split(text)
    tags = chain(xor(kept, sha256(b"keyscope derived share v1" + head[33:]).digest()), head, links)
    return [id_of(one) for one in tags[1:]] if tags[-1] == tag else None


def id_of(tag: bytes) -> str:
    return "drv_" + base62(int.from_bytes(sha256(b"keyscope derived id v1" + tag).digest()[:16], "big"), 22)
