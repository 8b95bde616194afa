"""Every page, light, dark and on a phone: axe-core finds no serious fault, nothing errs, the policy is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.console.browsing import LOOKS, visiting
from tests.console.forest import Forest
from tests.live import Live
from tests.programs import requires_program

pytestmark = requires_program("chromium")


@pytest.fixture(scope="module")
def forest(live: Live) -> Forest:
    return Forest(live)


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_serious_fault_or_is_too_wide(browser: Browser, live: Live, forest: Forest, look: str) -> None:
    faults: dict[str, list[str]] = {}
    with visiting(browser, live, look) as visit:
        visit.go("/sign-in")
        faults["/sign-in"] = visit.faults()
        visit.sign_in()
        for path in forest.pages():
            visit.go(path)
            faults[path] = visit.faults() + visit.too_wide()
    assert {path: found for path, found in faults.items() if found} == {}


@pytest.mark.parametrize("look", LOOKS)
def test_no_answer_to_a_form_has_a_serious_fault(browser: Browser, live: Live, forest: Forest, look: str) -> None:
    with visiting(browser, live, look) as visit:
        visit.sign_in().go("/keys/new")
        visit.page.get_by_label("Name").fill("shown once")
        visit.press("ci")
        assert visit.faults() == []
        visit.press("Mint the key")
        assert visit.page.get_by_text("shown here, once").is_visible()
        assert visit.faults() == []
        visit.go(f"/keys/{forest.fresh()}/revoke").press("Revoke")
        assert visit.faults() == []
