"""What is kept in memory is bounded, and counts stay exact."""

from __future__ import annotations

from keyscope.authority.ledger import MOST_APART, MOST_EQUAL, MOST_KINDS, MOST_PEERS, Ledger
from keyscope.authority.trail import MINUTE_MS, Attempt
from keyscope.model.access import Access
from keyscope.model.decision import Allow, Deny, decide
from keyscope.model.key import Key, Lineage
from keyscope.model.operation import Operation, Route
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from tests.audit.made import MINUTE, uses

READ, WRITE = Scope.parse("devboxes:read"), Scope.parse("devboxes:write")
LIST = Route((Operation(id="listDevboxes", method="GET", template="/v1/devboxes", needs=(READ,)),), (READ,), ())


def _key(number: int = 0) -> Lineage:
    kind, scopes = Kind.RESTRICTED, (READ,)
    key = Key(id=f"key_{number}", account_id="acc_1", kind=kind, name="k", digest=b"", hint="", scopes=scopes,
              created_at_ms=0)  # fmt: skip
    return Lineage(key)


def _allow(now_ms: int = MINUTE, lineage: Lineage | None = None, needs: tuple[Scope, ...] = LIST.needs) -> Allow:
    decision = decide(lineage or _key(), Access(LIST, needs, now_ms))
    assert isinstance(decision, Allow)
    return decision


def _deny(number: int = 0, route: Route | None = LIST) -> Deny:
    decision = decide(_key(number), Access(route, (WRITE,), MINUTE))
    assert isinstance(decision, Deny)
    return decision


def test_calls_are_counted_by_key_operation_needs_and_minute() -> None:
    ledger = Ledger()
    other = (READ, Scope.parse("devboxes:none"))
    for minute in (MINUTE, MINUTE + MINUTE_MS - 1, MINUTE + MINUTE_MS):
        ledger.allowed(_allow(minute))
    ledger.allowed(_allow(needs=other))
    ledger.allowed(_allow(lineage=_key(1)))
    found = {(c.key_id, c.minute_ms, len(c.needs)): c.calls for c in ledger.take().batch().uses}
    later = MINUTE + MINUTE_MS
    assert found == {("key_0", MINUTE, 1): 2, ("key_0", later, 1): 1, ("key_0", later, 2): 1, ("key_1", later, 1): 1}


def test_what_was_taken_is_not_taken_again() -> None:
    ledger = Ledger()
    ledger.allowed(_allow())
    ledger.denied(_deny())
    first, second = ledger.take(), ledger.take()
    assert (len(first.batch().entries), len(first.batch().uses)) == (1, 1)
    assert (len(second.batch().entries), len(second.batch().uses)) == (0, 0)
    assert first.used_at_ms() == {"key_0": MINUTE}


def test_the_scopes_that_a_body_added_are_part_of_the_count_in_any_order() -> None:
    ledger = Ledger()
    a, b = Scope.parse("devboxes:read"), Scope.parse("blueprints:none")
    for needs in ((a, b), (b, a)):
        ledger.allowed(_allow(needs=needs))
    [count] = ledger.take().batch().uses
    assert (count.calls, [str(scope) for scope in count.needs]) == (2, ["blueprints:none", "devboxes:read"])


def test_a_flood_of_equal_denials_is_a_few_entries_and_all_are_counted() -> None:
    ledger = Ledger()
    for _ in range(20_000):
        ledger.denied(_deny(), Attempt(method="GET", path="/v1/devboxes", peer="10.0.0.1"))
    entries = ledger.take().batch().entries
    assert len(entries) == MOST_EQUAL + 1
    assert sum(entry.times for entry in entries) == 20_000
    assert entries[-1].key_id == "key_0"


def test_a_flood_of_different_denials_is_bounded_and_all_are_counted() -> None:
    ledger = Ledger()
    for number in range(5_000):
        ledger.denied(_deny(number), Attempt(peer=f"10.0.0.{number}"))
    for number in range(5_000):
        ledger.refused("invalid_token", Attempt(peer=f"fd00::{number}"), MINUTE)
    entries = ledger.take().batch().entries
    assert len(entries) == MOST_APART + MOST_KINDS + 1 + MOST_PEERS + 1
    assert sum(entry.times for entry in entries if entry.code == "insufficient_scope") == 5_000
    assert sum(entry.times for entry in entries if entry.code == "invalid_token") == 5_000


def test_an_engine_outside_adds_what_it_counted() -> None:
    ledger = Ledger()
    ledger.allowed(_allow())
    ledger.add_calls(uses(41, key_id="key_0"))
    [count] = ledger.take().batch().uses
    assert count.calls == 42
