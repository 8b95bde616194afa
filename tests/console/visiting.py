"""The console without a browser: a client that keeps the cookie and sends forms as a browser would."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import httpx

from tests.live import Live

ROOT = "/keyscope/console"
COOKIE = "keyscope-console"


class Guest:
    """One browser, as far as HTTP goes."""

    def __init__(self, live: Live) -> None:
        self.origin = live.url
        none_kept = httpx.Limits(max_keepalive_connections=0)  # so that there is nothing to close
        self.http = httpx.Client(base_url=live.url, timeout=30, trust_env=False, limits=none_kept)

    def get(self, path: str = "", **headers: str) -> httpx.Response:
        return self.http.get(ROOT + path, headers=headers)

    def send(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """POST a form as a page of the console does; ``headers`` in place of the browser's own."""
        sent = headers or {"origin": self.origin, "sec-fetch-site": "same-origin"}
        body = urlencode(form).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.http.post(ROOT + path, content=body, headers={**kind, **sent})

    def sign_in(self, key: str) -> Guest:
        answer = self.send("/sign-in", {"key": key})
        assert (answer.status_code, answer.headers["location"]) == (303, ROOT), answer.text
        return self

    def fields(self, path: str) -> dict[str, str]:
        """The hidden fields of the last form of a page."""
        return hidden(self.get(path).text)

    def act(self, path: str, **form: str) -> httpx.Response:
        """Load a page, and send its form with these fields."""
        return self.send(path, {**self.fields(path), **form})

    @property
    def cookie(self) -> str | None:
        return self.http.cookies.get(COOKIE)


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def shown_secret(page: str) -> str | None:
    """The key's text on a page, if there is one."""
    found = re.search(r"\b[ar]k_[0-9A-Za-z]{49}\b", page)
    return found[0] if found else None
