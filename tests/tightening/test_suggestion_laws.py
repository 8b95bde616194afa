"""The suggestion is exactly what a generated workload needs; the replay proves it; the narrowed key serves it again."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from keyscope.authority.suggestion import replay, suggest
from keyscope.authority.trail import EntryQuery
from keyscope.derive import attenuate
from keyscope.gate.envoy import EnvoyGate
from keyscope.gate.peers import TrustedPeers
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.operation import Operation
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.overlaps import overlapping, sample, unify
from tests.gate.questions import question, shown, verdict
from tests.tightening.workload import OF_THE_API, OPERATIONS, POLICY, TABLE, Bench, Work, body_for, needed

DAY_MS = 86_400_000
EVERYTHING = tuple(Scope(name, Level.WRITE) for name in POLICY.resource_names)


def _call(row: Operation, which: int) -> Work:
    """A call of a row; ``which`` chooses one of its conditions on the body to meet, or none."""
    path = "/" + "/".join(part.replace("{}", "x1") for part in row.segments)
    body = body_for(row.body[which % len(row.body)].when) if row.body and which else None
    return Work(row.method, path, body)


def _tied() -> list[Work]:
    """Calls that match several templates, whichever way that is settled."""
    pairs = [(one, sample(unify(one.segments, other.segments))) for one, other in overlapping(OF_THE_API)]
    found = [Work(one.method, path.replace("{}", "x1")) for one, path in pairs]
    return [work for work in found if TABLE.find(work.method, work.path) is not None]


plain = st.builds(_call, st.sampled_from(OF_THE_API), st.integers(0, 5))
by_body = st.builds(_call, st.sampled_from([row for row in OF_THE_API if row.body]), st.integers(1, 20))
workloads = st.lists(st.one_of(plain, by_body, st.sampled_from(_tied())), min_size=1, max_size=12)
grants = st.dictionaries(st.sampled_from(POLICY.resource_names), st.sampled_from(Level)).map(
    lambda levels: tuple(Scope(name, level) for name, level in levels.items())
)


@settings(max_examples=80, deadline=None)
@given(workloads)
def test_the_suggestion_is_exactly_the_need_and_serves_the_same_workload(calls: list[Work]) -> None:
    bench = Bench()
    key = bench.mint(EVERYTHING)
    assert all(isinstance(bench.call(key.secret, work), Allow) for work in calls)
    evidence, found = bench.evidence(key.key.id), bench.suggest(key.key.id)
    assert found.scopes == needed(calls)
    assert (found.replay.calls, found.replay.refused) == (len(calls), 0)
    assert found.adds == ()
    for scope in found.scopes:
        lower = (*(other for other in found.scopes if other != scope), Scope(scope.resource, Level(scope.level - 1)))
        assert replay(evidence, list(evidence.uses), lower, OPERATIONS).refused > 0
    bench.tightening.narrow(bench.owner, key.key.id, found.scopes, Origin())
    assert all(isinstance(bench.call(key.secret, work), Allow) for work in calls)
    assert bench.suggest(key.key.id).scopes == found.scopes


@settings(max_examples=60, deadline=None)
@given(grants, workloads)
def test_what_an_observed_key_lacked_is_served_afterwards_without_being_observed(
    has: tuple[Scope, ...], calls: list[Work]
) -> None:
    bench = Bench()
    key = bench.mint(has)
    bench.tightening.observe(bench.owner, key.key.id, bench.clock.now_ms() + DAY_MS, Origin())
    assert all(isinstance(bench.call(key.secret, work), Allow) for work in calls)
    found = bench.suggest(key.key.id)
    assert found.scopes == needed(calls)
    assert found.replay.refused == 0
    assert found.adds == Grant(has).missing(needed(calls))
    bench.tightening.narrow(bench.owner, key.key.id, found.scopes, Origin(), may_add=True)
    bench.tightening.observe(bench.owner, key.key.id, None, Origin())
    outcomes = [bench.call(key.secret, work) for work in calls]
    assert all(isinstance(outcome, Allow) and outcome.observed is None for outcome in outcomes)


@settings(max_examples=30, deadline=None)
@given(workloads, workloads, workloads)
def test_keys_below_and_derived_keys_are_served_too(own: list[Work], minted: list[Work], derived: list[Work]) -> None:
    bench = Bench()
    key = bench.mint(EVERYTHING)
    child = bench.mint(needed(minted), by=bench.line(key.secret))
    offline = attenuate(key.secret.reveal(), label="offline")
    for secret, calls in ((key.secret, own), (child.secret, minted), (offline, derived)):
        assert all(isinstance(bench.call(secret, work), Allow) for work in calls)
    found = bench.suggest(key.key.id)
    mints = OPERATIONS["createRestrictedKey"].needs
    levels = [*needed(own + minted + derived), *mints]
    assert Grant(found.scopes) == Grant(
        Scope(name, max(scope.level for scope in levels if scope.resource == name))
        for name in {scope.resource for scope in levels}
    )
    assert found.replay.refused == 0
    bench.tightening.narrow(bench.owner, key.key.id, found.scopes, Origin())
    for secret, calls in ((key.secret, own), (child.secret, minted), (offline, derived)):
        assert all(isinstance(bench.call(secret, work), Allow) for work in calls)


def _doubts(bench: Bench, key_id: str, since_ms: int = 0) -> set[str]:
    return {doubt.code for doubt in bench.suggest(key_id, since_ms).doubts}


def test_thin_evidence_is_said() -> None:
    bench = Bench()
    key = bench.mint(EVERYTHING)
    assert _doubts(bench, key.key.id) == {"no_calls", "short_period"}
    bench.call(key.secret, Work("GET", "/v1/devboxes"))
    assert _doubts(bench, key.key.id) == {"few_calls", "short_period", "used_once"}
    for _ in range(100):
        bench.call(key.secret, Work("GET", "/v1/devboxes"))
    bench.clock.at_ms += 8 * DAY_MS
    assert _doubts(bench, key.key.id) == set()
    bench.call(bench.mint(()).secret, Work("GET", "/v1/objects"))
    assert _doubts(bench, key.key.id) == set()


def test_only_calls_of_the_period_count() -> None:
    bench = Bench()
    key = bench.mint(EVERYTHING)
    bench.call(key.secret, Work("POST", "/v1/devboxes"))
    bench.clock.at_ms += 40 * DAY_MS
    bench.call(key.secret, Work("GET", "/v1/objects"))
    found = bench.suggest(key.key.id, bench.clock.now_ms() - 30 * DAY_MS)
    assert list(map(str, found.scopes)) == ["objects:read"]


def test_refused_calls_are_not_served_and_are_said() -> None:
    bench = Bench()
    key = bench.mint((Scope("devboxes", Level.READ),))
    bench.call(key.secret, Work("GET", "/v1/devboxes"))
    bench.call(key.secret, Work("GET", "/v1/objects"))
    assert list(map(str, bench.suggest(key.key.id).scopes)) == ["devboxes:read"]
    assert "refused_calls" in _doubts(bench, key.key.id)


def test_used_stands_beside_granted() -> None:
    bench = Bench()
    key = bench.mint((Scope("devboxes", Level.WRITE), Scope("objects", Level.READ)))
    for _ in range(3):
        bench.call(key.secret, Work("GET", "/v1/devboxes"))
    devboxes, objects = bench.suggest(key.key.id).used
    assert (devboxes.granted, devboxes.used, devboxes.calls) == (Level.WRITE, Level.READ, 3)
    assert devboxes.operations == ("listDevboxes",)
    assert (objects.granted, objects.used, objects.calls, objects.last_ms) == (Level.READ, Level.NONE, 0, None)


def test_an_operation_that_the_policy_has_no_longer_is_left_out_and_said() -> None:
    bench = Bench()
    key = bench.mint(EVERYTHING)
    bench.call(key.secret, Work("GET", "/v1/devboxes"))
    bench.call(key.secret, Work("GET", "/v1/objects"))
    without = {name: row for name, row in OPERATIONS.items() if name != "listObjects"}
    found = suggest(bench.evidence(key.key.id), without)
    assert list(map(str, found.scopes)) == ["devboxes:read"]
    assert "not_in_policy" in {doubt.code for doubt in found.doubts}


def test_envoys_answers_write_what_an_observed_key_lacked_once_a_call_with_its_body() -> None:
    bench = Bench()
    key = bench.mint(())
    bench.tightening.observe(bench.owner, key.key.id, bench.clock.now_ms() + DAY_MS, Origin())
    peers = TrustedPeers((ip_network("127.0.0.0/8"),))
    gate = EnvoyGate(bench.verifier, peers, max_header_bytes=16384, max_body_bytes=4096)
    body = b'{"blueprint_id":"bpt_1"}'
    asked = question("POST", "/v1/devboxes", key.secret.reveal(), shown(body), body)
    assert verdict(gate.check(asked, "ipv4:127.0.0.1:5000")).passes
    bench.evidence(key.key.id)
    found = bench.trail.entries(EntryQuery(account_id=None, limit=10, kind="call.observed")).items
    assert [(entry.operation, entry.missing) for entry in found] == [
        ("createDevbox", ("devboxes:write", "blueprints:read"))
    ]
