"""The stream of changes over real sockets: whole, in order, of one account, and no longer than its key."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyscope.api import feed as feed_module
from keyscope.api.changes import HEARTBEAT_S
from keyscope.authority.ports import Account, Writer
from keyscope.model.event import Event, EventKind
from keyscope.store.sqlite import SqliteStore
from tests.api.following import PATH, following
from tests.live import Live

MEMBERS = {"number", "kind", "key_id", "at_ms", "derived_id"}


@pytest.fixture(scope="module")
def server(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


def stored(live: Live) -> list[int]:
    """The numbers that the account's events have in the store."""
    store = SqliteStore.open(live.database)
    try:
        account = store.read(lambda reader: reader.accounts())[0]
        return [found.number for found in store.read(lambda reader: reader.events(account.id, limit=100_000))]
    finally:
        store.close()


def test_it_begins_with_where_it_is_and_then_tells_each_change(server: Live) -> None:
    with following(server.url, server.first) as follower:
        assert follower.response.headers["content-type"].startswith("text/event-stream")
        ready = follower.next("ready")
        made = server.mint("devboxes:read")
        change = follower.next("change")
        assert set(change) == MEMBERS
        assert (change["kind"], change["key_id"]) == ("key.minted", made["id"])
        assert change["number"] == ready["number"] + 1
        server.revoke(made["id"])
        assert (follower.next("change")["kind"], follower.next("heartbeat")["number"]) == (
            "key.revoked",
            ready["number"] + 2,
        )


def test_a_heartbeat_says_up_to_when_all_is_told(server: Live) -> None:
    before_ms = int(time.time() * 1000)
    with following(server.url, server.first) as follower:
        number = follower.next("ready")["number"]
        first, second = follower.next("heartbeat"), follower.next("heartbeat")
    assert (first["number"], second["number"]) == (number, number)
    assert before_ms <= first["now_ms"] < second["now_ms"] <= int(time.time() * 1000)


def test_a_change_by_another_process_comes_out_too(server: Live) -> None:
    store = SqliteStore.open(server.database)
    account = store.read(lambda reader: reader.accounts())[0]
    with following(server.url, server.first) as follower:
        follower.next("ready")
        event = Event(kind=EventKind.ACCOUNT_RULES_CHANGED, at_ms=7, account_id=account.id)
        store.write(lambda writer: writer.add_event(event))
        assert follower.next("change")["kind"] == "account.rules_changed"
    store.close()


def test_what_other_accounts_do_is_not_told(server: Live) -> None:
    store = SqliteStore.open(server.database)
    with following(server.url, server.first) as follower:
        number = follower.next("ready")["number"]
        other = Account("acc_other", "other", 1 << 52)
        event = Event(kind=EventKind.ACCOUNT_CREATED, at_ms=1, account_id=other.id)
        store.write(lambda writer: writer.add_account(other))
        store.write(lambda writer: writer.add_event(event))
        assert follower.changes_to(number + 1) == []
        made = server.mint()
        assert follower.next("change")["key_id"] == made["id"]
    store.close()


def test_a_derived_key_that_ends_alone_is_named(server: Live) -> None:
    key_id = server.mint("devboxes:read")["id"]
    link = f"drv_{'a' * 22}"
    with following(server.url, server.first) as follower:
        follower.next("ready")
        server.call("POST", f"/v1/restricted_keys/{key_id}/derived/{link}/revoke")
        change = follower.next("change")
    assert (change["kind"], change["key_id"], change["derived_id"]) == ("derived_key.revoked", key_id, link)


@pytest.mark.parametrize("scopes", [(), ("devboxes:write",)])
def test_it_takes_read_on_keys(server: Live, scopes: tuple[str, ...]) -> None:
    refused = server.call("GET", PATH, server.mint(*scopes)["key_secret"])
    assert (refused.status_code, refused.json()["missing_scopes"]) == (403, ["account:read"])
    assert server.call("GET", PATH, "").status_code == 401


@pytest.mark.parametrize(
    ("after", "last_id", "fault"),
    [
        ("-1", None, "query.after"),
        ("x", None, "query.after"),
        ("٣", None, "query.after"),
        (str(1 << 53), None, "query.after"),
        (None, "x", "Last-Event-ID"),
        (None, "", "Last-Event-ID"),
        ("9", "8", "Last-Event-ID"),
    ],
)
def test_a_place_that_is_none_is_refused(server: Live, after: str | None, last_id: str | None, fault: str) -> None:
    headers = {} if last_id is None else {"last-event-id": last_id}
    refused = server.call("GET", PATH, params={} if after is None else {"after": after}, headers=headers)
    assert (refused.status_code, refused.json()["faults"][0]["path"]) == (400, fault)


def test_an_event_source_that_resumes_goes_on_where_it_was(server: Live) -> None:
    server.mint()
    server.mint()
    last = stored(server)[-1]
    with following(server.url, server.first, after=last - 2, last_id=str(last - 1)) as follower:
        assert follower.next("ready")["number"] == last - 1
        assert follower.next("change")["number"] == last


def test_a_number_from_the_future_resets_the_follower(server: Live) -> None:
    last = stored(server)[-1]
    with following(server.url, server.first, after=last + 1000) as follower:
        assert follower.next("reset") == {"number": last, "after": last + 1000}
        assert follower.next("ready")["number"] == last
        server.mint()
        assert follower.next("change")["number"] == last + 1


def _revoke(live: Live, key_id: str) -> None:
    assert live.revoke(key_id).status_code == 200


def _suspend(live: Live, key_id: str) -> None:
    assert live.call("POST", f"/v1/restricted_keys/{key_id}/suspend").status_code == 200


def _narrow(live: Live, key_id: str) -> None:
    assert live.call("POST", f"/v1/restricted_keys/{key_id}", json={"scopes": []}).status_code == 200


def _expire(live: Live, key_id: str) -> None:
    soon = int(time.time() * 1000) + 300
    assert live.call("POST", f"/v1/restricted_keys/{key_id}", json={"expires_at_ms": soon}).status_code == 200


def _rotate(live: Live, key_id: str) -> None:
    assert live.call("POST", f"/v1/restricted_keys/{key_id}/rotate").status_code == 200


@pytest.mark.parametrize("end", [_revoke, _suspend, _narrow, _expire, _rotate])
def test_it_ends_with_the_key_that_opened_it(server: Live, end: Callable[[Live, str], None]) -> None:
    made = server.mint("account:read")
    with following(server.url, made["key_secret"]) as follower:
        follower.next("ready")
        end(server, made["id"])
        server.mint()
        told = [members["kind"] for kind, members in follower.rest() if kind == "change"]
    # A key that is to expire is good until then; of everything else its stream tells nothing.
    assert told in ([], ["key.updated"], ["key.updated", "key.minted"]) if end is _expire else told == []


def test_one_account_has_a_bounded_number_of_streams(server: Live) -> None:
    with ExitStack() as open_streams:
        streams = (following(server.url, server.first) for _ in range(feed_module.MOST_OF_ONE_ACCOUNT))
        followers = [open_streams.enter_context(stream) for stream in streams]
        assert all(follower.next("ready") for follower in followers)
        refused = server.call("GET", PATH)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["retry-after"] == "1"
    end = time.monotonic() + 10
    while True:
        with following(server.url, server.first) as follower:
            if follower.response.status_code == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_stop_does_not_wait_for_streams(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live, following(live.url, live.first) as follower:
        follower.next("ready")
        os.kill(live.pid, signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):  # cut off, unlike one that ends with its key
            follower.rest()
        live.stop()
        assert "Traceback" not in live.log


def test_a_follower_that_takes_nothing_is_dropped(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        store = SqliteStore.open(live.database)
        account = store.read(lambda reader: reader.accounts())[0]
        event = Event(kind=EventKind.KEY_UPDATED, at_ms=7, account_id=account.id, key_id="key_" + "x" * 22)

        def work(writer: Writer) -> None:
            for _ in range(100_000):
                writer.add_event(event)

        store.write(work)
        store.close()
        with socket.create_connection(("127.0.0.1", live.port)) as lazy:
            lazy.sendall(
                f"GET {PATH}?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {live.first}\r\n\r\n".encode()
            )
            end = time.monotonic() + 30
            while "took nothing" not in live.log:
                assert time.monotonic() < end
                time.sleep(0.05)
            lazy.settimeout(15)
            taken = b"".join(iter(lambda: lazy.recv(65536), b""))
            assert not taken.endswith(b"0\r\n\r\n"), "a part never looks like the whole"
            assert taken.count(b"event: change") < 100_000


def _busy(live: Live, rounds: int) -> None:
    for _ in range(rounds):
        made = live_call(live, "/v1/restricted_keys", {})
        live_call(live, f"/v1/restricted_keys/{made['id']}/revoke", {})


def live_call(live: Live, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {live.first}"}
    answered = httpx.post(live.url + path, json=body, headers=headers, timeout=30, trust_env=False)
    assert answered.status_code == 200, answered.text
    reply: dict[str, Any] = answered.json()
    return reply


def test_every_change_arrives_once_and_in_order_with_several_workers_writing(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--workers", "2"]) as live, ThreadPoolExecutor(12) as pool:
        with ExitStack() as streams:
            followers = [streams.enter_context(following(live.url, live.first, after=0)) for _ in range(6)]
            work = [pool.submit(_busy, live, 20) for _ in range(5)]
            for done in work:
                done.result(60)
            numbers = stored(live)
            told = list(pool.map(lambda follower: follower.changes_to(numbers[-1]), followers))
        assert len(numbers) >= 200
        for changes in told:
            assert [change["number"] for change in changes] == numbers


def test_a_change_is_told_at_once_and_not_with_the_next_heartbeat(server: Live) -> None:
    with following(server.url, server.first) as follower:
        follower.next("ready")
        follower.next("heartbeat")
        took = []
        for _ in range(5):
            began_s = time.monotonic()
            server.mint("devboxes:read")
            follower.next("change")
            took.append(time.monotonic() - began_s)
    assert min(took) < HEARTBEAT_S / 2


def test_a_follower_resumes_after_the_server_was_killed(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--workers", "2"]) as live:
        _busy(live, 3)
        with following(live.url, live.first, after=0) as follower:
            follower.next("ready")
            seen = [follower.next("change")["number"] for _ in range(5)]
            live.kill()
            with suppress(httpx.HTTPError):  # what was on its way arrives, and then the stream is cut
                seen += [event["number"] for kind, event in follower.rest() if kind == "change"]
        live.start()
        _busy(live, 3)
        with following(live.url, live.first, after=seen[-1]) as follower:
            seen += [change["number"] for change in follower.changes_to(stored(live)[-1])]
        assert seen == stored(live)


_INTERRUPTIBLE = """
import signal
from keyscope.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The command as in a terminal: a shell starts what runs in the background with interrupts ignored."""


def test_the_command_prints_a_line_each_and_goes_on_after_a_lost_server(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        environment = {**os.environ, "KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
        words = [sys.executable, "-c", _INTERRUPTIBLE, "changes", "--after", "0", "--json"]
        with subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as told:
            assert told.stdout is not None
            lines = [json.loads(told.stdout.readline()) for _ in range(2)]
            live.kill()
            live.start()
            made = live.mint()
            lines.append(json.loads(told.stdout.readline()))
            told.send_signal(signal.SIGINT)
            try:
                _, stderr = told.communicate(timeout=20)
            finally:
                told.kill()
        assert [line["kind"] for line in lines] == ["account.created", "key.minted", "key.minted"]
        assert lines[-1]["key_id"] == made["id"]
        assert told.returncode == 0
        assert "Trying again" in stderr
        assert "Traceback" not in stderr


def test_the_command_says_what_is_wrong(server: Live) -> None:
    environment = {**os.environ, "KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.mint()["key_secret"]}
    words = [sys.executable, "-m", "keyscope", "changes"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "account:read" in done.stderr) == (1, True)
