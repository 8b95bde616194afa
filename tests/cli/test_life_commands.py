"""The commands of a key's life: ``keys rotate``, ``suspend``, ``tree`` and the like, ``panic``, ``rules``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import keyscope
from tests.live import Live


@pytest.fixture(scope="module")
def server(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


def run(server: Live, *words: str, stdin: str = "") -> Any:
    done = keyscope(*words, stdin=stdin, env={"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first})
    assert done.returncode == 0, done.stderr
    return done


def test_rotate_prints_the_new_secret_once(server: Live) -> None:
    made = server.mint("devboxes:read")
    secret = run(server, "keys", "rotate", made["id"], "--overlap", "10m", "--secret-only").stdout.strip()
    assert server.call("GET", "/keyscope/me", secret).json()["id"] == made["id"]
    assert server.call("GET", "/keyscope/me", made["key_secret"]).status_code == 200
    shown = run(server, "keys", "rotate", made["id"])
    assert "rk_" in shown.stdout
    assert "The old secret ends" in shown.stderr
    assert server.call("GET", "/keyscope/me", secret).status_code == 401
    assert "rk_" not in run(server, "keys", "show", made["id"]).stdout


def test_suspend_resume_revoke_undelete(server: Live) -> None:
    made = server.mint("devboxes:read")
    for verb, status in (("suspend", "suspended"), ("resume", "active"), ("revoke", "revoked"), ("undelete", "active")):
        assert json.loads(run(server, "keys", verb, made["id"], "--json").stdout)["status"] == status
    assert "suspended" in run(server, "keys", "suspend", made["id"], "--reason", "odd").stdout


def test_standard_keys_too(server: Live) -> None:
    made = server.mint_standard()
    assert "ak_" in run(server, "keys", "rotate", made["id"]).stdout
    assert "suspended" in run(server, "keys", "suspend", made["id"]).stdout


def test_a_tree_is_drawn(server: Live) -> None:
    top = server.mint("account:write", name="top")
    middle = server.mint("account:write", by=top["key_secret"], name="middle")
    server.mint(by=middle["key_secret"], name="leaf")
    lines = run(server, "keys", "tree", top["id"]).stdout.splitlines()
    assert [line.split()[-2] for line in lines] == ["top", "middle", "leaf"]
    assert [len(line) - len(line.lstrip(" └─")) for line in lines] == [0, 4, 8]
    assert json.loads(run(server, "keys", "tree", top["id"], "--json").stdout)["total_count"] == 2


def test_a_derived_key_is_made_and_revoked(server: Live) -> None:
    made = server.mint("devboxes:read")
    derived = keyscope("attenuate", "-", "--expires-in", "1h", "--json", stdin=made["key_secret"] + "\n")
    child = json.loads(derived.stdout)
    assert server.call("GET", "/keyscope/me", child["key_secret"]).status_code == 200
    me = keyscope("me", env={"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": child["key_secret"]})
    assert child["id"] in me.stdout
    said = run(server, "keys", "revoke-derived", made["id"], child["id"]).stdout
    assert child["id"] in said
    assert server.call("GET", "/keyscope/me", child["key_secret"]).status_code == 401


def test_panic_lists_asks_and_ends(server: Live) -> None:
    made = server.mint(name="doomed-1")
    listed = run(server, "panic", "--name-prefix", "doomed-", "--dry-run")
    assert made["id"] in listed.stdout
    assert "1 keys would be revoked" in listed.stderr
    declined = run(server, "panic", "--name-prefix", "doomed-", stdin="n\n")
    assert "Revoke them?" in declined.stderr
    assert server.call("GET", "/keyscope/me", made["key_secret"]).status_code == 200
    assert "1 keys revoked" in run(server, "panic", "--name-prefix", "doomed-", stdin="y\n").stderr
    assert server.call("GET", "/keyscope/me", made["key_secret"]).status_code == 401
    server.mint(name="doomed-2")
    ended = json.loads(run(server, "panic", "--name-prefix", "doomed-", "--yes", "--json").stdout)
    assert (ended["dry_run"], ended["count"]) == (False, 1)


def test_panic_without_a_selector_ends_nothing(server: Live) -> None:
    refused = keyscope("panic", "--yes", env={"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first})
    assert refused.returncode != 0
    assert "say which keys" in refused.stderr


def test_rules_are_set_and_shown(server: Live) -> None:
    words = ("--max-lifetime", "30d", "--max-idle", "2h", "--allowed-scope", "devboxes:read", "--name-pattern", "a*")
    shown = run(server, "rules", "set", *words, "--require-expiry").stdout
    for part in (" 30d ", " 2h ", "devboxes:read", "a*", "yes"):
        assert part in shown
    assert run(server, "rules", "show").stdout == shown
    assert json.loads(run(server, "rules", "set", "--json").stdout)["require_expiry"] is False


def test_a_dead_secret_that_was_used_shows(server: Live) -> None:
    made = server.mint("devboxes:read")
    server.revoke(made["id"])
    server.call("GET", "/keyscope/me", made["key_secret"])
    server.stop()
    server.start()
    assert "1 times, last" in run(server, "keys", "show", made["id"]).stdout
