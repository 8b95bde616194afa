"""The examples of docs/in-process.md run as they stand, in a real server."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inprocess.serving import SERVERS, Served
from tests.live import Live

PAGE = Path(__file__).parents[2] / "docs" / "in-process.md"
GUARDED, REMOTE, SHOP = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def serve(server: str, live: Live, name: str, program: str) -> Served:
    (live.directory / f"{name}.py").write_text(program)
    environment = {
        "KEYSCOPE_DATABASE": f"sqlite:///{live.database}",
        "KEYSCOPE_URL": live.url,
        "KEYSCOPE_API_KEY": live.first,
    }
    return Served(server, live.directory, f"{name}:app", environment, path=live.directory)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("name", "program"), [("guarded", GUARDED), ("asking", GUARDED + REMOTE)])
def test_the_middleware(new_directory: Callable[[], Path], server: str, name: str, program: str) -> None:
    with Live(new_directory()) as live, serve(server, live, name, program) as app:
        made = live.mint("devboxes:read")
        assert app.call("GET", "/v1/devboxes", made["key_secret"]).text == f"hello {made['id']}"
        assert app.call("POST", "/v1/devboxes", made["key_secret"]).status_code == 403
        assert app.call("GET", "/v1/devboxes").status_code == 401
        assert app.call("GET", "/healthz").text == "well"


def test_scopes_on_routes(new_directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_directory()
    monkeypatch.setenv("KEYSCOPE_DATABASE", f"sqlite:///{directory}/keyscope.db")
    space: dict[str, object] = {}
    exec(SHOP, space)  # noqa: S102  (the page's own words)
    app = space["app"]
    document = app.openapi()  # type: ignore[attr-defined]
    (directory / "openapi.json").write_text(json.dumps(document))
    with Live(directory, options=["--policy", "openapi.json"]) as live, serve("uvicorn", live, "shop", SHOP) as shop:
        reader = live.mint("orders:read")
        assert shop.call("GET", "/orders", reader["key_secret"]).json() == {"for": reader["id"]}
        refused = shop.call("POST", "/orders/7/refund", reader["key_secret"])
        assert refused.json()["missing_scopes"] == ["money:write", "orders:write"]
        assert shop.call("GET", "/openapi.json", live.first).json() == document
    assert sys.modules.get("shop") is None
