"""Who gets in, from where, and for how long: cookies, sessions, forged forms, redirects, headers."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from keyscope.console.rendering import POLICY
from keyscope.derive import attenuate
from tests.console.visiting import COOKIE, ROOT, Guest, hidden
from tests.live import Live, new_first_key


@pytest.fixture
def guest(live: Live) -> Guest:
    return Guest(live)


def is_in(guest: Guest) -> bool:
    answer = guest.get("/me")
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


def test_a_key_signs_in_and_out(live: Live, guest: Guest) -> None:
    assert guest.get("/keys").headers["location"] == f"{ROOT}/sign-in?next=/keys"
    guest.sign_in(live.first)
    assert is_in(guest)
    session = guest.cookie
    answer = guest.act("/me", csrf=guest.fields("/me")["csrf"])
    answer = guest.send("/sign-out", guest.fields("/me"))
    assert answer.headers["location"] == f"{ROOT}/sign-in"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    guest.http.cookies.set(COOKIE, session or "", domain="127.0.0.1", path=ROOT)
    assert not is_in(guest)


def test_what_is_no_good_key_is_refused_and_not_repeated(live: Live, guest: Guest) -> None:
    dead = live.mint("devboxes:read")
    live.revoke(dead["id"])
    derived = attenuate(live.mint("devboxes:read")["key_secret"], scopes=["devboxes:read"])
    for key in ("", "x", "<script>alert(1)</script>", new_first_key(), dead["key_secret"], derived, "ak_" + "é" * 49):
        answer = guest.send("/sign-in", {"key": key})
        assert (answer.status_code, guest.cookie) == (403, None)
        assert key == "" or key == "x" or key not in answer.text


def test_the_cookie_is_for_the_console_alone_and_no_script_reads_it(live: Live, guest: Guest) -> None:
    cookie = guest.send("/sign-in", {"key": live.first}).headers["set-cookie"]
    assert set(cookie.split("; ")[1:]) == {f"Path={ROOT}", "HttpOnly", "SameSite=Strict"}
    assert cookie.startswith(f"{COOKIE}=")


def test_over_tls_the_cookie_is_secure_and_its_name_says_so(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--public-url", "https://keys.example.com"]) as live:
        answer = Guest(live).send("/sign-in", {"key": live.first}, origin="https://keys.example.com")
        cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Secure-{COOKIE}=")
    assert "Secure" in cookie.split("; ")


def test_the_id_is_new_at_each_sign_in_and_a_planted_one_ends(live: Live, guest: Guest) -> None:
    planted = Guest(live).sign_in(live.first).cookie or ""
    guest.http.cookies.set(COOKIE, planted, domain="127.0.0.1", path=ROOT)
    assert is_in(guest)
    guest.sign_in(live.first)
    assert guest.cookie not in (None, planted)
    thief = Guest(live)
    thief.http.cookies.set(COOKIE, planted, domain="127.0.0.1", path=ROOT)
    assert not is_in(thief)


def test_an_invented_id_and_two_cookies_are_no_session(live: Live, guest: Guest) -> None:
    for value in ("0" * 64, "x", ""):
        assert guest.get("/me", cookie=f"{COOKIE}={value}").status_code == 303
    good = Guest(live).sign_in(live.first).cookie
    assert guest.get("/me", cookie=f"{COOKIE}={good}").status_code == 200
    assert guest.get("/me", cookie=f"{COOKIE}={good}; {COOKIE}={good}").status_code == 303


def test_the_database_holds_neither_the_id_nor_the_key(live: Live, guest: Guest) -> None:
    session = guest.sign_in(live.first).cookie or ""
    with sqlite3.connect(live.database) as connection:
        rows = connection.execute("SELECT digest, key_digest, csrf FROM sessions").fetchall()
    assert hashlib.sha256(session.encode()).digest() in [row[0] for row in rows]
    files = [path.read_bytes() for path in live.directory.iterdir() if path.is_file()]
    assert not any(session.encode() in content or bytes.fromhex(session) in content for content in files)


@pytest.mark.parametrize("verb", ["revoke", "suspend"])
def test_a_session_ends_with_its_key(live: Live, guest: Guest, verb: str) -> None:
    made = live.mint("devboxes:read")
    guest.sign_in(made["key_secret"])
    assert is_in(guest)
    live.call("POST", f"/v1/restricted_keys/{made['id']}/{verb}", json={})
    assert not is_in(guest)


def test_a_session_ends_with_the_key_above_and_with_the_secret_that_opened_it(live: Live, guest: Guest) -> None:
    above = live.mint("account:write")
    below = live.mint("account:read", by=above["key_secret"])
    guest.sign_in(below["key_secret"])
    live.revoke(above["id"])
    assert not is_in(guest)
    made = live.mint("devboxes:read")
    guest.sign_in(made["key_secret"])
    live.call("POST", f"/v1/restricted_keys/{made['id']}/rotate", json={"overlap_ms": 0})
    assert not is_in(guest)


def test_all_workers_know_a_session(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--workers", "2"]) as live:
        cookie = Guest(live).sign_in(live.first).cookie
        for _ in range(12):  # a new connection each time, to whichever worker takes it
            assert Guest(live).get("/me", cookie=f"{COOKIE}={cookie}").status_code == 200


def test_a_form_without_the_sessions_token_does_nothing(live: Live, guest: Guest) -> None:
    made = live.mint("devboxes:read", name="stays")
    guest.sign_in(live.first)
    others = hidden(Guest(live).sign_in(live.first).get("/me").text)["csrf"]
    for token in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": others}, {"csrf": "ü"}):
        answer = guest.send(f"/keys/{made['id']}/revoke", token)
        assert answer.status_code == 403
        assert "cross_site" in answer.text
    assert live.call("GET", f"/v1/restricted_keys/{made['id']}").json()["status"] == "active"


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "ftp://127.0.0.1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"referer": "http://evil.example/"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_form_of_another_site_does_nothing_even_with_the_token(
    live: Live, guest: Guest, headers: dict[str, str]
) -> None:
    made = live.mint("devboxes:read", name="stays")
    guest.sign_in(live.first)
    fields = guest.fields(f"/keys/{made['id']}/revoke")
    assert guest.send(f"/keys/{made['id']}/revoke", fields, **headers).status_code == 403
    assert guest.send("/sign-in", {"key": live.first}, **headers).status_code == 403
    assert live.call("GET", f"/v1/restricted_keys/{made['id']}").json()["status"] == "active"


def test_the_own_origin_with_a_foreign_site_is_foreign(live: Live, guest: Guest) -> None:
    answer = guest.send("/sign-in", {"key": live.first}, **{"origin": guest.origin, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_other_bodies_than_a_form_are_refused(live: Live, guest: Guest) -> None:
    guest.sign_in(live.first)
    own = {"origin": guest.origin}
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
        answer = guest.http.post(f"{ROOT}/sign-out", content=b"a=b", headers={"content-type": kind, **own})
        assert answer.status_code == 400
    assert is_in(guest)


NEXT = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/keys\r\nset-cookie: a=b",
    "/keys\nx",
    "javascript:alert(1)",
    "@evil.example",
    ".evil.example",
    "/sign-out",
    "/keys?q=ü",
]


@pytest.mark.parametrize("following", NEXT)
def test_signing_in_leads_nowhere_but_into_the_console(live: Live, guest: Guest, following: str) -> None:
    where = f"/sign-in?next={quote(following)}"
    answer = guest.send(where, {"key": live.first})
    assert (answer.status_code, answer.headers["location"]) == (303, ROOT)
    assert len(answer.headers.get_list("set-cookie")) == 1


def test_signing_in_leads_back_to_the_page_that_was_asked_for(live: Live, guest: Guest) -> None:
    wanted = "/keys?kind=rk&q=agent-1"
    there = guest.get(wanted).headers["location"]
    answer = guest.send(there.removeprefix(ROOT), {"key": live.first})
    assert answer.headers["location"] == f"{ROOT}{wanted}"


def test_every_answer_forbids_frames_foreign_parts_and_keeping(live: Live, guest: Guest) -> None:
    guest.sign_in(live.first)
    paths = ("", "/keys", "/keys/new", "/can", "/me", "/keys/nothing", "/nowhere", "/sign-in")
    for answer in [*map(guest.get, paths), Guest(live).get("/sign-in"), guest.send("/me/revoke", {})]:
        if answer.status_code != 303:
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "unsafe" not in answer.headers.get("content-security-policy", "")


def test_static_files_are_kept_under_names_that_change_with_them(live: Live, guest: Guest) -> None:
    page = guest.get("/sign-in").text
    for part in (".css", ".js", ".svg"):
        path = next(piece for piece in page.split('"') if piece.endswith(part))
        answer = guest.http.get(path)
        assert "immutable" in answer.headers["cache-control"]
        assert hashlib.sha256(answer.content).hexdigest()[:16] in path
    assert guest.get("/static/console.css").status_code == 404
    assert guest.get("/static/..%2fsite.py").status_code in (400, 404)


def test_no_page_loads_or_names_anything_of_another_origin(live: Live, guest: Guest) -> None:
    guest.sign_in(live.first)
    for path in ("", "/keys", "/keys/new", "/me", "/can"):
        text = guest.get(path).text
        assert "http://" not in text
        assert "https://" not in text
        assert " style=" not in text
        assert "<script>" not in text
        assert " on" not in [piece[:3] for piece in text.split('"')]


def test_wrong_paths_and_methods_are_pages_too(live: Live, guest: Guest) -> None:
    guest.sign_in(live.first)
    assert guest.get("/nowhere").status_code == 404
    assert guest.get("/keys/x/explode").status_code == 404
    assert guest.get("/keys?status=strange").status_code == 400
    assert guest.send("/keys", {}).status_code == 405
    assert guest.get("/sign-out").status_code == 405


def test_a_link_acts_on_nothing_and_brings_no_words_of_its_own(live: Live, guest: Guest) -> None:
    made = live.mint("devboxes:read", name="only looked at")
    before = live.call("GET", f"/v1/restricted_keys/{made['id']}").json()
    guest.sign_in(live.first)
    for action in ("change", "narrow", "observe", "rotate", "suspend", "revoke"):
        guest.get(f"/keys/{made['id']}/{action}?do=save&scope.devboxes=none&reason=x&overlap=0&length=1h")
    assert live.call("GET", f"/v1/restricted_keys/{made['id']}").json() == before
    assert "call-this-number" not in guest.get(f"/keys/{made['id']}?done=call-this-number").text


def test_the_setting_turns_the_console_off(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--console", "no"]) as live:
        assert Guest(live).get("/sign-in").status_code == 404
        assert live.call("GET", "/keyscope/me").status_code == 200
