"""Paths and queries: canonical ones arrive byte for byte, however odd; all others are refused, never repaired."""

from __future__ import annotations

import pytest

from tests.gate.raw import Raw
from tests.live import Live
from tests.recorder import Recorder

ODD = [
    "/v1/devboxes?",
    "/v1/devboxes?limit=10&limit=20",
    "/v1/devboxes?metadata[a]=1&metadata[b][in]=x,y",
    "/v1/devboxes?q=%2F..%2F%00%ff+%20",
    "/v1/devboxes?q=a%2fb%2Fc",
    "/v1/devboxes?//..//./;a=b?c=d",
    "/v1/devboxes?q='{}|\\^`",
    "/v1/devboxes/dbx_1-2.3~4!$&'()*+,=:@",
    "/v1/devboxes/my%20box",
    "/v1/devboxes/caf%C3%A9",
    "/v1/devboxes/caf%c3%a9",
    "/v1/devboxes/...",
]
REFUSED = [
    "/v1/devboxes/",
    "/v1//devboxes",
    "//v1/devboxes",
    "/v1/./devboxes",
    "/v1/devboxes/../secrets",
    "/v1/devboxes/%2e%2e",
    "/v1/devboxes/a%2Fb",
    "/v1/devboxes/a%00",
    "/v1/devboxes/%64bx",
    "/v1/devboxes;a=b",
    "/v1/devboxes\\x",
    "/v1/devboxes/%ff",
    "/v1/devboxes/%zz",
    '/v1/devboxes?q="',
    "/v1/devboxes?q=<>",
    "/v1/devboxes?q=caf\u00e9",
]


@pytest.mark.parametrize("target", ODD)
def test_an_odd_but_canonical_target_arrives_byte_for_byte(raw: Raw, upstream: Recorder, key: str, target: str) -> None:
    assert raw.ask("GET", target, key).status == 200
    [seen] = upstream.take()
    # An empty query is no query (RFC 3986 allows the question mark; nothing follows it that could be judged).
    assert seen.target == target.removesuffix("?")


@pytest.mark.parametrize("target", REFUSED)
@pytest.mark.parametrize("kind", ["restricted", "standard"])
def test_any_other_target_is_refused_whoever_asks(
    live: Live, upstream: Recorder, key: str, target: str, kind: str
) -> None:
    with Raw(live.port) as raw:
        answer = raw.ask("GET", target, key if kind == "restricted" else live.first)
    assert answer.status == 400
    assert upstream.take() == []


def test_a_target_over_the_limit_is_414(live: Live, upstream: Recorder, key: str) -> None:
    with Raw(live.port) as raw:
        assert raw.ask("GET", "/v1/devboxes/" + "a" * 8192, key).status == 414
    assert upstream.take() == []
