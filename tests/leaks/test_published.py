"""Public keys are fetched over HTTPS, kept for a while, asked for once a minute; without them nothing is believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from keyscope.errors import BadSignature, ConfigurationError, SigningKeysUnavailable
from keyscope.leaks.published import ASKED_EVERY_S, KEPT_S, PinnedKeys, PublishedKeys
from tests.leaks.signing import GitHub, Publisher, document

ONE = GitHub("one")
TWO = GitHub("two")


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    with Publisher(tmp_path, document(ONE.published)) as publishing:
        monkeypatch.setenv("SSL_CERT_FILE", str(publishing.authority))
        yield publishing


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_keys_are_fetched_once_and_again_when_they_are_old(publisher: Publisher) -> None:
    watch = Watch()

    async def work() -> None:
        keys = PublishedKeys(publisher.url, watch)
        for _ in range(3):
            assert await keys.find("one") == ONE.key.public_key()
        assert publisher.asked == 1
        watch.now_s += KEPT_S
        publisher.answer = document(TWO.published)
        with pytest.raises(BadSignature):
            await keys.find("one")
        assert publisher.asked == 2

    asyncio.run(work())


def test_an_unknown_identifier_is_asked_for_at_most_once_a_minute(publisher: Publisher) -> None:
    watch = Watch()

    async def work() -> None:
        keys = PublishedKeys(publisher.url, watch)
        await keys.find("one")
        for _ in range(5):
            with pytest.raises(SigningKeysUnavailable):
                await keys.find("two")
        assert publisher.asked == 1
        watch.now_s += ASKED_EVERY_S
        with pytest.raises(BadSignature):
            await keys.find("two")
        publisher.answer = document(TWO.published)
        watch.now_s += ASKED_EVERY_S
        assert await keys.find("two") == TWO.key.public_key()
        assert publisher.asked == 3

    asyncio.run(work())


def test_many_who_ask_at_once_share_one_fetch(publisher: Publisher) -> None:
    async def work() -> None:
        keys = PublishedKeys(publisher.url, Watch())
        found = await asyncio.gather(*(keys.find("one") for _ in range(50)))
        assert found == [ONE.key.public_key()] * 50

    asyncio.run(work())
    assert publisher.asked == 1


def _large(handler: BaseHTTPRequestHandler) -> None:
    document(b" " * (2 << 20) + ONE.published)(handler)


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(ONE.published[:50])


BROKEN: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
    "an error": document(ONE.published, 500),
    "a redirect to itself": document(b"", 302, location="/meta/public_keys/secret_scanning"),
    "a page": document(b"<html>"),
    "no key": document(b'{"public_keys":[]}'),
    "too much": _large,
    "half of it": _cut,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_broken_publisher_closes_the_receiver(
    publisher: Publisher, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    publisher.answer = answer

    async def work() -> None:
        keys = PublishedKeys(publisher.url, Watch())
        for _ in range(2):
            with pytest.raises(SigningKeysUnavailable):
                await keys.find("one")

    asyncio.run(work())
    assert publisher.asked == 1


def test_a_certificate_that_nobody_trusts_closes_the_receiver(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert publisher.url.startswith("https://")
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED

    async def work() -> None:
        with pytest.raises(SigningKeysUnavailable):
            await PublishedKeys(publisher.url, Watch()).find("one")

    asyncio.run(work())
    assert publisher.asked == 0


def test_a_publisher_that_is_not_there_closes_the_receiver() -> None:
    async def work() -> None:
        with pytest.raises(SigningKeysUnavailable):
            await PublishedKeys("https://127.0.0.1:1/keys", Watch()).find("one")

    asyncio.run(work())


def test_keys_that_are_still_good_outlive_a_publisher_that_fails(publisher: Publisher) -> None:
    watch = Watch()

    async def work() -> None:
        keys = PublishedKeys(publisher.url, watch)
        await keys.find("one")
        publisher.answer = document(b"", 500)
        watch.now_s += ASKED_EVERY_S
        with pytest.raises(SigningKeysUnavailable):
            await keys.find("two")
        assert await keys.find("one") == ONE.key.public_key()

    asyncio.run(work())


def test_a_file_pins_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(ONE.published)
    keys = PinnedKeys(file, "--leaks-github-keys")
    assert asyncio.run(keys.find("one")) == ONE.key.public_key()
    with pytest.raises(BadSignature):
        asyncio.run(keys.find("two"))


@pytest.mark.parametrize("content", [None, b"", b'{"public_keys":[]}'])
def test_a_file_that_cannot_be_used_is_named_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        PinnedKeys(file, "--leaks-github-keys")
    assert str(file) in refused.value.faults[0].message
