"""The commands that read a database take a PostgreSQL too, or say in a sentence what to use instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.run import keyscope
from tests.live import Live
from tests.postgres import Databases

REFUSED = 2


@pytest.fixture(scope="module")
def node(databases: Databases, new_directory: Callable[[], Path]) -> Live:
    """A server that has ended again, with a trail beside its replica."""
    folder = new_directory()
    live = Live(folder, options=["--database", databases.empty(), "--replica", str(folder / "replica.db")])
    with live:
        key = live.mint("devboxes:read")
        assert live.revoke(key["id"]).status_code == 200
    return live


def of(node: Live) -> dict[str, str]:
    """As an operator of the node has them set."""
    (database,) = (word for word in node._options if word.startswith("postgresql:"))
    return {"KEYSCOPE_DATABASE": database, "KEYSCOPE_REPLICA": str(node.directory / "replica.db")}


def test_the_trail_of_a_node_is_exported_signed_and_verified_against_the_database(node: Live) -> None:
    exported = keyscope("audit", "export", env=of(node))
    kinds = [json.loads(line).get("kind") for line in exported.stdout.splitlines()]
    assert {"key.minted", "key.revoked"} <= set(kinds), exported
    signed = keyscope("audit", "checkpoint", env=of(node))
    (node.directory / "signed.json").write_text(signed.stdout)
    verified = keyscope("audit", "verify", "--checkpoint", str(node.directory / "signed.json"), env=of(node))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_database_of_others_is_not_taken_for_that_of_the_trail(node: Live, databases: Databases) -> None:
    refused = keyscope("audit", "verify", env=of(node), KEYSCOPE_DATABASE=databases.fresh())
    assert refused.returncode == REFUSED
    assert "replica.db.marker" in refused.stderr


def test_a_replica_without_a_trail_is_named(node: Live) -> None:
    done = keyscope("audit", "verify", env=of(node), KEYSCOPE_REPLICA="/nowhere/replica.db")
    assert done.returncode == REFUSED
    assert "There is no audit trail at /nowhere/replica.db.audit." in done.stderr


@pytest.mark.parametrize("command", [("backup", "out"), ("restore", "out")])
def test_backup_of_postgresql_names_its_own_tools(node: Live, command: tuple[str, ...]) -> None:
    done = keyscope("db", *command, env=of(node))
    assert done.returncode == REFUSED
    assert "pg_dump" in done.stderr


@pytest.mark.parametrize("words", [("audit", "verify"), ("db", "check")])
def test_what_is_no_url_of_a_database_is_refused_with_the_forms_there_are(words: tuple[str, ...]) -> None:
    done = keyscope(*words, "--database", "mysql://localhost/keys")
    assert done.returncode == REFUSED
    assert "postgresql://USER@HOST:5432/DATABASE" in done.stderr


@pytest.mark.parametrize("words", [("check", "--database", "sqlite:///nope.db"), ("copy", "sqlite:///nope.db", "x")])
def test_a_database_that_is_to_be_read_is_never_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = keyscope("db", *words, cwd=tmp_path)
    assert done.returncode == REFUSED
    assert "There is no database at sqlite:///nope.db." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_that_is_to_be_read_stays_empty(databases: Databases) -> None:
    empty = databases.empty()
    done = keyscope("db", "check", "--database", empty)
    assert (done.returncode, "is empty." in done.stderr) == (REFUSED, True), done.stderr
    name = empty.rpartition("/")[2]
    assert databases.server.run("SELECT to_regnamespace('keyscope')", name) == [(None,)]
