"""Suspend and resume, undelete, and ending oneself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.life.asking import KEYS, done, fault, status, verb, view
from tests.live import Live


def test_a_suspended_key_stops_with_its_tree_and_goes_on_when_resumed(live: Live) -> None:
    made = live.mint("devboxes:read", "account:write")
    child = live.mint("devboxes:read", by=made["key_secret"])
    suspended = done(verb(live, made["id"], "suspend", reason="looking into it"))
    assert suspended["status"] == "suspended"
    assert suspended["suspended_at_ms"] is not None
    assert status(live, made["key_secret"]) == status(live, child["key_secret"]) == 401
    assert view(live, child["id"])["status"] == "suspended"
    assert done(verb(live, made["id"], "resume"))["status"] == "active"
    assert status(live, made["key_secret"]) == status(live, child["key_secret"]) == 200


def test_doing_it_twice_changes_nothing(live: Live) -> None:
    made = live.mint("devboxes:read")
    first = done(verb(live, made["id"], "suspend"))
    assert done(verb(live, made["id"], "suspend"))["suspended_at_ms"] == first["suspended_at_ms"]
    done(verb(live, made["id"], "resume"))
    assert done(verb(live, made["id"], "resume"))["status"] == "active"


def test_a_restricted_key_suspends_below_it_and_cannot_resume(live: Live) -> None:
    made = live.mint("devboxes:read", "account:write")
    child = live.mint("devboxes:read", by=made["key_secret"])
    stranger = live.mint("devboxes:read")
    fault(verb(live, stranger["id"], "suspend", made["key_secret"]), 403, "outside_tree")
    done(verb(live, child["id"], "suspend", made["key_secret"]))
    fault(verb(live, child["id"], "resume", made["key_secret"]), 403, "standard_key_required")
    assert status(live, child["key_secret"]) == 401


def test_a_suspended_standard_key_stops(live: Live) -> None:
    made = live.mint_standard()
    done(live.call("POST", f"/v1/apikeys/{made['id']}/suspend"))
    assert status(live, made["key_secret"]) == 401
    done(live.call("POST", f"/v1/apikeys/{made['id']}/resume"))
    assert status(live, made["key_secret"]) == 200


def test_a_revoked_key_and_what_died_with_it_come_back(live: Live) -> None:
    made = live.mint("devboxes:read", "account:write")
    child = live.mint("devboxes:read", by=made["key_secret"])
    gone = live.mint("devboxes:read", by=made["key_secret"])
    live.revoke(gone["id"])
    live.revoke(made["id"])
    back = done(verb(live, made["id"], "undelete"))
    assert (back["status"], back["revoked_at_ms"], back["revoked_reason"]) == ("active", None, None)
    assert status(live, made["key_secret"]) == status(live, child["key_secret"]) == 200
    assert status(live, gone["key_secret"]) == 401


def test_only_a_standard_key_undeletes(live: Live) -> None:
    made = live.mint("devboxes:read", "account:write")
    child = live.mint("devboxes:read", by=made["key_secret"])
    live.revoke(child["id"])
    fault(verb(live, child["id"], "undelete", made["key_secret"]), 403, "standard_key_required")


def test_undelete_is_refused_after_the_window(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--undelete-window-s", "0.2"]) as strict:
        made = strict.mint("devboxes:read")
        strict.revoke(made["id"])
        time.sleep(0.3)
        assert "mint a new one" in fault(verb(strict, made["id"], "undelete"), 400, "invalid_request")
        assert status(strict, made["key_secret"]) == 401


def test_whoever_holds_a_key_may_end_it(live: Live) -> None:
    made = live.mint()
    ended = done(live.call("POST", "/keyscope/me/revoke", made["key_secret"], json={"reason": "job done"}))
    assert ended == {"id": made["id"], "status": "revoked", "died_with_it": 0}
    assert status(live, made["key_secret"]) == 401
    assert view(live, made["id"])["revoked_reason"] == "job done"


def test_ending_oneself_ends_the_children(live: Live) -> None:
    made = live.mint("account:write")
    child = live.mint(by=made["key_secret"])
    assert done(live.call("POST", "/keyscope/me/revoke", made["key_secret"]))["died_with_it"] == 1
    assert status(live, child["key_secret"]) == 401


def test_without_a_key_nobody_ends_anything(live: Live) -> None:
    fault(live.call("POST", "/keyscope/me/revoke", ""), 401, "missing_credential")


def test_unknown_members_are_refused(live: Live) -> None:
    made = live.mint("devboxes:read")
    for name in ("suspend", "resume", "undelete", "rotate"):
        message = fault(verb(live, made["id"], name, wrong=1), 400, "invalid_request")
        assert "$.wrong" in message
    assert live.call("POST", f"{KEYS}/{made['id']}/explode").status_code == 404
