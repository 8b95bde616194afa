"""Whether a key may use a tool can be asked without using it: by the key itself, by a server, by the command."""

from __future__ import annotations

import pytest

from tests.cli.run import keyscope
from tests.live import Live
from tests.model_context.running import POLICY

TOOL, RESOURCE = "/tools/call/delete_station", "/resources/read/weather://stations/oslo"


def test_a_key_asks_for_itself(keys: Live, reader: str, writer: str) -> None:
    answers = {who: keys.call("GET", f"/keyscope/can?method=MCP&path={TOOL}", who).json() for who in (reader, writer)}
    assert [answers[who]["allowed"] for who in (reader, writer)] == [False, True]
    assert answers[reader]["missing_scopes"] == ["stations:write"]
    assert "tools/call delete_station" in answers[reader]["message"]


@pytest.mark.parametrize("path", [TOOL, RESOURCE])
def test_a_server_asks_about_a_key_and_arguments_count(keys: Live, writer: str, path: str) -> None:
    asked = {"key": writer, "method": "MCP", "path": path, "body": {"force": True}}
    answer = keys.call("POST", "/keyscope/verify", keys.first, json=asked).json()
    missing = {TOOL: ["forecasts:write"], RESOURCE: []}[path]
    assert (answer["allowed"], answer["missing_scopes"]) == (not missing, missing)
    assert answer["judged_by_body"] == (path == TOOL)


def test_a_path_that_names_no_tool_is_refused_with_the_form(keys: Live) -> None:
    asked = {"key": keys.first, "method": "MCP", "path": "delete_station"}
    answer = keys.call("POST", "/keyscope/verify", keys.first, json=asked)
    assert answer.status_code == 400
    assert "like /tools/call/get_forecast" in answer.text


def test_no_http_call_has_the_method(keys: Live, writer: str) -> None:
    assert keys.call("MCP", TOOL, writer).status_code in (400, 405, 501)


def test_authzen_knows_tools_and_resources(keys: Live) -> None:
    minted = keys.mint("stations:read")
    subject = {"type": "key", "id": minted["id"]}
    route = {"type": "route", "id": RESOURCE}
    asked = {"subject": subject, "action": {"name": "MCP"}, "resource": route}
    assert keys.call("POST", "/keyscope/access/v1/evaluation", keys.first, json=asked).json()["decision"] is True
    asked["resource"] = {"type": "route", "id": TOOL}
    assert keys.call("POST", "/keyscope/access/v1/evaluation", keys.first, json=asked).json()["decision"] is False


def test_the_command_judges_offline() -> None:
    ran = keyscope("can", "-", "MCP", TOOL, "--offline", "--policy", str(POLICY), "--scope", "stations:read")
    assert ran.returncode == 1
    assert "stations:write" in ran.stdout
