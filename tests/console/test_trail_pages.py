"""What the console shows of the audit trail: what was done, what was refused, how much of its scopes a key uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from keyscope.authority.trail import UseCount
from keyscope.console.entries import WORDS
from keyscope.console.heat import DAYS, heat
from keyscope.model.event import EventKind
from tests.console.browsing import visiting
from tests.console.visiting import Guest
from tests.live import Live
from tests.programs import requires_program

HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000


def uses(operation: str, calls: int, at_ms: int = NOW_MS) -> UseCount:
    return UseCount(account_id="acct_1", key_id="key_1", operation=operation, needs=(), minute_ms=at_ms, calls=calls)


def page_with(guest: Guest, path: str, text: str) -> str:
    """The page, once the text is on it: what happened is written down a moment later."""
    end = time.monotonic() + 20
    while text not in (page := guest.get(path).text):
        assert time.monotonic() < end, f"{text!r} does not appear on {path}"
        time.sleep(0.05)
    return page


def test_the_heat_map_puts_each_call_into_its_hour() -> None:
    counts = [uses("a", 3), uses("b", 4), uses("a", 1, NOW_MS - 25 * HOUR_MS)]
    found = heat([*counts, uses("a", 9, NOW_MS - 400 * HOUR_MS)], NOW_MS)
    assert (len(found.days), found.total) == (DAYS, 8)
    hour = NOW_MS // HOUR_MS % 24
    assert [(cell.calls, cell.level) for cell in (found.days[-1].cells[hour], found.days[-1].cells[hour - 1])] == [
        (7, 5),
        (0, 0),
    ]
    [yesterday] = [cell for day in found.days[:-1] for cell in day.cells if cell.calls]
    assert (yesterday.calls, 1 <= yesterday.level < 5) == (1, True)


def test_every_kind_of_event_has_words() -> None:
    assert [kind.value for kind in EventKind if kind not in WORDS] == []


def test_a_refusal_and_a_change_are_found_by_key_operation_and_sort(live: Live) -> None:
    made = live.mint("devboxes:read", name="found-again")
    live.call("POST", "/v1/blueprints", made["key_secret"], json={}, headers={"x-request-id": "request-77"})
    guest = Guest(live).sign_in(live.first)
    mine, minted = f"/audit?key={made['id']}", '<span class="word">minted'
    assert "blueprints:write" in page_with(guest, mine, "request-77")
    page_with(guest, mine, minted)
    assert minted not in page_with(guest, f"{mine}&verdict=denied", "createBlueprint")
    assert "request-77" not in guest.get(f"/audit?key={made['id']}&operation=createDevbox").text
    assert "request-77" not in guest.get(f"/audit?key={made['id']}&until=2020-01-01T00:00").text
    assert "request-77" in guest.get("/audit?since=2020-01-01T00:00&operation=createBlueprint").text
    for wrong in ("verdict=strange", "since=yesterday", "before=x", "before=-1"):
        assert guest.get(f"/audit?{wrong}").status_code == 400


def test_the_trail_is_read_page_by_page(live: Live) -> None:
    made = live.mint("devboxes:read", name="many-changes")
    for number in range(60):
        live.call("POST", f"/v1/restricted_keys/{made['id']}", json={"name": f"renamed-{number:02}"})
    guest = Guest(live).sign_in(live.first)
    first = page_with(guest, f"/audit?key={made['id']}&verdict=changed", "→ renamed-59")
    assert "→ renamed-05" not in first
    older = next(piece for piece in first.split('"') if "before=" in piece).partition("/audit")[2]
    second = guest.get(f"/audit{older}".replace("&amp;", "&")).text
    assert ("→ renamed-05" in second, "→ renamed-58" in second, "data-refresh" in second) == (True, False, False)


def test_what_the_console_refuses_is_written_down_too(live: Live) -> None:
    made = live.mint("devboxes:read", name="tries-the-console")
    Guest(live).sign_in(made["key_secret"]).get("/keys")
    page = page_with(Guest(live).sign_in(live.first), f"/audit?key={made['id']}", "GET /v1/restricted_keys")
    assert "account:read" in page


def test_without_a_trail_the_rest_works(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--audit", "no"]) as live:
        made = live.mint("devboxes:read")
        guest = Guest(live).sign_in(live.first)
        assert "/audit" not in guest.get("").text
        assert guest.get(f"/keys/{made['id']}").status_code == 200
        assert guest.get(f"/keys/{made['id']}/narrow?do=suggest").status_code == 200
        answer = guest.get("/audit")
        assert (answer.status_code, "--audit yes" in answer.text) == (404, True)


@requires_program("chromium")
def test_a_refused_call_appears_while_one_looks(browser: Browser, live: Live) -> None:
    made = live.mint("devboxes:read", name="watched")
    with visiting(browser, live) as visit:
        page = visit.sign_in().go(f"/audit?key={made['id']}").page
        entries = page.get_by_role("region", name="Entries", exact=True)
        expect(entries).to_contain_text("minted")
        expect(entries).not_to_contain_text("refused")
        live.call("POST", "/v1/devboxes", made["key_secret"], json={})
        expect(entries).to_contain_text("refused", timeout=20_000)
        expect(entries).to_contain_text("devboxes:write")
        expect(page.locator("#said")).to_have_text("New entries")


@requires_program("chromium")
def test_looking_stops_while_paused(browser: Browser, live: Live) -> None:
    made = live.mint("devboxes:read", name="paused")
    with visiting(browser, live) as visit:
        page = visit.sign_in().go(f"/audit?key={made['id']}").page
        visit.press("Pause")
        expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
        live.call("POST", "/v1/devboxes", made["key_secret"], json={})
        page_with(Guest(live).sign_in(live.first), f"/audit?key={made['id']}", "refused")
        entries = page.get_by_role("region", name="Entries", exact=True)
        expect(entries).not_to_contain_text("refused")
        visit.press("Go on")
        expect(entries).to_contain_text("refused", timeout=20_000)


@requires_program("chromium")
@pytest.mark.parametrize("scripts", [True, False])
def test_narrow_to_what_it_used(browser: Browser, live: Live, scripts: bool) -> None:
    made = live.mint("devboxes:write", "objects:write", "blueprints:read", name="too wide")
    for _ in range(3):
        live.call("GET", "/v1/devboxes", made["key_secret"])
    live.call("POST", "/v1/objects", made["key_secret"], json={})
    guest = Guest(live).sign_in(live.first)
    page_with(guest, f"/keys/{made['id']}", "createObject")
    with visiting(browser, live, java_script_enabled=scripts) as visit:
        page = visit.sign_in().go(f"/keys/{made['id']}").page
        visit.follow("Narrow to what it used")
        assert page.get_by_role("radio", name="devboxes: read").is_checked()
        assert page.get_by_role("radio", name="objects: write").is_checked()
        assert page.get_by_role("radio", name="blueprints: none").is_checked()
        expect(page.locator("#advice")).to_contain_text("blueprints:read")
        expect(page.get_by_text("judged again by these, none is refused")).to_be_visible()
        visit.press("Narrow it")
        expect(page.get_by_text("Narrowed. It holds")).to_be_visible()
    assert live.call("GET", "/keyscope/me", made["key_secret"]).json()["scopes"] == ["devboxes:read", "objects:write"]
    assert live.call("GET", "/v1/devboxes", made["key_secret"]).status_code == 200
    assert live.call("POST", "/v1/objects", made["key_secret"], json={}).status_code == 200
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 403


def test_a_refusal_after_narrowing_offers_to_take_it_back(live: Live) -> None:
    made = live.mint("devboxes:write", name="narrowed-too-far")
    guest = Guest(live).sign_in(live.first)
    path = f"/keys/{made['id']}"
    guest.act(f"{path}/narrow", do="save", **{"scope.devboxes": "read"})
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 403
    page_with(guest, path, "Give it back")
    guest.act(f"{path}/revert")
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 200


def test_an_observed_key_is_let_through_and_the_console_says_so(live: Live) -> None:
    made = live.mint("devboxes:read", name="looked-at")
    guest = Guest(live).sign_in(live.first)
    path = f"/keys/{made['id']}"
    guest.act(f"{path}/observe", length="1h")
    assert "Observed until" in guest.get(path).text
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 200
    assert "would be refused" in page_with(guest, f"/audit?verdict=observed&key={made['id']}", "devboxes:write")
    asked = guest.get(f"/can?key={made['id']}&method=POST&path=/v1/devboxes").text
    assert "Only because the key is observed" in asked
    assert guest.act(f"{path}/observe", length="forever").status_code == 400
    guest.act(f"{path}/observe", length="end")
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 403


def test_a_restricted_key_sees_the_trail_of_its_tree_alone(live: Live) -> None:
    above = live.mint("account:write", "devboxes:read", name="tree-owner")
    below = live.mint("devboxes:read", name="in-the-tree", by=above["key_secret"])
    other = live.mint("devboxes:read", name="not-in-the-tree")
    for made in (below, other):
        live.call("POST", "/v1/devboxes", made["key_secret"], json={})
    page_with(Guest(live).sign_in(live.first), f"/audit?key={other['id']}", "devboxes:write")
    guest = Guest(live).sign_in(above["key_secret"])
    page = page_with(guest, "/audit", "in-the-tree")
    assert "not-in-the-tree" not in page
    assert "Events and refusals" in guest.get(f"/keys/{below['id']}").text
    assert "Events and refusals" not in guest.get(f"/keys/{other['id']}").text
    overview = guest.get("").text
    assert ("Refused most" in overview, "not-in-the-tree" in overview) == (True, False)


def test_what_a_key_minted_with_counts_as_needed(live: Live) -> None:
    above = live.mint("account:write", "devboxes:write", "objects:write", name="gives")
    live.mint("devboxes:write", name="given", by=above["key_secret"])
    page = page_with(Guest(live).sign_in(live.first), f"/keys/{above['id']}/narrow?do=suggest", "needed only")
    assert 'aria-label="devboxes: write" checked' in page
    assert 'aria-label="objects: none" checked' in page
    assert "It mints keys" in page
