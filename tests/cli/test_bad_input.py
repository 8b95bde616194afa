"""Every bad setting and every broken surrounding has a sentence that says what and how to mend it. Nothing is lost."""

from __future__ import annotations

import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.model.token import Kind, format_token
from tests.cli.run import keyscope
from tests.live import Live, free_port

REFUSED = 2


def serve(cwd: Path, *words: str, **environment: str) -> str:
    """What ``keyscope serve`` says when it refuses to start."""
    done = keyscope("serve", "--port", str(free_port()), *words, cwd=cwd, env=environment)
    assert done.returncode == REFUSED, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    done = keyscope(
        "serve",
        "--port",
        "70000",
        "--workers",
        "0",
        "--upstream",
        "ftp://x",
        cwd=tmp_path,
        KEYSCOPE_LOG_LEVEL="loud",
        KEYSCOPE_BOOTSTRAP_KEY="ak_short",
        KEYSCOPE_FORWARD_AUTH_PEERS="everyone",
        KEYSCOPE_UPSTRAEM="http://x",
    )
    assert done.returncode == REFUSED
    for name in ("--port", "--workers", "--upstream", "KEYSCOPE_LOG_LEVEL", "KEYSCOPE_BOOTSTRAP_KEY"):
        assert f"  {name}:" in done.stderr
    assert "did you mean KEYSCOPE_UPSTREAM?" in done.stderr
    assert "KEYSCOPE_FORWARD_AUTH_PEERS" in done.stderr
    assert "ak_short" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_the_other_commands_read_is_no_misspelt_setting(new_directory: Callable[[], Path]) -> None:
    environment = {"KEYSCOPE_API_KEY": "ak_of_another_terminal", "KEYSCOPE_URL": "http://127.0.0.1:1"}
    with Live(new_directory(), environment=environment) as live:
        assert live.call("GET", "/keyscope/me").status_code == 200


@pytest.mark.parametrize(
    ("database", "sentence"),
    [
        ("postgresql:///k?host=/no/such/folder", "cannot be used"),
        ("keyscope.db", "no form"),
        ("sqlite:///no/such/folder/k.db", "folder"),
    ],
)
def test_a_wrong_database_url_says_what_to_write(tmp_path: Path, database: str, sentence: str) -> None:
    said = serve(tmp_path, "--database", database)
    assert sentence in said or "directory" in said


def test_the_first_key_must_be_a_standard_one(tmp_path: Path) -> None:
    said = serve(tmp_path, KEYSCOPE_BOOTSTRAP_KEY=format_token(Kind.RESTRICTED, bytes(32)).reveal())
    assert "starts with ak_" in said


def test_an_upstream_key_without_an_upstream_is_asked_about(tmp_path: Path) -> None:
    assert "--upstream" in serve(tmp_path, KEYSCOPE_UPSTREAM_KEY="ak_x")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = serve(tmp_path, "--port", str(taken.getsockname()[1]))
    assert "in use" in said


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    assert "cannot listen on" in serve(tmp_path, "--host", "192.0.2.1")


def test_several_workers_cannot_share_memory(tmp_path: Path) -> None:
    assert "cannot share" in serve(tmp_path, "--database", "memory://", "--workers", "2")


def test_a_malformed_policy_lists_every_fault(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("policy: p\noperations:\n  - {id: a, call: FETCH /x, needs: [x:read]}\n")
    said = serve(tmp_path, "--policy", "p.yaml")
    assert said.count("\n  ") >= 3
    assert not (tmp_path / "keyscope.db").exists()


def test_an_unsound_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "policy: p\ntitle: P\nkey_management: null\nresource_types: {things: t}\noperations:\n"
        "  - {id: a, call: 'POST /v1/restricted_keys', needs: [], why: opens minting}\n"
    )
    assert "restricted_keys" in serve(tmp_path, "--policy", "p.yaml")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "k.db").write_bytes(b"my holiday notes" * 100)
    serve(tmp_path, "--database", "sqlite:///k.db")
    assert (tmp_path / "k.db").read_bytes() == b"my holiday notes" * 100


def test_a_vanished_database_is_no_fresh_start(new_directory: Callable[[], Path]) -> None:
    live = Live(new_directory())
    with live:
        live.mint()
    live.database.unlink()
    said = serve(live.directory, "--database", f"sqlite:///{live.database}")
    assert "marker" in said


def test_a_database_of_a_newer_program_is_refused(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        live.mint()
    with sqlite3.connect(live.database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "99" in serve(live.directory, "--database", f"sqlite:///{live.database}")


def test_a_locked_database_is_named(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        live.mint()
    connection = sqlite3.connect(live.database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    said = serve(live.directory, "--database", f"sqlite:///{live.database}")
    connection.execute("ROLLBACK")
    connection.close()
    assert "lock" in said
    with live:
        assert live.call("GET", "/v1/restricted_keys").status_code == 200


def test_while_the_database_is_locked_checks_go_on_and_changes_say_503(live: Live) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    connection = sqlite3.connect(live.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert live.call("GET", "/v1/devboxes", key).status_code == 200
        refused = live.call("POST", "/v1/restricted_keys", json={"name": "blocked"})
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert live.call("POST", "/v1/restricted_keys", json={"name": "free"}).status_code == 200
    assert live.call("GET", "/v1/restricted_keys?name=blocked").json()["total_count"] == 0


def test_when_the_database_vanishes_the_gate_closes_and_opens_again(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        aside = live.directory / "aside"
        aside.mkdir()
        files = ["keyscope.db", "keyscope.db-wal", "keyscope.db-shm"]
        for name in files:
            shutil.move(live.directory / name, aside / name)
        _until(lambda: live.call("GET", "/keyscope/readyz", "").status_code == 503)
        assert live.call("GET", "/keyscope/me").status_code == 503
        for name in files:
            shutil.move(aside / name, live.directory / name)
        _until(lambda: live.call("GET", "/keyscope/readyz", "").status_code == 200)
        assert live.call("GET", "/keyscope/me").status_code == 200


def test_a_full_disk_refuses_changes_and_keeps_judging(new_directory: Callable[[], Path]) -> None:
    directory = new_directory()
    with Live(directory) as live:
        made = live.mint("account:read")
        limit = live.database.with_name("keyscope.db-wal").stat().st_size + 40_000
        _, hard = resource.prlimit(live.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(live.pid, resource.RLIMIT_FSIZE, (limit, hard))
        statuses = [live.call("POST", "/v1/restricted_keys", json={"name": f"n{n}"}).status_code for n in range(60)]
        assert set(statuses) == {200, 503}
        assert live.call("GET", "/keyscope/me", made["key_secret"]).status_code == 200
        revoked = live.revoke(made["id"])
        assert revoked.status_code == 503
        assert live.call("GET", "/keyscope/me", made["key_secret"]).status_code == 401
        resource.prlimit(live.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert live.call("POST", "/v1/restricted_keys", json={"name": "room"}).status_code == 200
        assert live.revoke(made["id"]).status_code == 200
        total = live.call("GET", "/v1/restricted_keys").json()["total_count"]
        assert total == statuses.count(200) + 2


def test_an_unreachable_upstream_is_a_502_with_a_sentence(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream=f"http://127.0.0.1:{free_port()}") as live:
        response = live.call("GET", "/v1/devboxes")
        assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")


def test_without_an_upstream_an_allowed_call_says_how_to_set_one(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        response = live.call("GET", "/v1/devboxes")
        assert (response.status_code, response.json()["code"]) == (502, "no_upstream")
        assert response.headers["x-should-retry"] == "false"
        assert live.call("GET", "/v1/devboxes", "").status_code == 401


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
