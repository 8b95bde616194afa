"""``keyscope plan`` as people use it, with and without a server."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.run import keyscope
from tests.gate.waiting import wait_until
from tests.live import Live
from tests.plan.files import SECRET, entry, har


@pytest.fixture
def env(live: Live) -> dict[str, str]:
    return {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}


def test_offline_it_prints_the_command_that_mints_the_key(live: Live, env: dict[str, str]) -> None:
    offline = keyscope("plan", "-", "--policy", "runloop", "--name", "my agent", "--expires-in", "8h",
                       stdin="listDevboxes\nPOST /v1/objects\n")  # fmt: skip
    command = offline.stdout.splitlines()[-1]
    assert "listDevboxes (GET /v1/devboxes)" in offline.stdout
    assert command == (
        "keyscope keys create --name 'my agent' --scope devboxes:read --scope objects:write --expires-in 8h"
    )
    minted = json.loads(keyscope(*shlex.split(command)[1:], "--json", env=env).stdout)
    assert live.call("GET", "/v1/devboxes", minted["key_secret"]).status_code == 200


def test_a_har_file_becomes_a_key_that_serves_its_calls(live: Live, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "session.har"
    file.write_bytes(har(entry("POST", "/v1/devboxes", {"blueprint_id": "bpt_1"}), entry("GET", "/v1/objects")))
    done = keyscope("plan", str(file), "--mint", "--name", "planned", "--json", env=env)
    made = json.loads(done.stdout)
    assert made["scopes"] == ["blueprints:read", "devboxes:write", "objects:read"]
    key = made["minted"]["key_secret"]
    assert live.call("POST", "/v1/devboxes", key, json={"blueprint_id": "bpt_1"}).status_code == 200
    assert live.call("GET", "/v1/objects", key).status_code == 200
    assert live.call("POST", "/v1/objects", key, json={}).status_code == 403
    assert SECRET not in done.stdout + done.stderr


def test_a_minted_secret_alone_on_stdout(live: Live, env: dict[str, str]) -> None:
    done = keyscope("plan", "-", "--mint", "--secret-only", stdin="listDevboxes\n", env=env)
    assert live.call("GET", "/v1/devboxes", done.stdout.strip()).status_code == 200


def test_what_is_outside_the_policy_is_an_exit_code_and_mints_nothing(live: Live, env: dict[str, str]) -> None:
    before = live.call("GET", "/v1/restricted_keys").json()["total_count"]
    done = keyscope("plan", "-", "--mint", stdin="listDevboxes\nGET /nowhere\n", env=env)
    assert done.returncode == 1
    assert "Outside: GET /nowhere: not in the policy" in done.stderr
    assert "--partial" in done.stderr
    assert live.call("GET", "/v1/restricted_keys").json()["total_count"] == before
    partial = keyscope("plan", "-", "--mint", "--partial", "--json", stdin="listDevboxes\nGET /nowhere\n", env=env)
    assert (partial.returncode, json.loads(partial.stdout)["scopes"]) == (0, ["devboxes:read"])


def test_without_a_server_and_without_a_policy_it_says_what_it_lacks() -> None:
    done = keyscope("plan", "-", stdin="listDevboxes\n")
    assert done.returncode == 2
    assert "KEYSCOPE_API_KEY" in done.stderr


def test_a_bad_file_is_named_with_its_faults(tmp_path: Path) -> None:
    file = tmp_path / "bad.har"
    file.write_bytes(har(entry("GET", "/v1/devboxes"), {"request": {"url": "/x"}}))
    done = keyscope("plan", str(file), "--policy", "runloop")
    assert done.returncode == 2
    assert f"{file} cannot be planned for" in done.stderr
    assert "log.entries[1].request.method: this should be a text" in done.stderr
    wrong = keyscope("plan", str(file), "--policy", "runloop", "--base-url", "ftp://x")
    assert "is not the address of an API" in wrong.stderr
    assert keyscope("plan", "-", "--secret-only", "--policy", "runloop", stdin="x").returncode == 2


def test_an_export_of_the_audit_is_a_trace(live: Live, tmp_path: Path) -> None:
    key = live.mint("objects:read")
    live.call("GET", "/v1/blueprints", "")
    assert live.call("POST", "/v1/benchmarks", key["key_secret"], json={}).status_code == 403
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json={}).status_code == 403
    file = tmp_path / "trace.jsonl"

    def exported() -> bool:
        done = keyscope("audit", "export", KEYSCOPE_DATABASE=f"sqlite:///{live.database}")
        mine = [line for line in done.stdout.splitlines() if key["id"] in line]
        file.write_text("".join(f"{line}\n" for line in mine))
        return sum('"call.denied"' in line for line in mine) == 2

    wait_until(exported, 20)
    done = keyscope("plan", str(file), "--policy", "runloop", "--json")
    assert {"benchmarks:write", "devboxes:write"} <= set(json.loads(done.stdout)["scopes"])
