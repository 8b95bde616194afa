"""Panic: many keys end at once, and a dry run says which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.life.asking import done, fault, status
from tests.live import Live


@pytest.fixture
def alone(new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server of one's own: these tests end what others would need."""
    with Live(new_directory()) as server:
        yield server


def panic(live: Live, by: str | None = None, **body: Any) -> dict[str, Any]:
    return done(live.call("POST", "/keyscope/panic", by, json=body))


def test_a_dry_run_lists_what_would_die_and_ends_nothing(alone: Live) -> None:
    made = alone.mint("account:write", name="agent-1")
    child = alone.mint(by=made["key_secret"], name="child")
    alone.mint(name="other")
    told = panic(alone, name_prefix="agent-", dry_run=True)
    assert told == {
        "dry_run": True,
        "count": 1,
        "keys": [{"id": made["id"], "name": "agent-1", "kind": "restricted"}],
        "died_with_them": 1,
    }
    assert status(alone, made["key_secret"]) == status(alone, child["key_secret"]) == 200
    assert panic(alone, name_prefix="agent-", reason="leak") == {**told, "dry_run": False}
    assert status(alone, made["key_secret"]) == status(alone, child["key_secret"]) == 401


def test_all_restricted_keys_end_and_standard_ones_live(alone: Live) -> None:
    secrets = [alone.mint("devboxes:read")["key_secret"] for _ in range(5)]
    standard = alone.mint_standard()
    assert panic(alone, all_restricted=True)["count"] == 5
    assert {status(alone, secret) for secret in secrets} == {401}
    assert status(alone, standard["key_secret"]) == status(alone, alone.first) == 200
    assert panic(alone, all_restricted=True)["count"] == 0


def test_by_maker_by_tree_and_by_both_conditions(alone: Live) -> None:
    maker = alone.mint("account:write", name="maker")
    below = [alone.mint(by=maker["key_secret"], name=name) for name in ("a-1", "a-2", "b-1")]
    assert panic(alone, created_by=maker["id"], name_prefix="a-")["count"] == 2
    assert [status(alone, key["key_secret"]) for key in below] == [401, 401, 200]
    ended = panic(alone, tree=maker["id"])
    assert (ended["count"], ended["died_with_them"]) == (1, 1)
    assert status(alone, below[2]["key_secret"]) == status(alone, maker["key_secret"]) == 401


def test_a_selector_never_ends_its_user(alone: Live) -> None:
    user = alone.mint_standard(name="ops-1")
    other = alone.mint_standard(name="ops-2")
    ended = panic(alone, by=user["key_secret"], name_prefix="ops-")
    assert [key["id"] for key in ended["keys"]] == [other["id"]]
    assert status(alone, user["key_secret"]) == 200


def test_who_and_what_is_refused(alone: Live) -> None:
    made = alone.mint("account:write")
    fault(alone.call("POST", "/keyscope/panic", made["key_secret"], json={"all_restricted": True}), 403,
          "standard_key_required")  # fmt: skip
    fault(alone.call("POST", "/keyscope/panic", json={}), 400, "invalid_request")
    fault(alone.call("POST", "/keyscope/panic", json={"all_restricted": False}), 400, "invalid_request")
    fault(alone.call("POST", "/keyscope/panic", json={"tree": made["id"], "name_prefix": "a"}), 400, "invalid_request")
    fault(alone.call("POST", "/keyscope/panic", json={"tree": "key_none"}), 404, "not_found")
    fault(alone.call("POST", "/keyscope/panic", json={"name_prefix": ""}), 400, "invalid_request")
    assert status(alone, made["key_secret"]) == 200
