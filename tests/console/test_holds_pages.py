"""Held calls in the console: read, approved and refused there, with the powers of the key that signed in."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.console.browsing import LOOKS, visiting
from tests.console.visiting import Guest, hidden
from tests.holds.asking import ASK, SHUTDOWN, decide, ended, held, holding, look
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder


def csrf(guest: Guest) -> str:
    return guest.fields("/me")["csrf"]


def test_a_call_that_waits_is_counted_read_and_approved(live: Live, upstream: Recorder) -> None:
    upstream.take()
    key = holding(live, name="careful")
    view = held(live.call("POST", SHUTDOWN, key["key_secret"], content=b"<b>&why"))
    guest = Guest(live).sign_in(live.first)
    assert "1 call waits for approval" in guest.get("").text
    assert view["id"] in guest.get("/holds").text
    page = guest.get(f"/holds/{view['id']}").text
    assert ("&lt;b&gt;&amp;why" in page, view["digest"] in page, "careful" in page) == (True, True, True)
    assert guest.send(f"/holds/{view['id']}/approve", hidden(page)).status_code == 303
    assert ended(live, view["id"])["status"] == "done"
    assert len(upstream.take()) == 1
    assert "The call was sent" in guest.get(f"/holds/{view['id']}").text


def test_a_call_that_was_decided_meanwhile_says_so(live: Live) -> None:
    view = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))
    guest = Guest(live).sign_in(live.first)
    guest.get(f"/holds/{view['id']}")
    decide(live, view["id"], "refuse")
    answer = guest.send(f"/holds/{view['id']}/approve", {"csrf": csrf(guest), "digest": view["digest"]})
    assert (answer.status_code, "decided before" in answer.text) == (409, True)


def test_the_key_that_made_a_call_takes_it_back_and_approves_nothing(live: Live) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    guest = Guest(live).sign_in(key["key_secret"])
    page = guest.get(f"/holds/{view['id']}").text
    assert ("Take it back" in page, "Approve" in page) == (True, False)
    refused = guest.send(f"/holds/{view['id']}/approve", {"csrf": csrf(guest), "digest": view["digest"]})
    assert refused.status_code == 403
    assert guest.send(f"/holds/{view['id']}/refuse", {"csrf": csrf(guest)}).status_code == 303
    assert look(live, view["id"])["status"] == "cancelled"


def test_other_keys_see_nothing_of_it(live: Live) -> None:
    view = held(live.call("POST", SHUTDOWN, holding(live, hold=ASK)["key_secret"]))
    guest = Guest(live).sign_in(live.mint("devboxes:read")["key_secret"])
    assert view["id"] not in guest.get("/holds").text
    assert guest.get(f"/holds/{view['id']}").status_code == 404
    assert guest.send(f"/holds/{view['id']}/refuse", {"csrf": csrf(guest)}).status_code == 404


@requires_program("chromium")
@pytest.mark.parametrize("look", LOOKS)
def test_its_pages_have_no_serious_fault_and_are_not_too_wide(browser: Browser, live: Live, look: str) -> None:
    key = holding(live, name=f"held-{look}")
    waiting = held(live.call("POST", f"{SHUTDOWN}?look={look}", key["key_secret"], content=b"x" * 500))
    refused = held(live.call("POST", "/v1/devboxes/dbx_2/shutdown", key["key_secret"]))
    decide(live, refused["id"], "refuse", reason="no")
    with visiting(browser, live, look) as visit:
        visit.sign_in()
        for path in ("/holds", f"/holds/{waiting['id']}", f"/holds/{refused['id']}", ""):
            visit.go(path)
            assert visit.faults() + visit.too_wide() == [], path
