"""The counters in Valkey keep the same contract; and what they do when it is away, forgets, or is not heard."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gate.waiting import wait_until
from tests.store.contract_counters import NOW, CounterContract, a_budget, passed
from tests.valkey import Valkey

from keyscope.authority.counters import Budget, Counters, Kind, Spent, Used
from keyscope.errors import ConfigurationError, CountersUnavailable
from keyscope.store.valkey_counters import ValkeyCounters
from keyscope.store.valkey_open import open_valkey


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as valkey:
        yield valkey


class TestValkeyCounters(CounterContract):
    @pytest.fixture
    def counters(self, shared: Valkey) -> Iterator[Counters]:
        counters = open_valkey(shared.url, clock=True, timeout_s=5)
        yield counters
        counters.close()

    @pytest.fixture
    def others(self, shared: Valkey) -> Iterator[Counters]:
        others = open_valkey(shared.url, clock=True, timeout_s=5)
        yield others
        others.close()


def refused(counters: Counters, budget: Budget) -> bool:
    try:
        return bool(counters.take([budget], NOW))
    except CountersUnavailable:
        return True


def works(counters: Counters, budget: Budget) -> bool:
    return not refused(counters, budget)


def test_the_time_is_valkeys_own(shared: Valkey) -> None:
    counters, budget = open_valkey(shared.url, timeout_s=5), a_budget(rate=(1, 3_600_000))
    assert not counters.take([budget], 0)
    (spent,) = counters.take([budget], NOW * 2)
    assert spent.kind is Kind.RATE
    assert spent.wait_ms is not None
    assert 3_500_000 < spent.wait_ms <= 3_600_000
    counters.close()


def test_what_was_spent_survives_a_crash_of_valkey(own: Valkey) -> None:
    counters, budget = open_valkey(own.url, timeout_s=5), a_budget(uses=10)
    assert passed(counters, [budget], 4) == 4
    own.kill()
    with pytest.raises(CountersUnavailable):
        counters.take([budget], NOW)
    own.start()
    wait_until(lambda: works(counters, budget))
    assert passed(counters, [budget], 20) == 5
    counters.close()


def test_a_valkey_that_does_not_answer_is_given_up_soon_and_not_waited_for_again(own: Valkey) -> None:
    counters, budget = open_valkey(own.url, timeout_s=0.1), a_budget(uses=10, parallel=10)
    assert not counters.take([budget], NOW)
    own.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert all(refused(counters, budget) for _ in range(100))
    assert time.monotonic() - began < 1.0
    counters.give_back([budget])
    own.process.send_signal(signal.SIGCONT)
    wait_until(lambda: works(counters, budget))
    # What was asked and not answered is spent; the place of the call that ended meanwhile is not held.
    wait_until(lambda: _tidied(counters))
    used = counters.used([budget.holder])[budget.holder]
    assert used.uses in (2, 3)
    assert used.parallel == 1
    counters.close()


def _tidied(counters: ValkeyCounters) -> bool:
    try:
        counters.tidy()
    except CountersUnavailable:
        return False
    return True


def test_a_valkey_that_forgot_everything_closes_what_is_counted(own: Valkey) -> None:
    counters, budget = open_valkey(own.url, timeout_s=5), a_budget(uses=10)
    assert not counters.take([budget], NOW)
    own.client.flushall()
    for _ in range(2):
        with pytest.raises(CountersUnavailable):
            counters.take([budget], NOW)
    counters.close()


def test_other_counters_than_before_are_no_fresh_start(own: Valkey, tmp_path: Path) -> None:
    remembered = tmp_path / "keyscope.db.counters"
    for _ in range(2):
        open_valkey(own.url, None, remembered, timeout_s=5).close()
    own.client.flushall()
    with pytest.raises(ConfigurationError) as refusal:
        open_valkey(own.url, None, remembered, timeout_s=5)
    assert "delete " in refusal.value.faults[0].message


def test_the_places_of_a_process_that_is_not_heard_of_are_free_after_its_lease(shared: Valkey) -> None:
    lost, budget = open_valkey(shared.url, lease_ms=200, timeout_s=5), a_budget(parallel=2)
    counters = open_valkey(shared.url, timeout_s=5)
    assert passed(lost, [budget], 2) == 2
    assert counters.take([budget], NOW) == (Spent(budget.holder, Kind.PARALLEL),)
    wait_until(lambda: works(counters, budget))
    # It is heard of again: what it holds counts again, so there may be more for a while, and never one more after.
    lost.tidy()
    assert counters.used([budget.holder]) == {budget.holder: Used(0, 3)}
    lost.give_back([budget])
    assert counters.take([budget], NOW)
    lost.close()
    assert passed(counters, [budget], 5) == 1
    counters.close()


@pytest.mark.parametrize(("name", "value"), [("maxmemory-policy", "allkeys-lru"), ("appendonly", "no")])
def test_a_valkey_that_may_lose_counts_is_refused(own: Valkey, name: str, value: str) -> None:
    own.client.config_set(name, value)
    with pytest.raises(ConfigurationError, match=f"set {name} to"):
        open_valkey(own.url)


def test_nobody_there_is_refused_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not answer"):
        open_valkey(Valkey(tmp_path).url)
