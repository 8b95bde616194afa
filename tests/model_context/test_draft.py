"""``keyscope policy draft-mcp``: a policy that holds, from a live server."""

from __future__ import annotations

from pathlib import Path

from keyscope.policy.check import lint
from keyscope.policy.document import load
from tests.cli.run import keyscope
from tests.live import free_port
from tests.model_context.running import Weather


def test_a_draft_is_a_sound_policy_of_all_that_the_server_offers(weather: Weather, tmp_path: Path) -> None:
    done = keyscope("policy", "draft-mcp", weather.url, "--type", "weather")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "draft.yaml"
    file.write_text(done.stdout)
    policy = load(str(file))
    assert lint(policy).ok
    needs = {row.id: [str(scope) for scope in row.needs] for row in policy.operations}
    assert needs["tools/call get_forecast"] == ["weather:read"]
    assert needs["tools/call delete_station"] == ["weather:write"]
    assert needs["tools/call wipe"] == ["weather:write"], "what says nothing of itself is not taken to read only"
    assert needs["prompts/get plan_trip"] == ["weather:read"]
    assert needs["resources/read weather://stations/{id}"] == ["weather:read"]
    assert "Check each line" in done.stdout


def test_a_server_that_is_not_there_is_named() -> None:
    done = keyscope("policy", "draft-mcp", f"http://127.0.0.1:{free_port()}/mcp")
    assert (done.returncode, "did not answer like an MCP server" in done.stderr) == (1, True)


def test_a_wrong_type_is_named() -> None:
    assert "'A B' is not a resource type" in keyscope("policy", "draft-mcp", "http://x", "--type", "A B").stderr
