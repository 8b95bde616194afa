"""What others choose the text of: names, reasons, paths, agents, request ids. It is shown as text and does nothing."""

from __future__ import annotations

import pytest
from markupsafe import escape
from playwright.sync_api import Browser

from tests.console.browsing import visiting
from tests.console.visiting import Guest
from tests.live import Live
from tests.programs import requires_program

SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "{{ 7 * 7 }}{% raw %}${8 * 8}",
    "</title><svg onload=alert(4)>",
    "javascript:alert(5)",
    "<b>bold</b>&lt;i&gt;",
    "<a href=https://evil.example>here</a>",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_a_name_is_text_on_every_page(live: Live, text: str) -> None:
    made = live.mint("devboxes:read", "account:write", name=text)
    below = live.mint("devboxes:read", name=f"below {text}", by=made["key_secret"])
    guest = Guest(live).sign_in(made["key_secret"])
    paths = ["/me", "/keys", f"/keys/{made['id']}", f"/keys/{below['id']}", f"/keys/{made['id']}/revoke"]
    for path in paths:
        page = guest.get(path).text
        assert str(escape(text)) in page
        assert text not in page or text == escape(text)


def test_what_the_visitor_sends_comes_back_as_text(live: Live) -> None:
    guest = Guest(live).sign_in(live.first)
    for text in SCRIPTS[:2]:
        answers = [
            guest.http.get("/keyscope/console/keys", params={"q": text, "created_by": text}),
            guest.http.get("/keyscope/console/keys", params={"resource": text}),
            guest.http.get("/keyscope/console/can", params={"key": text, "method": "GET", "path": text}),
            guest.http.get("/keyscope/console/sign-in", params={"next": text}),
            guest.act("/keys/new", do="mint", name=text, expires="at", expires_at=text),
            guest.act("/keys/new", **{"do": "look", "name": text, f"scope.{text}": text}),
        ]
        for answer in answers:
            assert text not in answer.text


@requires_program("chromium")
def test_no_text_of_others_runs_or_loads_anything(browser: Browser, live: Live) -> None:
    named = []
    for text in SCRIPTS:
        made = live.mint("devboxes:read", name=text)
        named.append(made["id"])
        hostile = {"user-agent": text, "x-request-id": text.replace(" ", "_"), "x-forwarded-for": text, "referer": text}
        live.call("POST", "/v1/devboxes", made["key_secret"], json={}, headers=hostile)
        live.call("GET", f"/v1/devboxes/{text.encode().hex()}'\"", made["key_secret"])
    live.call("POST", f"/v1/restricted_keys/{named[0]}/revoke", json={"reason": SCRIPTS[0]})
    with visiting(browser, live) as visit:
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        visit.sign_in()
        for path in ("", "/keys", *(f"/keys/{key_id}" for key_id in named), f"/keys/{named[1]}/revoke", "/audit"):
            visit.go(path)
            visit.page.wait_for_load_state("networkidle")
        assert [url for url in asked if not url.startswith(live.url)] == []
        assert visit.page.locator("main img, main svg:not(.meter svg), main script").count() == 0


@requires_program("chromium")
def test_the_console_is_shown_in_no_frame(browser: Browser, live: Live) -> None:
    page = browser.new_page()
    frame = f'<iframe src="{live.url}/keyscope/console/sign-in"></iframe>'
    page.set_content(frame)
    page.wait_for_load_state("networkidle")
    inner = page.frames[1]
    assert inner.locator("input").count() == 0
    page.context.close()
