"""What all counters guarantee. ``counters`` and ``others`` are of two processes that count together."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread

from hypothesis import given, settings
from hypothesis import strategies as st

from keyscope.authority.counters import Budget, Counters, Kind, Spent, Used

NOW = 1_800_000_000_000
_names = iter(f"key_{number}" for number in range(1_000_000))


def a_budget(*, uses: int | None = None, rate: tuple[int, int] | None = None, parallel: int | None = None) -> Budget:
    requests, per_ms = rate or (None, 0)
    return Budget(holder=next(_names), uses=uses, requests=requests, per_ms=per_ms, parallel=parallel)


def again(budget: Budget, **changed: int) -> Budget:
    """The same holder with another budget."""
    return Budget(**{**{name: getattr(budget, name) for name in budget.__struct_fields__}, **changed})


def passed(counters: Counters, budgets: Sequence[Budget], times: int, now_ms: int = NOW) -> int:
    return sum(not counters.take(budgets, now_ms) for _ in range(times))


class UsesContract:
    def test_a_budget_of_uses_is_spent_exactly_by_all_processes_together(
        self, counters: Counters, others: Counters
    ) -> None:
        budget = a_budget(uses=5)
        assert [bool(c.take([budget], NOW)) for c in (counters, others) * 4] == [False] * 5 + [True] * 3
        assert others.take([budget], NOW + 10**9) == (Spent(budget.holder, Kind.USES),)
        assert counters.used([budget.holder, "key_nobody"]) == {budget.holder: Used(5), "key_nobody": Used()}

    def test_what_is_raised_counts_what_was_used(self, counters: Counters) -> None:
        budget = a_budget(uses=3)
        assert passed(counters, [budget], 4) == 3
        assert passed(counters, [again(budget, uses=5)], 4) == 2
        assert passed(counters, [again(budget, uses=4)], 4) == 0

    def test_children_draw_on_the_budget_of_those_above_them(self, counters: Counters, others: Counters) -> None:
        top, one, two = a_budget(uses=10), a_budget(uses=8), a_budget(uses=8)
        assert passed(counters, [one, top], 20) == 8
        assert passed(others, [two, top], 20) == 2
        assert passed(counters, [top], 20) == 0

    def test_of_several_budgets_all_are_spent_or_none(self, counters: Counters) -> None:
        full, empty = a_budget(uses=2), a_budget(rate=(1, 1000), parallel=1)
        assert not counters.take([empty], NOW)
        assert {spent.kind for spent in counters.take([full, empty], NOW)} == {Kind.RATE, Kind.PARALLEL}
        assert counters.used([full.holder]) == {full.holder: Used()}

    def test_to_look_spends_nothing(self, counters: Counters) -> None:
        budget = a_budget(uses=1, rate=(1, 1000), parallel=1)
        assert [counters.look([budget], NOW) for _ in range(3)] == [()] * 3
        assert not counters.take([budget], NOW)
        assert counters.look([budget], NOW) == counters.take([budget], NOW) != ()


class RateContract:
    def test_a_window_slides(self, counters: Counters, others: Counters) -> None:
        budget = a_budget(rate=(2, 1000))
        assert not counters.take([budget], NOW)
        assert not others.take([budget], NOW + 600)
        assert counters.take([budget], NOW + 999) == (Spent(budget.holder, Kind.RATE, 1),)
        assert not counters.take([budget], NOW + 1000)
        assert others.take([budget], NOW + 1001) == (Spent(budget.holder, Kind.RATE, 599),)

    def test_what_is_refused_is_no_call(self, counters: Counters) -> None:
        budget = a_budget(rate=(1, 1000))
        assert [not counters.take([budget], NOW + at) for at in (0, 500, 999, 1000)] == [True, False, False, True]

    def test_a_clock_that_goes_back_opens_nothing(self, counters: Counters, others: Counters) -> None:
        budget = a_budget(rate=(2, 1000))
        assert passed(counters, [budget], 1, NOW) == 1
        assert passed(others, [budget], 3, NOW - 3_600_000) == 1
        assert passed(others, [budget], 3, NOW + 999) == 0
        assert passed(others, [budget], 3, NOW + 1000) == 2

    def test_a_rate_that_is_changed_knows_the_calls_before(self, counters: Counters) -> None:
        budget = a_budget(rate=(4, 1000))
        assert passed(counters, [budget], 9) == 4
        assert passed(counters, [again(budget, requests=6)], 9) == 2
        assert passed(counters, [again(budget, requests=3)], 9, NOW + 999) == 0
        assert passed(counters, [again(budget, requests=3)], 9, NOW + 1000) == 3
        # Of more calls than are remembered, nobody says that they were long ago.
        assert passed(counters, [again(budget, requests=5, per_ms=5000)], 9, NOW + 1000) == 0

    def test_it_lets_through_what_a_list_of_all_calls_would(self, counters: Counters, others: Counters) -> None:
        @settings(max_examples=60, deadline=None)
        @given(
            requests=st.integers(1, 4),
            per_ms=st.integers(1, 30),
            steps=st.lists(st.tuples(st.integers(-5, 25), st.sampled_from([counters, others])), max_size=30),
        )
        def agrees(requests: int, per_ms: int, steps: list[tuple[int, Counters]]) -> None:
            budget, now, calls = a_budget(rate=(requests, per_ms)), NOW, list[int]()
            for step, asked in steps:
                now += step
                present = max(now, *calls, 0)
                fits = sum(at > present - per_ms for at in calls) < requests
                assert (not asked.take([budget], now)) == fits
                if fits:
                    calls.append(present)

        agrees()


class ParallelContract:
    def test_places_are_held_until_they_are_given_back(self, counters: Counters, others: Counters) -> None:
        budget = a_budget(parallel=2)
        assert passed(counters, [budget], 1) == passed(others, [budget], 5) == 1
        assert counters.take([budget], NOW) == (Spent(budget.holder, Kind.PARALLEL),)
        others.give_back([budget])
        assert passed(counters, [budget], 5) == 1
        assert counters.used([budget.holder])[budget.holder].parallel == 2

    def test_to_give_back_what_was_not_had_makes_no_room(self, counters: Counters, others: Counters) -> None:
        budget = a_budget(parallel=1)
        assert not counters.take([budget], NOW)
        others.give_back([budget])
        assert counters.take([budget], NOW)
        for _ in range(3):
            counters.give_back([budget])
        assert passed(counters, [budget], 5) == 1

    def test_the_places_of_a_process_that_stops_are_free(self, counters: Counters, others: Counters) -> None:
        budget = a_budget(parallel=2)
        assert passed(others, [budget], 2) == 2
        others.close()
        assert passed(counters, [budget], 5) == 2


class CounterContract(UsesContract, RateContract, ParallelContract):
    def test_threads_of_two_processes_never_spend_more_than_there_is(
        self, counters: Counters, others: Counters
    ) -> None:
        budget, done = a_budget(uses=50, rate=(60, 60_000), parallel=55), list[bool]()

        def spend(mine: Counters) -> None:
            for _ in range(4):
                done.append(not mine.take([budget], NOW))

        threads = [Thread(target=spend, args=(c,)) for c in (counters, others) * 8]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sum(done), len(done)) == (50, 64)
        assert counters.used([budget.holder]) == {budget.holder: Used(50, 50)}
