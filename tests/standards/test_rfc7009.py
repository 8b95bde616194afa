"""Token revocation (RFC 7009): each requirement that binds Keyscope, over HTTP."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.api.introspection import REVOKE
from keyscope.derive import attenuate
from tests.attacks.fixtures import World, now_ms
from tests.live import Live
from tests.standards.asking import FORM, active, revoke


def status(live: Live, key: str) -> int:
    """How the key is answered now."""
    return live.call("GET", "/keyscope/me", key).status_code


def test_a_revoked_key_cannot_be_used_again(live: Live) -> None:
    made = live.mint("devboxes:read")
    answer = revoke(live, made["key_secret"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert status(live, made["key_secret"]) == 401
    assert not active(live, made["key_secret"])
    view = live.call("GET", f"/v1/restricted_keys/{made['id']}").json()
    assert (view["status"], view["revoked_reason"]) == ("revoked", "revoked through OAuth (RFC 7009)")


def test_what_a_revoked_key_minted_dies_with_it(live: Live) -> None:
    parent = live.mint("account:write", "devboxes:read")
    child = live.mint("devboxes:read", by=parent["key_secret"])
    assert revoke(live, parent["key_secret"]).status_code == 200
    assert status(live, child["key_secret"]) == 401


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_a_wrong_hint_revokes_all_the_same(live: Live, hint: str) -> None:
    made = live.mint("devboxes:read")
    assert revoke(live, made["key_secret"], token_type_hint=hint).status_code == 200
    assert status(live, made["key_secret"]) == 401


def test_revoking_nothing_is_200(live: Live, world: World) -> None:
    made = live.mint("devboxes:read")
    live.revoke(made["id"])
    before = world.events(world.account)
    for token in (made["key_secret"], "rk_" + "0" * 49, "no key"):
        assert revoke(live, token).status_code == 200
    assert world.events(world.account) == before


def test_a_key_of_another_account_is_unknown(live: Live, world: World) -> None:
    assert revoke(live, world.other.secret).status_code == 200
    assert status(live, world.other.secret) == 200


def test_any_key_ends_itself_by_possession(live: Live) -> None:
    for made in (live.mint(), live.mint("devboxes:read"), live.mint_standard()):
        assert revoke(live, made["key_secret"], made["key_secret"]).status_code == 200
        assert status(live, made["key_secret"]) == 401


@pytest.mark.parametrize("scope", ["devboxes:write", "account:read"])
def test_ending_another_key_needs_write_on_keys(live: Live, scope: str) -> None:
    caller, target = live.mint(scope)["key_secret"], live.mint("devboxes:read")["key_secret"]
    for token in (target, "rk_" + "0" * 49):  # the same for a key that does not exist
        refused = revoke(live, token, caller)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert 'scope="account:write"' in refused.headers["www-authenticate"]
    assert status(live, target) == 200


def test_a_restricted_key_ends_only_what_it_minted(live: Live) -> None:
    caller = live.mint("account:write", "devboxes:read")["key_secret"]
    own, foreign = live.mint("devboxes:read", by=caller)["key_secret"], live.mint("devboxes:read")["key_secret"]
    assert revoke(live, own, caller).status_code == 200
    refused = revoke(live, foreign, caller)
    assert (refused.status_code, refused.json()["error"]) == (403, "unauthorized_client")
    assert (status(live, own), status(live, foreign)) == (401, 200)


def test_the_caller_must_show_a_key(live: Live) -> None:
    made = live.mint("devboxes:read")
    refused = revoke(live, made["key_secret"], "")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Bearer ")
    assert status(live, made["key_secret"]) == 200


def test_a_suspended_key_can_be_revoked(live: Live) -> None:
    made = live.mint("devboxes:read")
    live.call("POST", f"/v1/restricted_keys/{made['id']}/suspend")
    assert revoke(live, made["key_secret"]).status_code == 200
    live.call("POST", f"/v1/restricted_keys/{made['id']}/resume")
    assert status(live, made["key_secret"]) == 401


def test_a_key_below_a_revoked_one_is_revoked_on_its_own(live: Live) -> None:
    parent = live.mint("account:write", "devboxes:read")
    child = live.mint("devboxes:read", by=parent["key_secret"])
    live.revoke(parent["id"])
    assert revoke(live, child["key_secret"]).status_code == 200
    assert live.call("POST", f"/v1/restricted_keys/{parent['id']}/undelete").status_code == 200
    assert (status(live, parent["key_secret"]), status(live, child["key_secret"])) == (200, 401)


def test_a_secret_that_was_rotated_out_ends_nothing(live: Live) -> None:
    made = live.mint("devboxes:read")
    renewed = live.call("POST", f"/v1/restricted_keys/{made['id']}/rotate").json()
    while now_ms() <= renewed["old_secret_expires_at_ms"]:
        time.sleep(0.001)
    assert revoke(live, made["key_secret"]).status_code == 200
    assert status(live, renewed["key_secret"]) == 200


def test_a_derived_key_is_revoked_alone(live: Live) -> None:
    made = live.mint("devboxes:read")
    one, other = attenuate(made["key_secret"], label="one"), attenuate(made["key_secret"], label="other")
    below = attenuate(one, label="below")
    assert revoke(live, one).status_code == 200
    assert [status(live, key) for key in (made["key_secret"], one, below, other)] == [200, 401, 401, 200]


def test_a_derived_key_ends_itself_and_not_the_key_it_came_from(live: Live) -> None:
    made = live.mint("devboxes:read")
    derived = attenuate(made["key_secret"])
    assert revoke(live, derived, derived).status_code == 200
    assert (status(live, made["key_secret"]), status(live, derived)) == (200, 401)


def test_a_derived_key_ends_no_other(live: Live) -> None:
    root = live.mint("account:write", "devboxes:read")["key_secret"]
    child = live.mint("devboxes:read", by=root)["key_secret"]
    derived = attenuate(root)
    assert [revoke(live, token, derived).status_code for token in (child, root)] == [403, 403]
    assert [status(live, key) for key in (root, child, derived)] == [200, 200, 200]


def test_it_is_never_200_before_it_is_durable(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        made = live.mint("devboxes:read")
        connection = sqlite3.connect(live.database, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            refused = revoke(live, made["key_secret"])
            assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
            assert refused.headers["retry-after"] == "1"
            assert revoke(live, made["key_secret"]).status_code == 503  # not taken for done the second time
        finally:
            connection.execute("ROLLBACK")
            connection.close()
        assert revoke(live, made["key_secret"]).status_code == 200
        live.kill()
        live.start()
        assert status(live, made["key_secret"]) == 401


@pytest.mark.parametrize("body", [b"", b"token=", b"token=a&token=b", b"token_type_hint=access_token"])
def test_a_form_without_one_token_is_an_invalid_request(live: Live, body: bytes) -> None:
    refused = live.call("POST", REVOKE, content=body, headers=FORM)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_revocation_is_a_post_and_nothing_else(live: Live) -> None:
    made = live.mint("devboxes:read")
    for method in ("GET", "PUT", "DELETE"):
        answer = live.call(method, f"{REVOKE}?token={made['key_secret']}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert live.call("POST", f"{REVOKE}?token={made['key_secret']}", content=b"", headers=FORM).status_code == 400
    assert status(live, made["key_secret"]) == 200
