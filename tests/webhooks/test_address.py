"""Messages go to public addresses over HTTPS, whatever the URL is dressed up as, unless the settings say otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.errors import BadRequest
from keyscope.webhooks.address import PRIVATE, PUBLIC, GuardedResolver, NotAllowed, check_url, is_allowed
from tests.live import Live

NEVER = [
    "http://example.com/hook",
    "ftp://example.com/hook",
    "https://",
    "https://user:pass@example.com/",
    "https://example.com/#part",
    "https://example.com:99999/",
    "https://exa mple.com/",
    "https://example.com/" + "x" * 1000,
    "//example.com/hook",
]
INSIDE = [
    "https://127.0.0.1/",
    "https://localhost/",
    "https://10.1.2.3/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[2002:a00:1::]/",
    "https://224.0.0.1/",
    "http://127.0.0.1/",
]


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("targets", [PUBLIC, PRIVATE])
def test_a_url_that_is_never_good(url: str, targets: str) -> None:
    with pytest.raises(BadRequest):
        check_url(url, targets)


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_inside_needs_the_setting(url: str) -> None:
    with pytest.raises(BadRequest):
        check_url(url, PUBLIC)
    check_url(url, PRIVATE)


def test_a_public_address_is_good() -> None:
    for url in ("https://example.com/hook?a=b", "https://93.184.215.14/", "https://[2606:4700:4700::1111]:8443/"):
        check_url(url, PUBLIC)


@pytest.mark.parametrize("text", ["2130706433", "127.1", "0x7f.1", "0177.0.0.1"])
def test_other_spellings_of_an_address_are_names_and_what_they_stand_for_is_looked_at(text: str) -> None:
    with pytest.raises(OSError, match=r".*"):
        asyncio.run(_resolved(text))


def test_a_name_that_stands_for_this_machine_is_refused_when_it_is_looked_up() -> None:
    with pytest.raises(NotAllowed):
        asyncio.run(_resolved("localhost"))


async def _resolved(host: str) -> None:
    resolver = GuardedResolver(PUBLIC)
    try:
        await resolver.resolve(host, 443)
    finally:
        await resolver.close()


def test_multicast_and_mapped_addresses_are_not_public() -> None:
    assert not any(is_allowed(text, PUBLIC) for text in ("ff02::1", "::ffff:127.0.0.1", "64:ff9b:1::1", "fe80::1%eth0"))


def test_the_server_refuses_them_by_default(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        for url in ("https://127.0.0.1:1/", "http://example.com/", "https://169.254.169.254/"):
            refused = live.call("POST", "/keyscope/webhooks", json={"url": url})
            assert refused.status_code == 400
            assert refused.json()["faults"][0]["path"] == "url"
