"""The console in a real browser: Chromium without a window, watched for errors and breaches of the page's policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.console.visiting import ROOT
from tests.live import Live
from tests.programs import program

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "is_mobile": True},
}
_WATCH = """addEventListener("securitypolicyviolation",
  (event) => console.error("policy violated: " + event.violatedDirective + " " + event.blockedURI), true)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Where Playwright's loop runs, no other can, so it must not stay for other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"))
        yield browser
        browser.close()


class Visit:
    """One page of a browser, and what went wrong in it."""

    def __init__(self, page: Page, live: Live) -> None:
        self.page = page
        self.live = live
        self.troubles: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self._dialog(dialog))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.troubles.append(text)

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def go(self, path: str = "") -> Visit:
        self.page.goto(self.live.url + ROOT + path)
        return self

    def sign_in(self, key: str | None = None) -> Visit:
        self.go("/sign-in")
        self.page.get_by_label("Key").fill(key or self.live.first)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        return self

    def press(self, name: str) -> Visit:
        self.page.get_by_role("button", name=name, exact=True).click()
        return self

    def follow(self, name: str) -> Visit:
        self.page.get_by_role("link", name=name, exact=True).first.click()
        return self

    def faults(self) -> list[str]:
        """What axe-core finds serious or critical on the page, one line each."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        serious = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
        return [f"{rule['id']}: {node['html'][:200]}" for rule in serious for node in rule["nodes"]]

    def too_wide(self) -> list[str]:
        """A line if the page must be scrolled sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        screen = self.page.viewport_size["width"] if self.page.viewport_size else 0
        return [f"{wide} pixels wide on a screen of {screen}"] if wide > screen else []


@contextmanager
def visiting(browser: Browser, live: Live, look: str = "light", **more: Any) -> Iterator[Visit]:
    """A fresh browser context. At its end nothing may have gone wrong in it."""
    context: BrowserContext = browser.new_context(**{**LOOKS[look], **more})
    context.add_init_script(_WATCH)
    try:
        visit = Visit(context.new_page(), live)
        yield visit
        assert visit.troubles == []
    finally:
        context.close()


@cache
def _axe() -> str:
    return (files("axe_core_python") / "axe.min.js").read_text("utf-8")
