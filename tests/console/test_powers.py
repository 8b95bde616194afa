"""The console gives a key the powers that it has without it, and shows it nothing else."""

from __future__ import annotations

import pytest

from tests.console.forest import Forest
from tests.console.visiting import ROOT, Guest, hidden, shown_secret
from tests.live import Live


@pytest.fixture(scope="module")
def forest(live: Live) -> Forest:
    return Forest(live)


def status(guest: Guest, path: str) -> int:
    return guest.get(path).status_code


def test_a_key_without_scopes_on_keys_sees_only_its_own_page(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(forest.bare["key_secret"])
    assert guest.get("").headers["location"] == f"{ROOT}/me"
    page = guest.get("/me").text
    assert "bare" in page
    assert "team-atlas" not in page
    for path in forest.pages():
        answer = guest.get(path)
        if path in ("/me", "/me/revoke", "/can"):
            assert answer.status_code == 200, path
        elif path:
            assert answer.status_code in (403, 404), path
            assert "agent-1" not in answer.text
    assert status(guest, "/keys") == 403


def test_a_refusal_says_what_is_missing_and_how_to_get_it(live: Live, forest: Forest) -> None:
    page = Guest(live).sign_in(forest.bare["key_secret"]).get("/keys").text
    assert "account:read" in page
    assert f"keyscope keys update {forest.bare['id']}" in page


def test_who_may_not_see_keys_cannot_tell_which_there_are(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(forest.bare["key_secret"])
    there = guest.get(f"/keys/{forest.team['id']}")
    absent = guest.get(f"/keys/{forest.team['id'][:-3]}zzz")
    assert there.status_code == absent.status_code == 403
    others = f"/can?key={forest.team['id']}&method=GET&path=/v1/devboxes"
    assert status(guest, others) == status(guest, others.replace(forest.team["id"], "key_none")) == 403


def test_a_key_that_may_read_keys_changes_none(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(forest.reader["key_secret"])
    assert status(guest, "") == status(guest, "/keys") == status(guest, f"/keys/{forest.team['id']}") == 200
    page = guest.get(f"/keys/{forest.team['id']}").text
    assert all(f"/{action}" not in page for action in ("revoke", "suspend", "rotate", "narrow", "change"))
    assert "Mint a key" not in guest.get("/keys").text
    assert status(guest, "/keys/new") == 403
    csrf = hidden(guest.get("/me").text)["csrf"]
    for action in ("revoke", "suspend", "rotate", "narrow", "change", "resume", "undelete"):
        assert status(guest, f"/keys/{forest.team['id']}/{action}") == 403
        assert guest.send(f"/keys/{forest.team['id']}/{action}", {"csrf": csrf, "do": "save"}).status_code == 403
    assert guest.send("/keys/new", {"csrf": csrf, "do": "mint", "once": "0" * 64}).status_code == 403
    assert live.call("GET", f"/v1/restricted_keys/{forest.team['id']}").json()["status"] == "active"


def test_a_restricted_key_manages_its_own_tree_and_mints_inside_itself(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(forest.lead["key_secret"])
    own, foreign = f"/keys/{forest.helper['id']}", f"/keys/{forest.ci['id']}"
    assert "Revoke" in guest.get(own).text
    assert "Revoke" not in guest.get(foreign).text
    answer = guest.act(f"{foreign}/revoke")
    assert (answer.status_code, "outside_tree" in answer.text) == (403, True)
    grid = guest.get("/keys/new").text
    assert 'value="write" aria-label="blueprints: write" disabled' in grid
    assert 'value="write" aria-label="devboxes: write"><span' in grid
    wide = {"do": "mint", "scope.blueprints": "read", "name": "too-wide"}
    answer = guest.act("/keys/new", **wide)
    assert (answer.status_code, "more than" in answer.text) == (400, True)
    assert "standard" not in grid
    answer = guest.act("/keys/new/standard", do="mint", name="root")
    assert answer.status_code == 403
    assert live.call("GET", "/v1/restricted_keys?name=too-wide").json()["total_count"] == 0


def test_what_only_a_standard_key_may_is_not_offered_to_others(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(forest.team["key_secret"])
    paused = f"/keys/{forest.agents[2]['id']}"
    assert "Resume" not in guest.get(paused).text
    assert guest.act(f"{paused}/resume").status_code == 403
    assert "Resume" in Guest(live).sign_in(live.first).get(paused).text


def test_narrowing_never_widens_whatever_is_sent(live: Live) -> None:
    made = live.mint("devboxes:read", "objects:write", name="narrow-me")
    guest = Guest(live).sign_in(live.first)
    grid = {"scope.devboxes": "write", "scope.objects": "read", "scope.account": "write"}
    answer = guest.act(f"/keys/{made['id']}/narrow", do="save", **grid)
    assert (answer.status_code, "this only narrows" in answer.text) == (400, True)
    answer = guest.act(f"/keys/{made['id']}/narrow", do="save", **{"scope.devboxes": "read", "scope.objects": "read"})
    assert answer.headers["location"].endswith("?done=narrowed")
    now = live.call("GET", f"/v1/restricted_keys/{made['id']}").json()["scopes"]
    assert {(s["resource_type"], s["access_level"]) for s in now} == {
        ("RESOURCE_TYPE_DEVBOXES", "ACCESS_LEVEL_READ"),
        ("RESOURCE_TYPE_OBJECTS", "ACCESS_LEVEL_READ"),
    }


def test_changing_keeps_what_was_not_touched(live: Live) -> None:
    made = live.mint("objects:write", "devboxes:read", name="before")
    guest = Guest(live).sign_in(live.first)
    grid = {"scope.devboxes": "read", "scope.objects": "write"}
    answer = guest.act(f"/keys/{made['id']}/change", do="save", name="after", expires="keep", **grid)
    assert answer.headers["location"].endswith("?done=changed")
    now = live.call("GET", f"/v1/restricted_keys/{made['id']}").json()
    assert (now["name"], now["expires_at_ms"], len(now["scopes"])) == ("after", None, 2)
    again = guest.act(f"/keys/{made['id']}/change", do="save", name="after", expires="keep", **grid)
    assert again.headers["location"].endswith("?done=unchanged")


def test_wrong_input_is_said_and_the_form_keeps_what_was_right(live: Live) -> None:
    guest = Guest(live).sign_in(live.first)
    answer = guest.act("/keys/new", do="mint", name="kept-name", expires="at", expires_at="2001-01-01T00:00")
    assert (answer.status_code, 'value="kept-name"' in answer.text) == (400, True)
    assert "not in the future" in answer.text
    for wrong in ({"expires": "at"}, {"expires": "soon"}, {"scope.devboxes": "own"}, {"scope.nothing": "read"}):
        answer = guest.act("/keys/new", do="mint", **wrong)
        assert answer.status_code == 400, wrong
    assert guest.act("/keys/new", do="preset.nothing").status_code == 400
    assert guest.send("/keys/new", {"csrf": guest.fields("/me")["csrf"], "do": "mint"}).status_code == 400


def test_a_form_counts_once_and_shows_the_secret_once(live: Live) -> None:
    guest = Guest(live).sign_in(live.first)
    form = {**guest.fields("/keys/new"), "do": "mint", "name": "only-once", "scope.devboxes": "read"}
    first, second = guest.send("/keys/new", form), guest.send("/keys/new", form)
    secret = shown_secret(first.text)
    assert secret is not None
    assert first.headers["cache-control"] == "no-store"
    assert live.call("GET", "/keyscope/me", secret).json()["name"] == "only-once"
    assert (second.status_code, shown_secret(second.text)) == (409, None)
    assert live.call("GET", "/v1/restricted_keys?name=only-once").json()["total_count"] == 1
    for path in ("", "/keys", f"/keys/{live.call('GET', '/keyscope/me', secret).json()['id']}"):
        assert secret not in guest.get(path).text


def test_a_rotation_counts_once_too(live: Live) -> None:
    made = live.mint("devboxes:read", name="turning")
    guest = Guest(live).sign_in(live.first)
    path = f"/keys/{made['id']}/rotate"
    form = {**guest.fields(path), "overlap": "0"}
    first, second = guest.send(path, form), guest.send(path, form)
    secret = shown_secret(first.text)
    assert secret not in (None, made["key_secret"])
    assert live.call("GET", "/keyscope/me", secret).status_code == 200
    assert live.call("GET", "/keyscope/me", made["key_secret"]).status_code == 401
    assert second.status_code == 409


def test_a_key_ends_itself(live: Live) -> None:
    made = live.mint("devboxes:read")
    guest = Guest(live).sign_in(made["key_secret"])
    assert guest.act("/me/revoke").headers["location"] == f"{ROOT}/sign-in"
    assert live.call("GET", "/keyscope/me", made["key_secret"]).status_code == 401


def test_suspend_resume_revoke_and_undelete(live: Live) -> None:
    above = live.mint("devboxes:read", "account:write", name="above")
    below = live.mint("devboxes:read", name="below-it", by=above["key_secret"])
    guest = Guest(live).sign_in(live.first)
    path = f"/keys/{above['id']}"

    def lives() -> bool:
        return live.call("GET", "/keyscope/me", below["key_secret"]).status_code == 200

    guest.act(f"{path}/suspend", reason="looking into it")
    assert not lives()
    guest.act(f"{path}/resume")
    assert lives()
    answer = guest.act(f"{path}/revoke", reason="leaked")
    assert "below-it" in answer.text
    assert "1 key below it died with it" in answer.text
    assert not lives()
    assert "leaked" in guest.get(path).text
    guest.act(f"{path}/undelete")
    assert lives()


def test_can_it_says_the_words_of_the_gate(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(live.first)
    agent = forest.agents[0]
    refused = live.call("POST", "/v1/blueprints", agent["key_secret"], json={}).json()
    page = guest.get(f"/can?key={agent['id']}&method=POST&path=/v1/blueprints").text
    assert "The key lacks blueprints:write for createBlueprint" in page
    assert "blueprints:write" in refused["message"]
    allowed = guest.get(f"/can?key={agent['id']}&method=GET&path=/v1/devboxes?limit=3").text
    assert "verdict-yes" in allowed
    dead = guest.get(f"/can?key={forest.old['id']}&method=GET&path=/v1/objects").text
    assert "export-2026-10 is revoked" in dead
    for wrong in ("path=v1", "path=/v1/../x", "method=EXPLODE&path=/v1/devboxes", "key=key_x&path=/v1/devboxes"):
        assert guest.get(f"/can?{wrong}").status_code == 400


def test_the_list_is_searched_filtered_and_paged(live: Live, forest: Forest) -> None:
    guest = Guest(live).sign_in(live.first)
    for number in range(30):
        live.mint("objects:read", name=f"paged-{number:02}")
    first = guest.get("/keys?q=paged").text
    assert "30 keys" in first
    assert ("paged-29" in first, "paged-04" in first) == (True, False)
    older = next(piece for piece in first.split('"') if "after=" in piece).removeprefix(ROOT).replace("&amp;", "&")
    second = guest.get(older).text
    assert ("paged-29" in second, "paged-04" in second) == (False, True)
    assert "agent-3" in guest.get("/keys?status=suspended").text
    assert "agent-1" not in guest.get("/keys?status=suspended").text
    assert "platform-team" in guest.get("/keys?kind=ak").text
    assert "agent-2" in guest.get(f"/keys?created_by={forest.team['id']}").text
