"""A day with the console in Chromium: as its user sees it, by keyboard alone, and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browsing import visiting
from tests.console.visiting import shown_secret
from tests.live import Live
from tests.programs import requires_program

pytestmark = requires_program("chromium")


def choose(page: Page, *scopes: str) -> None:
    """Pick scopes in the grid, as with a mouse."""
    for scope in scopes:
        page.get_by_role("radio", name=scope.replace(":", ": "), exact=True).check()


def test_mint_with_the_grid_copy_the_secret_once_and_use_it(browser: Browser, live: Live) -> None:
    with visiting(browser, live, permissions=["clipboard-read", "clipboard-write"]) as visit:
        page = visit.sign_in().page
        visit.follow("Mint a key")
        page.get_by_label("Name").fill("from the grid")
        choose(page, "devboxes:write", "objects:read")
        advice = page.locator("#advice")
        expect(advice).to_contain_text("Can read and change devboxes")
        expect(advice).to_contain_text("Can read objects")
        visit.press("Mint the key")
        page.get_by_role("button", name="Copy", exact=True).first.click()
        expect(page.locator("#said")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == shown_secret(page.content())
        me = live.call("GET", "/keyscope/me", copied).json()
        assert (me["name"], me["scopes"]) == ("from the grid", ["devboxes:write", "objects:read"])
        assert live.call("POST", "/v1/devboxes", copied, json={}).status_code == 200
        assert live.call("POST", "/v1/objects", copied, json={}).status_code == 403
        visit.follow("To the key")
        assert copied not in page.content()


def test_loading_the_answer_again_mints_nothing_and_shows_nothing(browser: Browser, live: Live) -> None:
    with visiting(browser, live) as visit:
        page = visit.sign_in().go("/keys/new").page
        page.get_by_label("Name").fill("loaded again")
        visit.press("Mint the key")
        secret = shown_secret(page.content())
        assert secret is not None
        page.reload()
        expect(page.get_by_role("heading", name="This form was sent already")).to_be_visible()
        assert secret not in page.content()
        page.go_back()
        assert secret not in page.content()
        assert live.call("GET", "/v1/restricted_keys?name=loaded%20again").json()["total_count"] == 1
        visit.troubles = [text for text in visit.troubles if "409" not in text]


def test_a_preset_fills_the_grid_and_says_what_to_think_of(browser: Browser, live: Live) -> None:
    with visiting(browser, live) as visit:
        page = visit.sign_in().go("/keys/new").page
        page.get_by_label("Name").fill("kept")
        visit.press("read-only")
        assert page.get_by_role("radio", name="account: read").is_checked()
        expect(page.get_by_label("Name")).to_have_value("kept")
        visit.press("ci")
        assert page.get_by_role("radio", name="blueprints: write").is_checked()
        expect(page.locator("#advice")).to_contain_text("replaces the image that others start from")


def test_revoke_shows_the_tree_and_the_tree_dies(browser: Browser, live: Live) -> None:
    top = live.mint("devboxes:write", "account:write", name="top of tree")
    twigs = [live.mint("devboxes:read", name=f"twig {n}", by=top["key_secret"]) for n in (1, 2)]
    leaf = live.mint("account:write", name="bough", by=top["key_secret"])
    leaf = live.mint("account:read", name="leaf", by=leaf["key_secret"])
    with visiting(browser, live) as visit:
        page = visit.sign_in().go(f"/keys/{top['id']}").page
        visit.follow("Revoke")
        expect(page.get_by_role("heading", name="4 keys would end with it")).to_be_visible()
        page.get_by_label("Why").fill("it leaked")
        visit.press("Revoke all 5")
        died = page.get_by_role("region", name="Keys below")
        for name in ("twig 1", "twig 2", "bough", "leaf"):
            row = died.get_by_role("row").filter(has_text=name)
            expect(row).to_contain_text("revoked")
        for made in (top, *twigs, leaf):
            assert live.call("GET", "/keyscope/me", made["key_secret"]).status_code == 401
        visit.follow("To the key")
        visit.follow("Undelete")
        visit.press("Undelete")
        expect(page.get_by_text("Brought back")).to_be_visible()
        assert live.call("GET", "/keyscope/me", leaf["key_secret"]).status_code == 200


def test_the_list_follows_what_is_typed(browser: Browser, live: Live) -> None:
    live.mint(name="needle in the list")
    live.mint(name="hay")
    with visiting(browser, live) as visit:
        page = visit.sign_in().go("/keys").page
        page.get_by_label("Name").press_sequentially("needle")
        results = page.get_by_role("region", name="Found keys")
        expect(results).to_contain_text("1 key")
        expect(results).not_to_contain_text("hay")
        assert page.url.endswith("?q=needle&kind=rk")
        page.get_by_label("Name").fill("")
        expect(results).to_contain_text("hay")


def test_can_it_explains_a_refusal(browser: Browser, live: Live) -> None:
    made = live.mint("devboxes:read", name="asks")
    with visiting(browser, live) as visit:
        page = visit.sign_in().go(f"/keys/{made['id']}").page
        visit.page.get_by_role("group").get_by_role("link", name="Can it?").click()
        page.get_by_label("Method").select_option("POST")
        page.get_by_label("Path").fill("/v1/devboxes")
        visit.press("Ask")
        expect(page.get_by_role("heading", name="No POST /v1/devboxes")).to_be_visible()
        expect(page.get_by_text("keyscope keys update")).to_contain_text("--scope devboxes:write")


def test_everything_by_keyboard(browser: Browser, live: Live) -> None:
    with visiting(browser, live) as visit:
        page = visit.go("/keys/new").page
        page.keyboard.type(live.first)  # the field has the focus from the start
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Mint a restricted key").wait_for()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        _tab_to(page, "Name")
        page.keyboard.type("typed alone")
        _tab_to(page, "devboxes: none")
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("radio", name="devboxes: read").is_checked()
        _tab_to(page, "Mint the key")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="A new key: typed alone")).to_be_visible()


def _tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"
        )
        if focused.strip() == name:
            return
    raise AssertionError(f"the Tab key does not reach {name}")


@pytest.mark.parametrize("look", ["light", "phone"])
def test_everything_works_without_scripts(browser: Browser, live: Live, look: str) -> None:
    with visiting(browser, live, look, java_script_enabled=False) as visit:
        page = visit.sign_in().go("/keys/new").page
        page.get_by_label("Name").fill("no scripts")
        visit.press("devbox-agent")
        page.locator("label").filter(has=page.get_by_role("radio", name="objects: read")).click()
        visit.press("Show what this comes to")
        expect(page.locator("#advice")).to_contain_text("Can read objects")
        visit.press("Mint the key")
        secret = shown_secret(page.content())
        assert live.call("GET", "/v1/devboxes", secret).status_code == 200
        visit.follow("To the key")
        visit.follow("Narrow")
        page.locator("label").filter(has=page.get_by_role("radio", name="devboxes: none")).click()
        visit.press("Narrow it")
        expect(page.get_by_text("Narrowed. It holds")).to_be_visible()
        assert live.call("GET", "/v1/devboxes", secret).status_code == 403
        visit.follow("Revoke")
        visit.press("Revoke")
        assert live.call("GET", "/keyscope/me", secret).status_code == 401
        visit.go("/keys")
        page.get_by_label("Name").fill("no scripts")
        visit.press("Search")
        expect(page.get_by_role("region", name="Found keys")).to_contain_text("revoked")
        visit.press("Sign out")
        expect(page.get_by_role("heading", name="Sign in with a key")).to_be_visible()


def test_a_key_is_bound_to_a_devbox_and_a_lease(browser: Browser, live: Live) -> None:
    with visiting(browser, live) as visit:
        page = visit.sign_in().go("/keys/new").page
        page.get_by_label("Name").fill("of a run")
        choose(page, "devboxes:write")
        page.get_by_label("Ends with the devbox").fill("dbx_run")
        lease = page.get_by_label("Ends unless it renews its lease every")
        lease.fill("soon")
        visit.press("Mint the key")
        expect(page.get_by_role("alert")).to_contain_text("'soon' is not a length of time")
        lease.fill("15m")
        visit.press("Mint the key")
        secret = shown_secret(page.content())
        visit.follow("To the key")
        expect(page.locator("main")).to_contain_text("devbox dbx_run, and ends with it")
        expect(page.locator("main")).to_contain_text("renewed by the key itself")
        assert live.call("POST", "/v1/devboxes/dbx_run/shutdown", secret, json={}).status_code == 200
        assert live.call("GET", "/keyscope/me", secret).status_code == 401
        visit.troubles = [text for text in visit.troubles if "400" not in text]


def test_restrictions_are_typed_said_in_words_held_and_changed(browser: Browser, live: Live) -> None:
    with visiting(browser, live) as visit:
        page = visit.sign_in().go("/keys/new").page
        page.get_by_label("Name").fill("restricted")
        choose(page, "devboxes:write")
        page.get_by_label("One a line; all must hold").fill(
            "instances.devboxes=dbx_a,ci-*\nwindow=00:00-24:00,Europe/Berlin,mon,tue,wed,thu,fri,sat,sun\n"
            "deny=shutdownDevbox"
        )
        page.get_by_label("Name").click()  # the field is left, and what was typed is put into words
        advice = page.locator("#advice")
        expect(advice).to_contain_text("Of devboxes it reaches only ci-* and dbx_a.")
        expect(advice).to_contain_text("It never calls shutdownDevbox.")
        visit.press("Mint the key")
        secret = shown_secret(page.content())
        assert live.call("GET", "/v1/devboxes/dbx_a", secret).status_code == 200
        assert live.call("GET", "/v1/devboxes/dbx_b", secret).status_code == 403
        visit.follow("To the key")
        facts = page.locator("main")
        expect(facts).to_contain_text("Of devboxes it reaches only ci-* and dbx_a.")
        expect(facts).to_contain_text("It is good from 00:00 to 24:00 by the clock of Europe/Berlin, Mondays, Tuesdays")
        visit.follow("Change")
        field = page.get_by_label("One a line; all must hold")
        expect(field).to_have_value("deny=shutdownDevbox\ninstances.devboxes=ci-*,dbx_a\n"
                                    "window=00:00-24:00,Europe/Berlin,mon,tue,wed,thu,fri,sat,sun")  # fmt: skip
        field.fill("uses=many")
        visit.press("Save")
        expect(page.get_by_role("alert")).to_contain_text("write a whole number, like uses=50")
        page.get_by_label("One a line; all must hold").fill("instances.devboxes=dbx_b")
        visit.press("Save")
        assert live.call("GET", "/v1/devboxes/dbx_b", secret).status_code == 200
        visit.troubles = [text for text in visit.troubles if "400" not in text]
