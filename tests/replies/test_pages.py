"""Lists of which a key sees only a part: its paging is complete, truthful, and comes to an end."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import runloop_api_client as sdk
from hypothesis import given
from hypothesis import strategies as st

from keyscope.errors import UpstreamAnswer
from keyscope.gate.replies import pages
from keyscope.gate.replies.listing import Keep, Listing
from keyscope.gate.replies.pages import Asked
from tests.live import Live
from tests.recorder import Recorder, Reply
from tests.replies.sandboxes import Sandboxes

OWN = {"own": True}


class Upstream:
    """A list in pages, each at most ``size`` long, and whose some of it is."""

    def __init__(self, owned: Sequence[bool], size: int) -> None:
        self.names = [f"box_{number}" for number in range(len(owned))]
        self.own = {name for name, is_own in zip(self.names, owned, strict=True) if is_own}
        self.size = size

    def page(self, query: str) -> bytes:
        asked = Asked(query.encode())
        start = self.names.index(asked.cursors[0]) + 1 if asked.cursors else 0
        end = start + min(asked.most or 20, self.size)
        shown = [{"id": name, "token": "s3cret"} for name in self.names[start:end]]
        value = {"has_more": end < len(self.names), "about": [1], "boxes": shown, "total_count": len(self.names)}
        return json.dumps(value).encode()


def keeping(fits: Callable[[str], bool]) -> Keep:
    async def keep(ids: Sequence[str]) -> list[bool]:
        return [fits(name) for name in ids]

    return keep


def at_once(answer: Coroutine[Any, Any, bytes]) -> bytes:
    """Of what waits for nothing."""
    try:
        answer.send(None)
    except StopIteration as end:
        found: bytes = end.value
        return found
    raise AssertionError("it waits")


def asked(upstream: Upstream, query: str, size: int = 7) -> Any:
    """What the gate makes of a list request."""
    asking = Asked(query.encode())
    listing = Listing(
        ("boxes", "[*]", "id"), [("boxes", "[*]", "token")], keeping(upstream.own.__contains__),
        most=asking.most, is_start=not asking.cursors,
    )  # fmt: skip
    raw, passed, fetched = upstream.page(query), b"", 1
    while True:
        passed += b"".join(at_once(listing.feed(raw[at : at + size])) for at in range(0, len(raw), size))
        passed += at_once(listing.close())
        after = listing.next_page()
        if after is None:
            return json.loads(passed + listing.end()), fetched
        raw, fetched = upstream.page(asking.after(after)), fetched + 1


OWNED = st.lists(st.booleans(), max_size=60)


@given(OWNED, st.integers(1, 9), st.integers(1, 9), st.integers(1, 50))
def test_paging_finds_everything_once_and_ends(owned: list[bool], most: int, page: int, chunk: int) -> None:
    upstream = Upstream(owned, page)
    query, found = f"limit={most}", []
    while True:
        reply, _ = asked(upstream, query, chunk)
        names = [box["id"] for box in reply["boxes"]]
        found += names
        assert len(names) <= most
        assert reply["boxes"] == [{"id": name} for name in names]
        if not reply["has_more"]:
            break
        assert len(names) == most, "less than was asked for, and yet more"
        query = f"limit={most}&starting_after={names[-1]}"
    assert found == [name for name in upstream.names if name in upstream.own]


@given(OWNED, st.integers(1, 9))
def test_the_first_page_tells_the_truth(owned: list[bool], most: int) -> None:
    upstream = Upstream(owned, 5)
    reply, _ = asked(upstream, f"limit={most}")
    assert reply["has_more"] == (len(upstream.own) > most)
    assert reply["total_count"] == (None if reply["has_more"] else len(upstream.own))
    assert reply["about"] == [1]


@given(OWNED)
def test_without_a_limit_the_upstreams_own_page_is_the_limit(owned: list[bool]) -> None:
    upstream = Upstream(owned, 5)
    reply, _ = asked(upstream, "")
    assert len(reply["boxes"]) == min(5, len(upstream.own))


def test_the_gate_asks_for_larger_pages_than_its_caller() -> None:
    assert Asked(b"limit=3&name=a%20b&starting_after=x").after("y/z") == "name=a+b&limit=100&starting_after=y%2Fz"
    assert Asked(b"limit=500").after("y") == "limit=500&starting_after=y"
    upstream = Upstream([False] * 400 + [True], 5000)
    assert asked(upstream, "limit=1")[1] == 1 + 400 // pages.LEAST_ELEMENTS


@pytest.mark.parametrize(
    "page",
    [
        b'{"boxes":[{"id":"a"}],"boxes":[{"id":"mine"}]}',
        b'{"boxes":[{"id":"mine"}],"has_more":false}{"boxes":[{"id":"a"}]}',
        b'[{"id":"mine"}]',
        b'{"boxes":{"id":"mine"}}',
        b'{"boxes":[{"id":"mine"}',
    ],
)
def test_what_is_no_list_is_refused(page: bytes) -> None:
    with pytest.raises(UpstreamAnswer):
        _filtered(page)


@pytest.mark.parametrize(
    "element",
    [
        b'{"id":"theirs"}',
        b'{"id":"mine","id":"theirs"}',
        b'{"id":"mine","i\\u0064":"theirs"}',
        b'{"id":["mine"]}',
        b'{"id":null}',
        b'{"name":"mine"}',
        b'"mine"',
        b'["mine"]',
        b'{"ID":"mine"}',
    ],
)
def test_what_does_not_say_that_it_is_the_keys_is_not_shown(element: bytes) -> None:
    assert _filtered(b'{"boxes":[' + element + b"]}") == b'{"boxes":[]}'


def test_of_two_ids_only_the_judged_one_is_shown() -> None:
    shown = _filtered(b'{"boxes":[{"id":"theirs","n":1.0,"id":"mine"}]}')
    assert shown == b'{"boxes":[{"id":"mine","n":1.0}]}'


def _filtered(page: bytes) -> bytes:
    listing = Listing(("boxes", "[*]", "id"), [], keeping("mine".__eq__), most=None, is_start=True)
    passed = at_once(listing.feed(page)) + at_once(listing.close())
    assert listing.next_page() is None
    return passed + listing.end()


def test_pages_in_a_circle_are_refused() -> None:
    page = b'{"boxes":[{"id":"theirs"}],"has_more":true}'
    listing = Listing(("boxes", "[*]", "id"), [], keeping(lambda _: False), most=1, is_start=True)
    at_once(listing.feed(page))
    assert listing.next_page() == "theirs"
    at_once(listing.feed(page))
    with pytest.raises(UpstreamAnswer):
        listing.next_page()


@pytest.fixture(scope="module")
def sandboxes() -> Sandboxes:
    return Sandboxes()


@pytest.fixture(scope="module")
def upstream(sandboxes: Sandboxes) -> Iterator[Recorder]:
    with Recorder(sandboxes) as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def plain(upstream: Recorder, sandboxes: Sandboxes) -> Iterator[None]:
    yield
    upstream.respond = sandboxes


@pytest.fixture(scope="module")
def live(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as server:
        yield server


def test_the_sdk_pages_through_all_own_things_among_many(live: Live, sandboxes: Sandboxes) -> None:
    secret = live.mint("devboxes:write", restrictions=OWN)["key_secret"]
    client = sdk.Runloop(bearer_token=secret, base_url=live.url, max_retries=0)
    mine = []
    for _ in range(5):
        mine.append(client.devboxes.create().id)
        for _ in range(40):
            sandboxes.new_devbox()
    assert [box.id for box in client.devboxes.list(limit=2)] == mine
    first = live.call("GET", "/v1/devboxes?limit=2", secret).json()
    assert (len(first["devboxes"]), first["has_more"], first["total_count"]) == (2, True, None)
    everything = live.call("GET", "/v1/devboxes?limit=9", secret).json()
    assert (len(everything["devboxes"]), everything["has_more"], everything["total_count"]) == (5, False, 5)
    last = live.call("GET", f"/v1/devboxes?limit=2&starting_after={mine[3]}", secret).json()
    assert ([box["id"] for box in last["devboxes"]], last["has_more"], last["total_count"]) == ([mine[4]], False, None)


def test_who_owns_nothing_gets_an_empty_list_that_ends(live: Live, sandboxes: Sandboxes) -> None:
    for _ in range(250):
        sandboxes.new_devbox()
    secret = live.mint("devboxes:read", restrictions=OWN)["key_secret"]
    reply = live.call("GET", "/v1/devboxes?limit=10", secret)
    assert reply.json() == {"devboxes": [], "has_more": False, "total_count": 0}


def test_a_list_without_an_end_is_refused(live: Live, upstream: Recorder) -> None:
    numbers = iter(range(10_000))
    upstream.respond = lambda _: Reply(
        body=json.dumps({"devboxes": [{"id": f"dbx_{next(numbers)}"}], "has_more": True}).encode()
    )
    secret = live.mint("devboxes:read", restrictions=OWN)["key_secret"]
    reply = live.call("GET", "/v1/devboxes", secret)
    assert (reply.status_code, reply.json()["code"]) == (502, "upstream_answer")
    assert next(numbers) == pages.MOST_PAGES


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_error_instead_of_a_list_goes_on(status: int, live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: Reply(status, b'{"message":"no"}')
    reply = live.call("GET", "/v1/devboxes", live.mint("devboxes:read", restrictions=OWN)["key_secret"])
    assert (reply.status_code, reply.json()) == (status, {"message": "no"})


def test_an_error_on_a_later_page_is_one_of_the_whole(live: Live, upstream: Recorder) -> None:
    first = json.dumps({"devboxes": [{"id": "dbx_x"}], "has_more": True}).encode()
    upstream.respond = lambda seen: Reply(500) if "starting_after" in seen.target else Reply(body=first)
    reply = live.call("GET", "/v1/devboxes", live.mint("devboxes:read", restrictions=OWN)["key_secret"])
    assert reply.status_code == 502


def test_a_list_that_breaks_after_it_has_begun_is_cut_off(live: Live, upstream: Recorder) -> None:
    page = json.dumps({"devboxes": [{"id": f"dbx_{n}"} for n in range(50)], "has_more": True}).encode()
    upstream.respond = lambda seen: Reply(500) if "starting_after" in seen.target else Reply(body=page)
    secret = live.mint("devboxes:read", restrictions={"instances": {"devboxes": ["dbx_1*"]}})["key_secret"]
    with pytest.raises(httpx.RemoteProtocolError):
        live.call("GET", "/v1/devboxes?limit=20", secret)
