"""``keyscope scan`` as a user and as a pre-commit hook run it, beside a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from keyscope.derive import attenuate
from tests.cli.run import keyscope
from tests.leaks.test_scan import commit, git
from tests.life.asking import done, status, verb, view
from tests.live import Live, new_first_key


@pytest.fixture(scope="module")
def server(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


def scan(server: Live, *words: object, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first}
    return keyscope("scan", *map(str, words), stdin=stdin, cwd=cwd, env=environment)


def found(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(run.stdout)
    return reply


def test_live_and_dead_keys_are_told_apart_and_none_is_printed(server: Live, tmp_path: Path) -> None:
    live, dead = server.mint("devboxes:read", name="agent-1"), server.mint()
    derived = attenuate(live["key_secret"], label="build")
    server.revoke(dead["id"])
    foreign = new_first_key()
    texts = [live["key_secret"], dead["key_secret"], derived, foreign]
    (tmp_path / "notes").write_text("\n".join(texts))
    run = scan(server, tmp_path)
    assert run.returncode == 1
    shown = [f"{text[:3]}…{text[-4:]}" for text in texts]
    lines = run.stdout.splitlines()
    assert lines[0] == f"{shown[0]}  live  {live['id']}  agent-1"
    assert lines[1] == f"  {tmp_path}/notes:1"
    assert lines[2] == f"{shown[1]}  not live"
    assert lines[4].startswith(f"{shown[2]}  live  drv_")
    assert lines[6] == f"{shown[3]}  not live"
    assert "4 keys found, 2 of them live; looked through 1 files" in run.stderr
    as_json = found(scan(server, tmp_path, "--json"))
    assert [key["state"] for key in as_json["keys"]] == ["live", "not live", "live", "not live"]
    for text in texts:
        assert text not in run.stdout + run.stderr + json.dumps(as_json)


def test_asking_about_keys_counts_neither_as_their_use_nor_as_use_of_dead_ones(server: Live) -> None:
    live, dead, used, tried = (server.mint() for _ in range(4))
    for key in (dead, tried):
        server.revoke(key["id"])
    scan(server, "-", stdin=live["key_secret"] + dead["key_secret"])
    assert [status(server, key["key_secret"]) for key in (used, tried)] == [200, 401]
    server.stop()  # writes down all uses
    server.start()
    assert [view(server, key["id"])["last_used_at_ms"] is None for key in (live, used)] == [True, False]
    assert [view(server, key["id"])["dead_uses"] for key in (dead, tried)] == [0, 1]


def test_nothing_found_is_nothing_to_ask(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("rk_" + "a" * 49)
    run = keyscope("scan", str(tmp_path), env={"KEYSCOPE_URL": "http://127.0.0.1:1"})
    assert (run.returncode, run.stdout) == (0, "")
    assert "No keys found" in run.stderr


def test_dead_keys_alone_are_exit_code_0(server: Live) -> None:
    assert scan(server, "-", stdin=new_first_key()).returncode == 0


def test_offline_every_key_counts_as_live(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(new_first_key())
    run = keyscope("scan", str(tmp_path), "--offline", "--json")
    assert run.returncode == 1
    assert [key["state"] for key in found(run)["keys"]] == ["unknown"]


def test_without_a_server_the_exit_code_is_2(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(new_first_key())
    nowhere = {"KEYSCOPE_URL": "http://127.0.0.1:1", "KEYSCOPE_API_KEY": new_first_key()}
    for environment in (nowhere, {}):
        run = keyscope("scan", str(tmp_path), env=environment)
        assert run.returncode == 2
        assert "KEYSCOPE_" in run.stderr
        assert "unknown" in run.stdout


def test_what_could_not_be_looked_into_is_named_with_exit_code_2(server: Live, tmp_path: Path) -> None:
    run = scan(server, tmp_path / "nowhere")
    assert run.returncode == 2
    assert f"trouble: {tmp_path}/nowhere" in run.stderr
    [trouble] = found(scan(server, tmp_path / "nowhere", "--json"))["troubles"]
    assert trouble["path"] == f"{tmp_path}/nowhere"


@pytest.mark.parametrize(
    "words", [(), ("--offline", "--revoke", "x"), ("-", "--revoke")], ids=["nothing", "offline", "stdin"]
)
def test_what_does_not_go_together_is_refused(server: Live, words: tuple[str, ...]) -> None:
    assert scan(server, *words).returncode == 2


def test_the_history_is_looked_into_unless_told_otherwise(server: Live, tmp_path: Path) -> None:
    key = server.mint()
    git(tmp_path, "init", "-q")
    first = commit(tmp_path, "oh no", config=key["key_secret"])
    commit(tmp_path, "gone", config="")
    [leak] = found(scan(server, tmp_path, "--json"))["keys"]
    assert [(place["path"], place["commit"]) for place in leak["places"]] == [(f"{tmp_path}/config", first)]
    assert scan(server, tmp_path, "--no-history").returncode == 0


def test_revoke_says_what_it_will_end_asks_and_ends_it(server: Live, tmp_path: Path) -> None:
    key, rotated = server.mint(), server.mint()
    renewed = done(verb(server, rotated["id"], "rotate", overlap_ms=600_000))
    derived = attenuate(server.mint()["key_secret"])
    (tmp_path / "a").write_text("\n".join([key["key_secret"], rotated["key_secret"], derived, server.first]))
    declined = scan(server, tmp_path, "--revoke", stdin="n\n")
    assert declined.returncode == 1
    assert "Revoke 3 live keys?" in declined.stderr
    assert key["id"] in declined.stdout
    assert "Your own key" in declined.stderr
    assert status(server, key["key_secret"]) == 200
    ended = scan(server, tmp_path, "--revoke", stdin="y\n")
    assert (ended.returncode, "3 of 3 are ended" in ended.stderr) == (1, True)
    assert [status(server, text) for text in (key["key_secret"], rotated["key_secret"], derived)] == [401] * 3
    assert [status(server, text) for text in (renewed["key_secret"], server.first)] == [200, 200]
    assert (view(server, key["id"])["revoked_reason"], view(server, rotated["id"])["status"]) == ("leaked", "active")
    assert scan(server, tmp_path, "--revoke", "--yes").returncode == 1  # the own key is still there


def _hooked(place: Path, environment: Mapping[str, str]) -> None:
    hook = place / ".git" / "hooks" / "pre-commit"
    exports = "".join(f"export {name}='{value}'\n" for name, value in environment.items())
    hook.write_text(f"#!/bin/sh\n{exports}exec '{sys.executable}' -m keyscope scan --staged\n")
    hook.chmod(0o700)


def test_as_a_pre_commit_hook_it_keeps_live_keys_out(server: Live, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    _hooked(tmp_path, {"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first})
    key = server.mint()
    first = commit(tmp_path, "the first commit of all", a="nothing", b=f"{new_first_key()}\n")
    (tmp_path / "config").write_text(f"x\n{key['key_secret']}\n")
    git(tmp_path, "add", "config")
    (tmp_path / "config").write_text("what is not staged does not count\n")
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    refused = subprocess.run(
        ["git", "-C", str(tmp_path), *who, "commit", "-m", "oh no"], capture_output=True, text=True, env=_environment()
    )
    assert refused.returncode != 0
    assert f"rk_…{key['key_secret'][-4:]}  live  {key['id']}" in refused.stdout + refused.stderr
    assert "config:2" in refused.stdout + refused.stderr
    git(tmp_path, "add", "config")
    assert commit(tmp_path, "mended") != first


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "KEYSCOPE_"))}


def test_outside_of_a_repository_staged_is_trouble(server: Live, tmp_path: Path) -> None:
    run = scan(server, "--staged", cwd=tmp_path)
    assert run.returncode == 2
    assert "not a git repository" in run.stderr


def test_a_key_of_another_account_is_not_ended_by_a_report(server: Live) -> None:
    answered = done(server.call("POST", "/keyscope/leaks", json={"leaks": [{"key": new_first_key()}]}))
    assert answered == {"results": [{"id": None, "derived_id": None, "ended": None}]}


def test_reporting_takes_write_on_keys(server: Live) -> None:
    key, reader = server.mint(), server.mint("account:read")
    body = {"leaks": [{"key": key["key_secret"], "where": "a chat"}]}
    assert server.call("POST", "/keyscope/leaks", reader["key_secret"], json=body).status_code == 403
    assert status(server, key["key_secret"]) == 200
    writer = server.mint("account:write")
    answered = done(server.call("POST", "/keyscope/leaks", writer["key_secret"], json=body))
    assert answered["results"] == [{"id": key["id"], "derived_id": None, "ended": "key"}]
    assert status(server, key["key_secret"]) == 401


def test_a_second_report_by_the_owner_ends_what_was_brought_back(server: Live) -> None:
    key = server.mint()
    body = {"leaks": [{"key": key["key_secret"]}, {"key": key["key_secret"]}]}
    for _ in range(2):
        answered = done(server.call("POST", "/keyscope/leaks", json=body))
        assert [result["ended"] for result in answered["results"]] == ["key", "key"]
        done(verb(server, key["id"], "undelete"))
