"""The rules by which an answer is kept and used, one by one, with time as a parameter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.client.answers import Answer, KeyInfo, Question, question
from keyscope.client.cache import HARMLESS, AnswerCache
from keyscope.client.events import EventReader, ServerEvent
from keyscope.model.event import EventKind

MAX_AGE_S = 5.0
ASKED = question("rk_x", "GET", "/v1/devboxes", ())
KEY = KeyInfo(
    id="key_1",
    name="k",
    kind="restricted",
    account_id="acc_1",
    full_access=False,
    scopes=(),
    expires_at_ms=None,
    derived_id=None,
)
ANSWER = Answer(
    valid=True,
    allowed=True,
    key=KEY,
    chain=("key_1", "key_0"),
    operation="listDevboxes",
    judged_by_body=False,
    reasons=(),
    missing_scopes=(),
    message="",
    next=(),
    now_ms=1_000_000,
)


def event(name: str, /, **members: Any) -> ServerEvent:
    return ServerEvent(name, json.dumps(members))


def change(kind: str, key_id: str | None) -> ServerEvent:
    return event("change", number=7, kind=kind, key_id=key_id, at_ms=1, derived_id=None)


def opened(at_s: float = 0.0, entries: int = 100) -> AnswerCache:
    cache = AnswerCache(MAX_AGE_S, entries)
    cache.heard(event("ready", number=1), at_s)
    return cache


def keeping(answer: Answer = ANSWER, asked: Question = ASKED) -> AnswerCache:
    cache = opened()
    cache.put(asked, answer, cache.mark(0.0))
    return cache


def test_a_kept_answer_is_used() -> None:
    assert keeping().get(ASKED, 4.9) is ANSWER


def test_nothing_is_kept_before_the_stream_is_open() -> None:
    cache = AnswerCache(MAX_AGE_S, 10)
    cache.heard(event("heartbeat", number=1, now_ms=1), 0.0)
    cache.put(ASKED, ANSWER, cache.mark(0.0))
    assert len(cache) == 0


def test_an_answer_ages_from_before_it_was_asked_for() -> None:
    cache = opened(100.0)
    cache.put(ASKED, ANSWER, cache.mark(97.0))
    assert cache.get(ASKED, 101.9) is ANSWER
    assert cache.get(ASKED, 102.0) is None


def test_an_answer_never_outlives_its_key() -> None:
    cache = keeping(replace(ANSWER, key=replace(KEY, expires_at_ms=1_001_500)))
    assert cache.get(ASKED, 1.49) is not None
    assert cache.get(ASKED, 1.5) is None


def test_a_silent_stream_makes_every_answer_unusable() -> None:
    cache = opened(0.0)
    cache.put(ASKED, ANSWER, cache.mark(4.0))
    assert cache.get(ASKED, 5.0) is ANSWER
    assert cache.get(ASKED, 5.1) is None
    cache.heard(event("heartbeat", number=1, now_ms=1), 5.2)
    assert cache.get(ASKED, 5.3) is ANSWER


def test_a_lost_stream_empties_it_and_a_new_one_begins_empty() -> None:
    cache = keeping()
    cache.lost()
    assert (cache.get(ASKED, 0.1), len(cache)) == (None, 0)
    cache.heard(event("ready", number=1), 0.2)
    assert cache.get(ASKED, 0.3) is None


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind not in HARMLESS])
@pytest.mark.parametrize("key_id", ["key_1", "key_0", None])
def test_a_change_of_any_key_in_the_chain_drops_it(kind: str, key_id: str | None) -> None:
    cache = keeping()
    cache.heard(change(kind, key_id), 0.1)
    assert cache.get(ASKED, 0.2) is None


@pytest.mark.parametrize("kind", ["key.updated", *HARMLESS])
def test_a_change_that_cannot_matter_to_it_leaves_it(kind: str) -> None:
    cache = keeping()
    cache.heard(change(kind, "key_1" if kind in HARMLESS else "key_other"), 0.1)
    assert cache.get(ASKED, 0.2) is ANSWER


def test_a_kind_of_change_that_is_not_known_is_taken_seriously() -> None:
    cache = keeping()
    cache.heard(change("key.teleported", "key_1"), 0.1)
    assert cache.get(ASKED, 0.2) is None


@pytest.mark.parametrize("between", [change("key.revoked", "key_1"), change("key.revoked", "key_9"), "lost", "reset"])
def test_an_answer_is_not_kept_if_anything_was_heard_since_it_was_asked_for(between: ServerEvent | str) -> None:
    cache = opened()
    mark = cache.mark(0.0)
    if isinstance(between, ServerEvent):
        cache.heard(between, 0.1)
    elif between == "reset":
        cache.heard(event("reset", number=1, after=9), 0.1)
    else:
        cache.lost()
        cache.heard(event("ready", number=1), 0.2)
    cache.put(ASKED, ANSWER, mark)
    assert cache.get(ASKED, 0.3) is None


def test_what_is_not_a_valid_key_is_not_kept() -> None:
    assert len(keeping(replace(ANSWER, valid=False, allowed=False, key=None, chain=()))) == 0
    assert len(keeping(replace(ANSWER, chain=()))) == 0


def test_the_number_of_answers_is_bounded_and_the_oldest_goes_first() -> None:
    cache = opened(entries=3)
    asked = [question(f"rk_{number}", None, None, ()) for number in range(5)]
    for one in asked:
        cache.put(one, ANSWER, cache.mark(0.0))
    assert [cache.get(one, 0.1) is not None for one in asked] == [False, False, True, True, True]
    cache.heard(change("key.revoked", "key_0"), 0.1)
    assert (len(cache), len(cache._by_key)) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [
        question("rk_y", "GET", "/v1/devboxes", ()),
        question("rk_x", "POST", "/v1/devboxes", ()),
        question("rk_x", "GET", "/v1/devboxes/1", ()),
        question("rk_x", "GET", "/v1/devboxes", ("devboxes:read",)),
        question("rk_x", None, None, ()),
    ],
)
def test_another_question_is_not_answered_by_it(other: Question) -> None:
    assert keeping().get(other, 0.1) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "change", "told", "lost", "ready", "beat"]),
        st.floats(0, 2),
        st.integers(0, 2),
    ),
    max_size=60,
)


@given(STEPS)
def test_a_stale_answer_is_used_only_while_nobody_told_and_it_is_young(steps: list[tuple[str, float, int]]) -> None:
    """A model of server, stream and cache.

    The server's truth is a version for each key. An answer carries the version at which it was computed.
    """
    cache, now_s = AnswerCache(MAX_AGE_S, 2), 0.0
    versions, untold = [0, 0, 0], list[int]()
    flying: list[tuple[int, Any, Answer]] = []
    changed_at_s: list[list[float]] = [[], [], []]
    """For each key, when each of its versions ended."""
    asked = [question(f"rk_{number}", None, None, ()) for number in range(3)]
    for step, wait_s, which in steps:
        now_s += wait_s
        if step == "ask":
            mark = cache.mark(now_s)
            flying.append((which, mark, replace(ANSWER, chain=(f"key_{which}",), message=str(versions[which]))))
        elif step == "answer" and flying:
            number, mark, answer = flying.pop(which % len(flying))
            cache.put(asked[number], answer, mark)
        elif step == "change":
            versions[which] += 1
            changed_at_s[which].append(now_s)
            untold.append(which)
        elif step == "told" and untold:
            cache.heard(change("key.updated", f"key_{untold.pop(0)}"), now_s)
        elif step == "lost":
            cache.lost()
        elif step == "ready":
            cache.lost()
            untold.clear()
            cache.heard(event("ready", number=1), now_s)
        elif step == "beat":
            cache.heard(event("heartbeat", number=1, now_ms=1), now_s)
        for number in range(3):
            found = cache.get(asked[number], now_s)
            if found is not None and int(found.message) != versions[number]:
                assert number in untold
                assert now_s - changed_at_s[number][int(found.message)] < MAX_AGE_S


@given(st.lists(st.integers(1, 7), max_size=40))
def test_events_are_read_however_they_are_cut(cuts: list[int]) -> None:
    raw = b': hello\nretry: 1000\n\nid: 3\nevent: change\ndata: {"a":\ndata: 1}\n\n'
    raw += b"event: empty\n\nid: 4\r\ndata: x\r\n\r\n"
    reader, found = EventReader(), []
    for cut in [*cuts, len(raw)]:
        found += reader.feed(raw[:cut])
        raw = raw[cut:]
    assert found == [ServerEvent("change", '{"a":\n1}'), ServerEvent("message", "x")]
    assert found[0].members == {"a": 1}


def test_a_line_without_an_end_is_refused() -> None:
    reader = EventReader()
    with pytest.raises(ValueError, match="too long"):
        reader.feed(b"x" * 70_000)
