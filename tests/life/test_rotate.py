"""Rotation: a new secret on the same key, and what becomes of the old one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.life.asking import KEYS, done, fault, now_ms, status, verb, view
from tests.live import Live

HOUR_MS = 3_600_000


def test_the_new_secret_works_and_the_old_one_ends_at_once(live: Live) -> None:
    made = live.mint("devboxes:read", name="turned")
    before = now_ms()
    turned = done(verb(live, made["id"], "rotate"))
    assert set(turned) == {"id", "name", "key_secret", "scopes", "old_secret_expires_at_ms"}
    assert (turned["id"], turned["name"], turned["scopes"]) == (made["id"], "turned", made["scopes"])
    assert before <= turned["old_secret_expires_at_ms"] <= now_ms()
    assert status(live, made["key_secret"]) == 401
    assert status(live, turned["key_secret"]) == 200
    described = view(live, made["id"])
    assert described["hint"] == turned["key_secret"][-4:]
    assert before <= described["rotated_at_ms"] <= now_ms()


def test_both_work_during_the_overlap_and_the_old_one_not_after_it(live: Live) -> None:
    made = live.mint("devboxes:read")
    turned = done(verb(live, made["id"], "rotate", overlap_ms=1500))
    assert status(live, made["key_secret"]) == status(live, turned["key_secret"]) == 200
    shown = done(live.call("GET", "/keyscope/me", made["key_secret"]))
    assert shown["id"] == made["id"]
    assert shown["expires_at_ms"] == turned["old_secret_expires_at_ms"]
    time.sleep(max(0.0, turned["old_secret_expires_at_ms"] / 1000 - time.time()) + 0.05)
    assert (status(live, made["key_secret"]), status(live, turned["key_secret"])) == (401, 200)


def test_rotating_again_ends_all_earlier_secrets_with_the_last_overlap(live: Live) -> None:
    made = live.mint("devboxes:read")
    second = done(verb(live, made["id"], "rotate", overlap_ms=HOUR_MS))
    third = done(verb(live, made["id"], "rotate"))
    assert status(live, made["key_secret"]) == status(live, second["key_secret"]) == 401
    assert status(live, third["key_secret"]) == 200


def test_children_scopes_expiry_and_usage_stay(live: Live) -> None:
    made = live.mint("devboxes:read", "account:write", expires_at_ms=now_ms() + HOUR_MS)
    child = live.mint("devboxes:read", by=made["key_secret"])
    before = view(live, made["id"])
    turned = done(verb(live, made["id"], "rotate"))
    after = view(live, made["id"])
    for member in ("name", "scopes", "expires_at_ms", "created_at_ms", "created_by"):
        assert after[member] == before[member]
    assert status(live, child["key_secret"]) == 200
    assert live.revoke(child["id"], turned["key_secret"]).status_code == 200


def test_a_rotated_key_stays_revocable_and_its_old_secret_dies_with_it(live: Live) -> None:
    made = live.mint("devboxes:read")
    turned = done(verb(live, made["id"], "rotate", overlap_ms=HOUR_MS))
    live.revoke(made["id"])
    assert status(live, made["key_secret"]) == status(live, turned["key_secret"]) == 401


def test_a_standard_key_rotates_too(live: Live) -> None:
    made = live.mint_standard()
    turned = done(live.call("POST", f"/v1/apikeys/{made['id']}/rotate", made["key_secret"], json={"overlap_ms": 5000}))
    assert set(turned) == {"id", "name", "key_secret", "old_secret_expires_at_ms"}
    assert turned["key_secret"].startswith("ak_")
    assert status(live, made["key_secret"]) == status(live, turned["key_secret"]) == 200


def test_a_key_may_rotate_itself_and_a_lost_reply_can_be_asked_for_again(live: Live) -> None:
    made = live.mint("account:write")
    asked = {"json": {"overlap_ms": 60_000}, "headers": {"x-request-id": "turn-1"}}
    replies = [live.call("POST", f"{KEYS}/{made['id']}/rotate", made["key_secret"], **asked) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    assert status(live, replies[0].json()["key_secret"]) == 200


def test_who_may_not_rotate(live: Live) -> None:
    made, other = live.mint("devboxes:read"), live.mint("account:write")
    fault(verb(live, made["id"], "rotate", other["key_secret"]), 403, "outside_tree")
    fault(verb(live, made["id"], "rotate", made["key_secret"]), 403, "insufficient_scope")
    fault(verb(live, "key_0000000000000000000000", "rotate"), 404, "not_found")


def test_dead_keys_are_not_rotated_back_to_life(live: Live) -> None:
    made = live.mint("devboxes:read")
    live.revoke(made["id"])
    assert "revoked" in fault(verb(live, made["id"], "rotate"), 400, "invalid_request")


def test_the_overlap_has_a_cap_and_a_shape(live: Live, new_directory: Callable[[], Path]) -> None:
    made = live.mint("devboxes:read")
    for wrong in (-1, "1", 1.5, None, 7 * 24 * HOUR_MS + 1):
        fault(verb(live, made["id"], "rotate", overlap_ms=wrong), 400, "invalid_request")
    with Live(new_directory(), options=["--max-rotation-overlap-s", "2"]) as strict:
        made = strict.mint("devboxes:read")
        assert "2000 ms" in fault(verb(strict, made["id"], "rotate", overlap_ms=2001), 400, "invalid_request")
        done(verb(strict, made["id"], "rotate", overlap_ms=2000))


def test_rotation_outlives_a_crash(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        made = live.mint("devboxes:read")
        turned = done(verb(live, made["id"], "rotate", overlap_ms=HOUR_MS))
        gone = live.mint("devboxes:read")
        done(verb(live, gone["id"], "rotate"))
        live.kill()
        live.start()
        assert status(live, made["key_secret"]) == status(live, turned["key_secret"]) == 200
        assert status(live, gone["key_secret"]) == 401
