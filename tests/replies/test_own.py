"""Keys that may touch only what they made, over the real Python SDK, against a platform with a memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import runloop_api_client as sdk
from runloop_api_client import Runloop

from keyscope.derive import attenuate
from tests.live import Live
from tests.recorder import Recorder
from tests.replies.sandboxes import Sandboxes

SCOPES = ("devboxes:write", "snapshots:write", "blueprints:read")
OWN = {"own": True}


@pytest.fixture(scope="module")
def sandboxes() -> Sandboxes:
    return Sandboxes()


@pytest.fixture(scope="module")
def live(sandboxes: Sandboxes, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Recorder(sandboxes) as upstream, Live(new_directory(), upstream=upstream.url) as server:
        yield server


def client(live: Live, secret: str) -> Runloop:
    return Runloop(bearer_token=secret, base_url=live.url, max_retries=0)


def mint(live: Live, *, by: str | None = None, scopes: tuple[str, ...] = SCOPES, **restrictions: object) -> str:
    secret: str = live.mint(*scopes, by=by, restrictions=restrictions or OWN)["key_secret"]
    return secret


@pytest.fixture
def mine(live: Live) -> Runloop:
    return client(live, mint(live))


@pytest.fixture
def theirs(live: Live) -> Runloop:
    return client(live, mint(live))


def ids(things: object) -> list[str]:
    return [thing.id for thing in things]  # type: ignore[attr-defined]


def test_neither_of_two_keys_reaches_what_the_other_made(mine: Runloop, theirs: Runloop, sandboxes: Sandboxes) -> None:
    a, b = mine.devboxes.create(name="a"), theirs.devboxes.create(name="b")
    assert ids(mine.devboxes.list()) == [a.id]
    assert ids(theirs.devboxes.list()) == [b.id]
    assert mine.devboxes.retrieve(a.id).name == "a"
    before = dict(sandboxes.devboxes[b.id])
    for touch in (
        lambda: mine.devboxes.retrieve(b.id),
        lambda: mine.devboxes.update(b.id, name="taken"),
        lambda: mine.devboxes.shutdown(b.id),
        lambda: mine.devboxes.suspend(b.id),
        lambda: mine.devboxes.snapshot_disk(b.id),
        lambda: mine.devboxes.read_file_contents(b.id, file_path="/x"),
    ):
        with pytest.raises(sdk.NotFoundError):
            touch()
    assert sandboxes.devboxes[b.id] == before
    assert mine.devboxes.shutdown(a.id).status == "shutdown"


def test_a_foreign_thing_is_answered_in_the_words_for_what_does_not_exist(live: Live, theirs: Runloop) -> None:
    b, secret = theirs.devboxes.create(), mint(live)
    foreign = live.call("GET", f"/v1/devboxes/{b.id}", secret)
    nothing = live.call("GET", "/v1/devboxes/dbx_none", secret)
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.json() == nothing.json()
    assert set(foreign.headers) == set(nothing.headers)


def test_snapshots_of_own_things_are_own_and_restore_to_own(mine: Runloop, theirs: Runloop) -> None:
    a = mine.devboxes.create()
    snapshot = mine.devboxes.snapshot_disk(a.id)
    assert ids(mine.devboxes.disk_snapshots.list()) == [snapshot.id]
    assert ids(theirs.devboxes.disk_snapshots.list()) == []
    with pytest.raises(sdk.PermissionDeniedError) as refused:
        theirs.devboxes.create(snapshot_id=snapshot.id)
    assert refused.value.body["objections"][0]["reason"] == "not_own"  # type: ignore[index]
    with pytest.raises(sdk.NotFoundError):
        theirs.devboxes.disk_snapshots.delete(snapshot.id)
    restored = mine.devboxes.create(snapshot_id=snapshot.id)
    assert ids(mine.devboxes.list()) == [a.id, restored.id]
    mine.devboxes.disk_snapshots.delete(snapshot.id)


def test_what_a_child_makes_is_its_parents_too_and_not_the_other_way_round(live: Live) -> None:
    parent_secret = mint(live, scopes=(*SCOPES, "account:write"))
    parent, child = client(live, parent_secret), client(live, mint(live, by=parent_secret))
    ours, its = parent.devboxes.create(), child.devboxes.create()
    assert ids(parent.devboxes.list()) == [ours.id, its.id]
    assert ids(child.devboxes.list()) == [its.id]
    with pytest.raises(sdk.NotFoundError):
        child.devboxes.retrieve(ours.id)


def test_a_child_without_restrictions_of_its_own_is_held_to_its_parents(live: Live, theirs: Runloop) -> None:
    parent = mint(live, scopes=(*SCOPES, "account:write"))
    child = client(live, live.mint(*SCOPES, by=parent)["key_secret"])
    foreign = theirs.devboxes.create()
    with pytest.raises(sdk.NotFoundError):
        child.devboxes.retrieve(foreign.id)
    made = client(live, parent).devboxes.create()
    assert ids(child.devboxes.list()) == [made.id]


def test_a_derived_key_shares_what_the_key_it_came_from_made(live: Live, theirs: Runloop) -> None:
    secret = mint(live)
    made = client(live, secret).devboxes.create()
    derived = client(live, attenuate(secret, scopes=["devboxes:write"]))
    assert ids(derived.devboxes.list()) == [made.id]
    second = derived.devboxes.create()
    assert ids(client(live, secret).devboxes.list()) == [made.id, second.id]
    assert second.id not in ids(theirs.devboxes.list())


def test_own_of_one_type_leaves_the_others_alone(live: Live, theirs: Runloop) -> None:
    foreign = theirs.devboxes.create()
    limited = client(live, mint(live, own=["snapshots"]))
    assert foreign.id in ids(limited.devboxes.list(limit=5000))
    snapshot = limited.devboxes.snapshot_disk(foreign.id)
    assert ids(limited.devboxes.disk_snapshots.list()) == [snapshot.id]


def test_standard_keys_and_others_see_everything(live: Live, mine: Runloop) -> None:
    made = mine.devboxes.create()
    for secret in (live.first, live.mint("devboxes:read")["key_secret"]):
        assert made.id in ids(client(live, secret).devboxes.list(limit=5000))


def test_things_stay_own_over_a_restart(live: Live, theirs: Runloop) -> None:
    secret = mint(live)
    made, foreign = client(live, secret).devboxes.create(), theirs.devboxes.create()
    live.stop()
    live.start()
    assert ids(client(live, secret).devboxes.list()) == [made.id]
    with pytest.raises(sdk.NotFoundError):
        client(live, secret).devboxes.retrieve(foreign.id)


def test_instances_are_filtered_by_id_and_pattern(live: Live, sandboxes: Sandboxes) -> None:
    a, b, c = (sandboxes.new_devbox() for _ in range(3))
    limited = client(live, mint(live, instances={"devboxes": [a, f"{c[:-1]}*"]}))
    seen = ids(limited.devboxes.list(limit=5000))
    assert a in seen
    assert c in seen
    assert (b in seen) == b.startswith(c[:-1])
    with pytest.raises(sdk.PermissionDeniedError):
        limited.devboxes.create()


def test_a_list_that_begins_after_a_foreign_thing_does_not_exist(live: Live, theirs: Runloop) -> None:
    foreign, secret = theirs.devboxes.create(), mint(live)
    answers = [live.call("GET", f"/v1/devboxes?starting_after={name}", secret) for name in (foreign.id, "dbx_none")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
