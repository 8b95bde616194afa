"""Whatever fails, no request is wrongly let through: HAProxy, Keyscope's processes, the runtime socket, reloads."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.gate.raw import Raw, request_head
from tests.haproxy.conftest import engine_live
from tests.haproxy.inside import USAGE, Inside, children, stopped, until
from tests.haproxy.many import Many, minted
from tests.haproxy.traffic import Sent, read, traffic
from tests.live import Live
from tests.recorder import Recorder, Reply, Seen

KEYS = 10_500
REVOKED = 10_000
AT_ONCE = 8
STOP_S = 10.0
"""Of the settings, where a test sets nothing else."""


def status(live: Live, secret: str) -> int:
    """Of a call that the key may make; 0 if nobody answers."""
    try:
        return httpx.get(live.url + USAGE, headers={"authorization": f"Bearer {secret}"}).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
def fresh(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that a test may break."""
    with engine_live(new_directory(), upstream.url) as server:
        until(Inside(server).is_judging)
        yield server


@pytest.mark.parametrize("part", ["haproxy", "engine"])
def test_a_killed_part_closes_the_gate_and_comes_back_with_everything(fresh: Live, part: str) -> None:
    inside = Inside(fresh)
    good, bad = fresh.mint("devboxes:read"), fresh.mint("devboxes:read")
    fresh.revoke(bad["id"])
    killed = getattr(inside, part)
    workers = children(inside.haproxy)
    os.kill(killed, signal.SIGKILL)
    seen: set[int] = set()

    def after(condition: Callable[[], bool]) -> bool:
        seen.add(status(fresh, bad["key_secret"]))
        return condition()

    for pid in workers:  # HAProxy's worker ends with its master, and both with the engine
        until(lambda gone=pid: after(lambda: not Path(f"/proc/{gone}").exists()))  # type: ignore[misc]
    until(lambda: after(lambda: status(fresh, good["key_secret"]) == 200))
    until(lambda: getattr(inside, part) != killed and inside.is_judging())
    assert (status(fresh, good["key_secret"]), status(fresh, bad["key_secret"])) == (200, 401)
    assert seen <= {0, 401, 503}
    later = fresh.mint("devboxes:read")
    assert status(fresh, later["key_secret"]) == 200
    fresh.revoke(later["id"])
    assert status(fresh, later["key_secret"]) == 401


def test_without_its_workers_haproxy_judges_what_it_can_and_answers_503_to_the_rest(fresh: Live) -> None:
    inside = Inside(fresh)
    secret, dead = fresh.mint("devboxes:read")["key_secret"], fresh.mint("devboxes:read")
    fresh.revoke(dead["id"])
    with stopped(fresh.pid):  # nobody starts the worker again
        os.kill(inside.worker, signal.SIGKILL)
        assert status(fresh, secret) == 200
        refused = until(lambda: fresh.call("GET", USAGE, dead["key_secret"]))
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    until(lambda: status(fresh, dead["key_secret"]) == 401)


def test_a_server_that_is_killed_leaves_nothing_listening(fresh: Live) -> None:
    good, bad = fresh.mint("devboxes:read"), fresh.mint("devboxes:read")
    fresh.revoke(bad["id"])
    fresh.kill()
    until(lambda: status(fresh, good["key_secret"]) == 0)
    fresh.start()
    until(lambda: status(fresh, good["key_secret"]) == 200)
    assert status(fresh, bad["key_secret"]) == 401


def test_a_revocation_waits_for_a_feeder_that_stands_still_and_then_holds(fresh: Live) -> None:
    made = fresh.mint("devboxes:read")
    with stopped(Inside(fresh).engine):
        assert fresh.revoke(made["id"]).status_code == 200
        assert status(fresh, made["key_secret"]) == 401
    until(Inside(fresh).is_judging)
    assert status(fresh, made["key_secret"]) == 401


def test_a_runtime_socket_that_others_have_filled_lets_nothing_through(fresh: Live) -> None:
    inside = Inside(fresh)
    made = [fresh.mint("devboxes:read") for _ in range(5)]
    crowd = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(200)]
    try:
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(str(inside.socket))
        for key in made:
            assert fresh.revoke(key["id"]).status_code == 200
            assert status(fresh, key["key_secret"]) == 401
    finally:
        for one in crowd:
            one.close()
    until(inside.is_judging)
    assert [status(fresh, key["key_secret"]) for key in made] == [401] * 5


def test_the_death_of_a_root_is_the_death_of_its_whole_tree(
    upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    server = engine_live(new_directory(), upstream.url)
    with server:
        root = server.mint("account:write", "devboxes:read")
    tree = minted(server, 12_000, below=root["id"])  # more than HAProxy is told of one by one
    with server:
        inside = Inside(server)
        until(inside.is_judging)
        assert status(server, tree.secrets[0]) == 200
        assert server.revoke(root["id"]).status_code == 200
        assert {status(server, secret) for secret in tree.secrets[::500]} == {401}
        before = inside.map("lease.map")["number"]
        until(inside.is_judging)  # with new maps
        assert int(inside.map("lease.map")["number"]) >= int(before)
        assert {status(server, secret) for secret in tree.secrets[::500]} == {401}
        assert len(inside.map("ask.map")) >= 12_000


def test_a_connection_that_was_idle_in_a_reload_takes_one_more_request(fresh: Live) -> None:
    """If it were closed at once, a request that is on its way would be lost."""
    inside, key = Inside(fresh), fresh.mint("devboxes:read")["key_secret"]
    with Raw(fresh.port) as raw:
        assert raw.ask("GET", USAGE, key).status == 200
        before = children(inside.haproxy)
        os.kill(inside.haproxy, signal.SIGUSR2)
        until(lambda: set(children(inside.haproxy)) - set(before))
        until(inside.is_judging)
        assert raw.ask("GET", USAGE, key).status == 200


def test_an_orderly_end_waits_for_requests_and_not_for_idle_connections(fresh: Live, upstream: Recorder) -> None:
    key, began, ending = fresh.mint("devboxes:read")["key_secret"], threading.Event(), threading.Event()

    def slow(_: Seen) -> Reply:
        began.set()
        assert ending.wait(10)
        time.sleep(0.5)  # a while after the end has begun
        return Reply()

    with Raw(fresh.port) as idle, Raw(fresh.port) as busy, ThreadPoolExecutor(1) as pool:
        assert idle.ask("GET", USAGE, key).status == 200
        upstream.respond = slow
        try:
            busy.send(request_head("GET", USAGE, key))
            assert began.wait(10)
            began_s = time.monotonic()
            stopping = pool.submit(fresh.stop)
            ending.set()
            assert busy.answer().status == 200
            stopping.result()
            assert time.monotonic() - began_s < STOP_S
        finally:
            upstream.respond = lambda _: Reply()


def revoke_all(live: Live, ids: list[str]) -> list[int]:
    """When each revocation was answered, in nanoseconds of CLOCK_MONOTONIC."""

    def revoke(one: str) -> int:
        assert live.revoke(one).status_code == 200
        return time.monotonic_ns()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(revoke, ids))


def accepted_after(sent: list[Sent], answered_ns: list[int]) -> list[Sent]:
    """Requests that were sent after the key's revocation was answered, and were accepted."""
    about = (one for one in sent if one.number < len(answered_ns) and one.status == 200)
    return [one for one in about if one.sent_ns > answered_ns[one.number]]


def test_under_load_no_key_is_accepted_after_its_revocation_was_answered(
    upstream: Recorder, new_directory: Callable[[], Path], tmp_path: Path
) -> None:
    server = engine_live(new_directory(), upstream.url)
    with server:
        pass  # makes the account
    many: Many = minted(server, KEYS)
    with server, traffic(server.port, many.secrets, tmp_path) as report:
        inside = Inside(server)
        until(inside.is_judging)
        first = inside.haproxy, children(inside.haproxy)
        until(lambda: len(read(report)) > 1000)
        answered = revoke_all(server, many.ids[:REVOKED])
        until(lambda: children(inside.haproxy) != first[1])  # the many changes were worth new maps
        until(inside.is_judging)
        done = len(read(report))
        until(lambda: len(read(report)) > done + 2000)
        assert inside.haproxy == first[0]
    sent = read(report)
    assert accepted_after(sent, answered) == []
    kept = [one.status for one in sent if one.number >= REVOKED]
    assert set(kept) == {200}, "a reload drops no request"
    died = [one for one in sent if one.number < REVOKED and one.sent_ns > answered[one.number]]
    assert len(died) > 1000
    assert {one.status for one in died} == {401}
