"""Own things on several nodes: what is made at one is its maker's at all, and nothing is guessed while nobody knows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cli.run import keyscope
from tests.live import Live
from tests.nodes.cluster import running
from tests.nodes.team import Team, team, wait
from tests.postgres import Databases
from tests.recorder import Recorder
from tests.replies.sandboxes import Sandboxes

BROKEN = Path(__file__).parents[1] / "replies" / "broken.py"
OWN = {"own": True}
STALENESS_S = 4.0


@pytest.fixture(scope="module")
def sandboxes() -> Sandboxes:
    return Sandboxes()


@pytest.fixture(scope="module")
def two(sandboxes: Sandboxes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Two nodes on a PostgreSQL of their own, which may be stopped."""
    directory = tmp_path_factory.mktemp("things") / "nodes"
    with (
        running() as cluster,
        Recorder(sandboxes) as upstream,
        team(directory, cluster, count=2, staleness_s=STALENESS_S, upstream=upstream.url) as members,
    ):
        yield members


def minted(two: Team, **restrictions: object) -> str:
    """A key that both nodes know."""
    secret: str = two[0].mint("devboxes:write", restrictions=restrictions or OWN)["key_secret"]
    for member in two.members:
        wait(lambda member=member: member.may(secret) != 401, "the key is known")  # type: ignore[misc]
    return secret


def create(live: Live, secret: str) -> httpx.Response:
    return live.call("POST", "/v1/devboxes", secret, json={})


def made(live: Live, secret: str) -> str:
    reply = create(live, secret)
    assert reply.status_code == 200, reply.text
    name: str = reply.json()["id"]
    return name


def status(live: Live, secret: str, name: str) -> int:
    return live.call("GET", f"/v1/devboxes/{name}", secret).status_code


def listed(live: Live, secret: str) -> list[str]:
    reply = live.call("GET", "/v1/devboxes?limit=5000", secret)
    assert reply.status_code == 200, reply.text
    return [box["id"] for box in reply.json()["devboxes"]]


def test_what_is_made_at_one_node_is_its_makers_at_the_other_and_nobody_elses_at_either(
    two: Team, sandboxes: Sandboxes
) -> None:
    mine, theirs = minted(two), minted(two)
    sandboxes.new_devbox()
    ours = [made(two[number % 2], mine) for number in range(6)]
    foreign = made(two[0], theirs)
    for member in two.members:
        assert [status(member, mine, name) for name in ours] == [200] * 6
        assert [status(member, theirs, name) for name in ours] == [404] * 6
        assert listed(member, mine) == ours
        assert listed(member, theirs) == [foreign]
        nothing = member.call("GET", "/v1/devboxes/dbx_none", mine)
        assert member.call("GET", f"/v1/devboxes/{foreign}", mine).json() == nothing.json()
    assert two[1].call("POST", f"/v1/devboxes/{foreign}/shutdown", mine).status_code == 404
    assert two[1].call("GET", f"/v1/devboxes?starting_after={foreign}", mine).status_code == 404


def test_a_body_that_names_what_was_made_elsewhere_is_judged_by_it(two: Team) -> None:
    mine, theirs = (two[0].mint("devboxes:write", "snapshots:write", restrictions=OWN)["key_secret"] for _ in range(2))
    for secret in (mine, theirs):
        wait(lambda secret=secret: two[1].may(secret) != 401, "the key is known")  # type: ignore[misc]
    snapshot = two[0].call("POST", f"/v1/devboxes/{made(two[0], mine)}/snapshot_disk", mine, json={}).json()["id"]
    assert two[1].call("POST", "/v1/devboxes", mine, json={"snapshot_id": snapshot}).status_code == 200
    refused = two[1].call("POST", "/v1/devboxes", theirs, json={"snapshot_id": snapshot})
    assert (refused.status_code, refused.json()["objections"][0]["reason"]) == (403, "not_own")


def test_may_i_is_answered_by_what_all_nodes_have_recorded(two: Team) -> None:
    mine, theirs = minted(two), minted(two)
    asked = f"/keyscope/can?method=GET&path=/v1/devboxes/{made(two[0], mine)}"
    assert [two[1].call("GET", asked, secret).json()["allowed"] for secret in (mine, theirs)] == [True, False]


def test_a_held_call_about_what_was_made_elsewhere_is_sent(two: Team, sandboxes: Sandboxes) -> None:
    secret = minted(two, own=True, hold={"deadline_ms": 60_000, "operations": ["shutdownDevbox"]})
    name, foreign = made(two[0], secret), sandboxes.new_devbox()
    assert two[1].call("POST", f"/v1/devboxes/{foreign}/shutdown", secret).status_code == 404
    held = two[1].call("POST", f"/v1/devboxes/{name}/shutdown", secret)
    assert held.status_code == 202, held.text
    assert two[1].call("POST", f"/keyscope/holds/{held.json()['id']}/approve", json={}).status_code == 200
    wait(lambda: sandboxes.devboxes[name]["status"] == "shutdown", "it was sent")


def test_a_list_is_cut_down_to_instances(two: Team, sandboxes: Sandboxes) -> None:
    kept, _ = sandboxes.new_devbox(), sandboxes.new_devbox()
    assert listed(two[1], minted(two, instances={"devboxes": [kept]})) == [kept]


def test_many_calls_at_once_are_each_answered_rightly(two: Team) -> None:
    secrets = [minted(two) for _ in range(4)]
    owned = {made(two[0], secret): secret for secret in secrets for _ in range(5)}
    asked = [(name, secret) for name in owned for secret in secrets]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda pair: status(two[1], pair[1], pair[0]), asked))
    assert found == [200 if owned[name] == secret else 404 for name, secret in asked]


def test_while_postgresql_is_away_nothing_is_guessed(two: Team, sandboxes: Sandboxes) -> None:
    mine, plain = minted(two), two[0].mint("devboxes:write")["key_secret"]
    wait(lambda: two[1].may(plain) == 200, "the key is known")
    name = made(two[0], mine)
    two.cluster.stop()
    answers = [two[1].call("GET", path, mine) for path in (f"/v1/devboxes/{name}", "/v1/devboxes/dbx_none")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert status(two[0], mine, name) == 200  # it has found that before, and it stays so
    before = set(sandboxes.devboxes)
    refused = create(two[1], mine)
    assert (refused.status_code, refused.json()["code"], refused.headers["x-should-retry"]) == (
        503, "not_recorded", "false",
    )  # fmt: skip
    assert status(two[1], plain, name) == 200
    for member in two.members:
        member.wait_closed()
        assert status(member, mine, name) == 503
    two.cluster.start()
    for member in two.members:
        member.wait_ready()
    [lost] = set(sandboxes.devboxes) - before
    assert [status(two[1], mine, box) for box in (name, lost)] == [200, 404]
    adopted = adopt(two, mine, lost)
    assert adopted.returncode == 0, adopted.stderr
    assert [status(member, mine, lost) for member in two.members] == [200, 200]


def adopt(two: Team, secret: str, name: str) -> subprocess.CompletedProcess[str]:
    key_id = two[1].call("GET", "/keyscope/me", secret).json()["id"]
    return keyscope("db", "adopt", key_id, "devboxes", name, "--database", two.cluster.url(), cwd=two[1].directory)


def test_a_network_that_swallows_everything_holds_up_no_other_key(two: Team) -> None:
    mine, plain = minted(two), two[0].mint("devboxes:write")["key_secret"]
    wait(lambda: two[1].may(plain) == 200, "the key is known")
    name = made(two[0], mine)
    two[1].relay.holds = True
    try:
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(status, two[1], mine, name) for _ in range(8)]
            assert status(two[1], plain, name) == 200
            assert not any(one.done() and one.result() == 200 for one in waiting)
            two[1].wait_closed()
            assert status(two[1], mine, name) == 503
            two[1].relay.holds = False
            assert {one.result() for one in waiting} <= {200, 503}  # an answer that came late is a true one
    finally:
        two[1].relay.holds = False
        two[1].wait_ready()


def wait_ready(live: Live) -> None:
    wait(lambda: live.call("GET", "/keyscope/readyz", "").status_code == 200, "it is ready")


@pytest.mark.parametrize("build", ["dies_before_the_record", "dies_after_the_record"])
def test_kill_9_between_the_apis_answer_and_the_reply_is_as_on_one_machine(
    build: str, databases: Databases, new_directory: Callable[[], Path]
) -> None:
    sandboxes, options = Sandboxes(), ["--database", databases.fresh()]
    with Recorder(sandboxes) as upstream:
        dying = Live(new_directory(), upstream=upstream.url, options=options, program=(str(BROKEN), build))
        with dying:
            wait_ready(dying)
            maker, other = (dying.mint("devboxes:write", restrictions=OWN)["key_secret"] for _ in range(2))
            with pytest.raises(httpx.RemoteProtocolError):
                create(dying, maker)
        [name] = sandboxes.devboxes
        sound = Live(new_directory(), upstream=upstream.url, options=options)
        sound.first = dying.first
        with sound as live:
            wait_ready(live)
            recorded = build == "dies_after_the_record"
            assert [status(live, key, name) for key in (maker, other)] == [200 if recorded else 404, 404]
            assert [listed(live, key) for key in (maker, other)] == [[name] if recorded else [], []]
            assert json.loads(live.call("GET", f"/v1/devboxes/{name}").text)["id"] == name
