"""The console in a browser while a node is silent: with its script it follows the nodes, without it the page waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.browsing import Visit, chromium, visiting
from tests.console.visiting import Guest
from tests.nodes.silence import paused
from tests.nodes.team import Team

PENDING = "c was not heard yet."
CLOSED = "c was not heard, and judges nothing until it has it."
OVER = "No node judges by what was before."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def shows(visit: Visit, text: str) -> bool:
    """Now, without waiting."""
    return visit.page.locator("main").get_by_text(text).is_visible()


def wait_for(visit: Visit, text: str) -> None:
    visit.page.locator("main").get_by_text(text).wait_for()


@pytest.mark.parametrize(("action", "button"), [("revoke", "Revoke"), ("suspend", "Suspend"), ("rotate", "Rotate")])
def test_the_page_comes_at_once_and_follows_the_nodes(
    patient: Team, browser: Browser, action: str, button: str
) -> None:
    key = patient[0].mint("devboxes:read")
    with visiting(browser, patient[0]) as visit:
        visit.sign_in().go(f"/keys/{key['id']}/{action}")
        with paused(patient[2]):
            visit.press(button)
            wait_for(visit, PENDING)
            wait_for(visit, "1 node may still judge by what was before.")
            wait_for(visit, CLOSED)
            assert shows(visit, OVER)
            assert [shows(visit, f"{name} has it.") for name in "abc"] == [True, True, False]
            assert visit.faults() == []


def test_without_its_script_the_page_comes_when_no_node_judges_by_what_was(patient: Team, browser: Browser) -> None:
    key = patient[0].mint("devboxes:write")
    with visiting(browser, patient[0], java_script_enabled=False) as visit:
        visit.sign_in().go(f"/keys/{key['id']}/revoke")
        with paused(patient[2]):
            visit.press("Revoke")
            wait_for(visit, "is revoked.")
            assert (shows(visit, PENDING), shows(visit, CLOSED), shows(visit, OVER)) == (False, True, True)


def test_every_form_that_takes_something_away_shows_who_has_it(three: Team) -> None:
    guest = Guest(three[0]).sign_in(three[0].first)
    at = f"/keys/{three[0].mint('devboxes:write')['id']}"
    forms = [
        ("/observe", {"length": "1h"}),
        ("/observe", {"length": "end"}),
        ("/narrow", {"do": "save", "scope-devboxes": "read"}),
        ("/revert", {}),
        ("/change", {"do": "save", "name": "renamed"}),
        ("/suspend", {}),
        ("/revoke", {}),
    ]
    for path, form in forms:
        answer = guest.act(at + path, **form)
        if answer.status_code == 303:
            answer = guest.get(answer.headers["location"].removeprefix("/keyscope/console"))
        assert all(f"<li>{name} has it.</li>" in answer.text for name in "abc"), (path, answer.text)


def test_who_ends_the_key_of_the_session_reads_it_before_it_is_signed_out(three: Team) -> None:
    own = three[0].mint_standard()
    guest = Guest(three[0]).sign_in(own["key_secret"])
    answer = guest.act("/me/revoke", wait="0")
    assert all(f"<li>{name} has it.</li>" in answer.text for name in "abc")
    assert guest.get("/me").status_code == 303


def test_an_address_with_a_receipt_of_another_database_shows_the_key_alone(three: Team) -> None:
    guest = Guest(three[0]).sign_in(three[0].first)
    at = f"/keys/{three[0].mint('devboxes:read')['id']}?done=suspended&receipt="
    for receipt in ("another/1", "another", "/", "x/-1"):
        page = guest.get(at + receipt)
        assert page.status_code == 200
        assert "judges by what was" not in page.text
        assert "It holds from" not in page.text
