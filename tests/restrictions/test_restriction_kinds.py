"""What each kind of restriction refuses, and what it leaves alone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from keyscope.gate.sight import BLIND, SEES_NO_BODY, Sight
from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Deny, decide
from keyscope.model.key import Lineage
from keyscope.model.objection import Reason
from keyscope.model.restriction.things import fits
from tests.restrictions.making import a_key, judged, owners, runloop


def reasons(restrictions: dict[str, Json], call: str, body: Json = None, **more: object) -> tuple[Reason, ...]:
    decision = judged(Lineage(a_key(restrictions=restrictions)), call, body, **more)  # type: ignore[arg-type]
    return decision.reasons if isinstance(decision, Deny) else ()


ONE_BOX: dict[str, Json] = {"instances": {"devboxes": ["dbx_a", "ci-*"]}}


@pytest.mark.parametrize(
    "call",
    [
        "GET /v1/devboxes/dbx_a",
        "GET /v1/devboxes/ci-7",
        "POST /v1/devboxes/dbx_a/execute_async",
        "GET /v1/devboxes/dbx_a/executions/anything",
        "POST /v1/devboxes/dbx_a/snapshot_disk",
        "GET /v1/devboxes",
        "GET /v1/axons",
        "GET /v1/blueprints/bpt_1",
        "POST /v1/objects",
    ],
)
def test_a_key_for_certain_instances_reaches_those_their_lists_and_other_types(call: str) -> None:
    assert reasons(ONE_BOX, call) == ()


@pytest.mark.parametrize(
    "call",
    [
        "GET /v1/devboxes/dbx_b",
        "GET /v1/devboxes/ci",
        "GET /v1/devboxes/xci-7",
        "GET /v1/devboxes/DBX_A",
        "GET /v1/devboxes/dbx%5Fa%20",
        "POST /v1/devboxes",
        "POST /v1/devboxes/create_and_await_running",
        "POST /v1/axons",
        "POST /v1/axons/axn_1/publish",
        "GET /v1/devboxes/metadata/keys",
        "GET /v1/devboxes/evictions/watch",
        "GET /pty/dbx_a",
        "POST /v1/scenarios/runs/sr_1/cancel",
        "GET /v1/agents/devbox_counts",
        "POST /v1/devboxes/disk_snapshots/create_ssh_key",
    ],
)
def test_a_key_for_certain_instances_reaches_no_others_makes_none_and_calls_nothing_that_names_none(call: str) -> None:
    assert reasons(ONE_BOX, call) == (Reason.OTHER_INSTANCE,)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"blueprint_id": "bpt_1"}, ()),
        ({"blueprint_name": "base-1"}, ()),
        ({}, ()),
        ({"blueprint_id": "bpt_2"}, (Reason.OTHER_INSTANCE,)),
        ({"blueprint_id": "bpt_1", "blueprint_name": "other"}, (Reason.OTHER_INSTANCE,)),
        ({"blueprint_id": 1}, (Reason.OTHER_INSTANCE,)),
        ({"blueprint_id": ["bpt_1"]}, (Reason.OTHER_INSTANCE,)),
    ],
)
def test_what_a_body_names_is_limited_too(body: Json, expected: tuple[Reason, ...]) -> None:
    assert reasons({"instances": {"blueprints": ["bpt_1", "base-*"]}}, "POST /v1/devboxes", body) == expected


def test_a_reference_that_needs_no_further_scope_is_limited_too() -> None:
    scenario: dict[str, Json] = {"instances": {"scenarios": ["scn_a"]}}
    assert reasons(scenario, "POST /v1/scenarios/start_run", {"scenario_id": "scn_a"}) == ()
    assert reasons(scenario, "POST /v1/scenarios/start_run", {"scenario_id": "scn_b"}) == (Reason.OTHER_INSTANCE,)
    assert reasons(scenario, "POST /v1/scenarios/start_run", {}) == (Reason.OTHER_INSTANCE,)


def test_one_secret_of_the_account_can_be_named_so_that_no_other_can_be_read_through_a_devbox() -> None:
    one: dict[str, Json] = {"instances": {"account": ["CI_TOKEN"]}}
    assert reasons(one, "POST /v1/devboxes", {"secrets": {"A": "CI_TOKEN"}}) == ()
    assert reasons(one, "POST /v1/devboxes", {"secrets": {"A": "CI_TOKEN", "B": "OTHER"}}) == (Reason.OTHER_INSTANCE,)
    assert reasons(one, "GET /v1/secrets/CI_TOKEN") == ()
    assert reasons(one, "GET /v1/accounts/me") == (Reason.OTHER_INSTANCE,)


def test_what_is_not_seen_is_refused() -> None:
    blueprint: dict[str, Json] = {"instances": {"blueprints": ["bpt_1"]}}
    assert reasons(blueprint, "POST /v1/devboxes", sight=BLIND) == (Reason.NOT_SEEN,)
    assert reasons(blueprint, "GET /v1/blueprints", sight=BLIND) == (Reason.NOT_SEEN,)
    assert reasons(blueprint, "GET /v1/blueprints/bpt_1", sight=BLIND) == ()
    assert reasons(blueprint, "POST /v1/devboxes", sight=SEES_NO_BODY) == ()
    assert reasons({"own": True}, "POST /v1/devboxes", sight=SEES_NO_BODY) == (Reason.NOT_SEEN,)
    for counted in ({"uses": 1}, {"rate": {"requests": 1, "per_ms": 1000}}, {"parallel": 1}):
        assert reasons(counted, "GET /v1/objects", sight=Sight(sees_end=True)) == (Reason.NOT_SEEN,)  # type: ignore[arg-type]
    assert reasons({"cidrs": ["0.0.0.0/0", "::/0"]}, "GET /v1/objects", peer="") == (Reason.NOT_SEEN,)
    assert reasons({"cidrs": ["0.0.0.0/0", "::/0"]}, "GET /v1/objects", peer="nobody") == (Reason.NOT_SEEN,)


@pytest.mark.parametrize(
    "one",
    [{"instances": {"devboxes": ["*"]}}, {"own": True}, {"cidrs": ["0.0.0.0/0"]}, {"uses": 1}, {"deny": ["getDevbox"]}],
    ids=lambda one: next(iter(one)),
)
def test_a_call_of_which_nothing_is_known_is_refused(one: dict[str, Json]) -> None:
    decision = decide(Lineage(a_key(restrictions=one)), Access(None, (), 0))
    assert isinstance(decision, Deny)
    assert Reason.NOT_SEEN in decision.reasons


OWNED = owners(
    ("devboxes", "dbx_a", "key_a key_root"), ("devboxes", "dbx_b", "key_b key_root"), ("snapshots", "snp_a", "key_a")
)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("GET /v1/devboxes/dbx_a", None),
        ("POST /v1/devboxes/dbx_a/shutdown", None),
        ("POST /v1/devboxes", {}),
        ("POST /v1/devboxes", {"snapshot_id": "snp_a"}),
        ("POST /v1/devboxes/dbx_a/snapshot_disk", {}),
        ("GET /v1/devboxes", None),
        ("GET /v1/devboxes/disk_snapshots", None),
    ],
)
def test_an_own_key_reaches_what_it_made_makes_more_and_lists(call: str, body: Json) -> None:
    assert reasons({"own": True}, call, body, sight=OWNED) == ()


@pytest.mark.parametrize(
    "call", ["GET /v1/devboxes/dbx_b", "GET /v1/devboxes/no_such", "POST /v1/devboxes/dbx_b/shutdown"]
)
def test_what_an_own_key_did_not_make_does_not_exist_for_it(call: str) -> None:
    decision = judged(Lineage(a_key(restrictions={"own": ["devboxes"]})), call, sight=OWNED)
    assert isinstance(decision, Deny)
    assert decision.reasons == (Reason.NOT_OWN,)
    assert decision.is_hidden


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("POST /v1/devboxes", {"snapshot_id": "snp_other"}),
        ("POST /v1/devboxes", {"blueprint_name": "base"}),
        ("POST /v1/devboxes", {"mounts": [{"axon_id": "dbx_b"}]}),
        ("GET /v1/devboxes/metadata/keys", None),
    ],
)
def test_an_own_key_names_nothing_of_others_in_bodies_and_is_told_so(call: str, body: Json) -> None:
    decision = judged(Lineage(a_key(restrictions={"own": True})), call, body, sight=OWNED)
    assert isinstance(decision, Deny)
    assert decision.reasons == (Reason.NOT_OWN,)
    assert not decision.is_hidden


def test_own_is_what_the_holder_of_the_restriction_made_or_a_key_below_it() -> None:
    root = Lineage(a_key("key_root", {"own": ["devboxes"]}))
    child = Lineage(a_key("key_a"), root)
    assert isinstance(judged(child, "GET /v1/devboxes/dbx_b", sight=OWNED), Allow)
    strict = Lineage(a_key("key_a", {"own": ["devboxes"]}), root)
    assert isinstance(judged(strict, "GET /v1/devboxes/dbx_b", sight=OWNED), Deny)
    assert isinstance(judged(strict, "GET /v1/devboxes/dbx_a", sight=OWNED), Allow)


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("11.0.0.1", False),
        ("::ffff:11.0.0.1", False),
        ("::a01:203", False),
        ("2001:db9::1", False),
    ],
)
def test_cidrs_hold_addresses_of_their_own_version(peer: str, allowed: bool) -> None:
    one: dict[str, Json] = {"cidrs": ["10.0.0.0/8", "2001:db8::/32"]}
    assert reasons(one, "GET /v1/objects", peer=peer) == (() if allowed else (Reason.OTHER_ADDRESS,))


def berlin(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)


WORK: dict[str, Json] = {"from": "09:00", "to": "17:00", "timezone": "Europe/Berlin", "days": ["mon", "tue"]}
NIGHT: dict[str, Json] = {"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin", "days": ["mon"]}


@pytest.mark.parametrize(
    ("window", "at", "allowed"),
    [
        (WORK, "2026-01-05T09:00:00", True),
        (WORK, "2026-01-05T16:59:59", True),
        (WORK, "2026-07-06T09:00:00", True),
        (WORK, "2026-01-05T08:59:59", False),
        (WORK, "2026-01-05T17:00:00", False),
        (WORK, "2026-01-07T12:00:00", False),
        (NIGHT, "2026-01-05T23:00:00", True),
        (NIGHT, "2026-01-06T05:59:59", True),
        (NIGHT, "2026-01-06T06:00:00", False),
        (NIGHT, "2026-01-05T05:00:00", False),
        (NIGHT, "2026-01-06T23:00:00", False),
    ],
)
def test_a_window_is_of_the_place_and_over_midnight_of_the_day_on_which_it_begins(
    window: Json, at: str, allowed: bool
) -> None:
    found = reasons({"window": window}, "GET /v1/objects", now_ms=berlin(at))
    assert found == (() if allowed else (Reason.OUTSIDE_WINDOW,))


def test_a_key_is_good_from_its_not_before_on() -> None:
    assert reasons({"not_before_ms": 1000}, "GET /v1/objects", now_ms=999) == (Reason.TOO_EARLY,)
    assert reasons({"not_before_ms": 1000}, "GET /v1/objects", now_ms=1000) == ()


@pytest.mark.parametrize(
    ("name", "call", "allowed"),
    [
        ("shutdownDevbox", "POST /v1/devboxes/dbx_a/shutdown", False),
        ("shutdownDevbox", "POST /v1/devboxes/dbx_a/suspend", True),
        ("POST", "POST /v1/devboxes/dbx_a/suspend", False),
        ("POST", "GET /v1/devboxes/dbx_a", True),
        ("createDevboxSshKey", "POST /v1/devboxes/disk_snapshots/create_ssh_key", False),
    ],
)
def test_a_denial_by_name_wins_over_every_scope(name: str, call: str, allowed: bool) -> None:
    assert reasons({"deny": [name]}, call) == (() if allowed else (Reason.OPERATION_DENIED,))


def test_only_what_is_held_needs_a_gate_that_holds() -> None:
    assert reasons({"hold": {"deadline_ms": 1}}, "POST /v1/devboxes/dbx_a/shutdown", sight=SEES_NO_BODY) == (
        Reason.NOT_SEEN,
    )
    assert reasons({"hold": {"deadline_ms": 1}}, "POST /v1/devboxes/dbx_a/suspend", sight=SEES_NO_BODY) == ()
    named: dict[str, Json] = {"hold": {"delay_ms": 1, "operations": ["suspendDevbox"]}}
    assert reasons(named, "POST /v1/devboxes/dbx_a/shutdown", sight=SEES_NO_BODY) == ()
    assert reasons(named, "POST /v1/devboxes/dbx_a/suspend", sight=SEES_NO_BODY) == (Reason.NOT_SEEN,)


def test_a_key_may_always_ask_what_it_is_and_end_itself() -> None:
    bound: dict[str, Json] = {"deny": ["GET", "POST"], "cidrs": ["192.0.2.0/24"], "own": True, "uses": 1}
    for call in ("GET /keyscope/me", "GET /keyscope/can", "POST /keyscope/me/revoke"):
        assert reasons(bound, call, sight=BLIND) == (), call
    assert reasons(bound, "GET /v1/restricted_keys", sight=BLIND) != ()


@pytest.mark.parametrize(
    ("pattern", "text", "fit"),
    [
        ("ci-*", "ci-", True),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*-x-*", "1-x-2", True),
        ("*-x-*", "-x", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*b", "a-b", False),
        ("dbx", "dbx_a", False),
        ("[a-z]?.", "x", False),
    ],
)
def test_patterns_are_whole_and_only_the_star_is_special(pattern: str, text: str, fit: bool) -> None:
    assert fits(pattern, text) is fit


def test_every_path_parameter_of_the_policy_is_judged() -> None:
    """With everything limited and nothing owned, no operation on the API passes but those that make something."""
    lineage = Lineage(a_key(restrictions={"own": True}))
    for operation in runloop():
        if operation.is_own or operation.method == "MCP":
            continue
        path = "/".join("x" if part.startswith("{") else part for part in operation.template.split("/"))
        decision = judged(lineage, f"{operation.method} {path}", sight=OWNED)
        if isinstance(decision, Allow):
            assert operation.creates or operation.lists, operation
