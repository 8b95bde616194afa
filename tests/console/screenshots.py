"""Draws the pictures of docs/console.md anew: ``python -m tests.console.screenshots``. Not a test."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.console.browsing import chromium, visiting
from tests.console.forest import Forest
from tests.live import Live
from tests.recorder import Recorder

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_RECORDED_S = 3
_SMALL: dict[str, Any] = {"viewport": {"width": 1160, "height": 740}}


def draw(live: Live, forest: Forest) -> None:
    with chromium() as browser:
        team, agent = forest.team["id"], forest.agents[0]["id"]
        shots = [
            ("overview", "light", ""),
            ("keys", "light", "/keys"),
            ("key", "light", f"/keys/{team}"),
            ("key-dark", "dark", f"/keys/{team}"),
            ("audit", "light", "/audit"),
            ("revoke", "light", f"/keys/{team}/revoke"),
            ("can", "light", f"/can?key={agent}&method=POST&path=/v1/blueprints"),
            ("phone", "phone", f"/keys/{agent}"),
        ]
        for name, look, path in shots:
            with visiting(browser, live, look, **({} if look == "phone" else _SMALL)) as visit:
                visit.sign_in().go(path)
                visit.page.screenshot(path=IMAGES / f"console-{name}.png", scale="css")
        with visiting(browser, live, **_SMALL) as visit:
            visit.sign_in().go("/keys/new")
            visit.page.get_by_label("Name").fill("ci-nightly")
            visit.press("ci")
            visit.page.screenshot(path=IMAGES / "console-mint.png", scale="css")
        with visiting(browser, live, **_SMALL) as visit:
            visit.sign_in().go(f"/keys/{agent}")
            used = visit.page.locator(".stack")
            used.screenshot(path=IMAGES / "console-used.png", scale="css")


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        Recorder() as upstream,
        Live(Path(folder), upstream=upstream.url) as server,
    ):
        grown = Forest(server)
        time.sleep(_RECORDED_S)  # what was used is written down a little later
        draw(server, grown)
