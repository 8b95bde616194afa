"""A dump of PostgreSQL that is restored revives no key, once it was held against the audit trail of a node."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cli.run import keyscope
from tests.live import Live
from tests.postgres import Databases, wheel


def run(program: str, *words: str) -> None:
    done = subprocess.run([wheel() / program, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def node(folder: Path, database: str) -> Live:
    """A server on a PostgreSQL, its own files in this folder."""
    live = Live(folder, options=["--database", database, "--replica", str(folder / "replica.db")])
    live.start_s = 60  # in what is restored it waits for the leases of the nodes that there were
    return live


def test_what_was_revoked_after_a_dump_is_revoked_again_in_what_is_restored(
    databases: Databases, new_directory: Callable[[], Path]
) -> None:
    database, dump = databases.empty(), new_directory() / "monday.dump"
    box = ("devboxes", "dbx_1")
    with node(new_directory(), database) as live:
        gone, kept = live.mint("devboxes:read", name="gone"), live.mint("devboxes:read")
        adopted = keyscope("db", "adopt", kept["id"], *box, "--database", database)
        assert adopted.returncode == 0, adopted.stderr
        run("pg_dump", "--format=custom", f"--file={dump}", database)
        assert live.revoke(gone["id"]).status_code == 200
    restored = databases.server.database()
    run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={restored}", str(dump))
    done = keyscope("db", "reapply", str(live.directory / "replica.db.audit"), "--database", restored, "--yes")
    assert (done.returncode, "1 keys are again as they were" in done.stderr) == (0, True), done.stderr
    with node(new_directory(), restored) as again:
        assert again.call("GET", "/keyscope/me", gone["key_secret"]).status_code == 401
        assert again.call("GET", "/keyscope/me", kept["key_secret"]).status_code == 200
    foreign = keyscope("db", "adopt", gone["id"], *box, "--database", restored)
    assert (foreign.returncode, "own of another key, and stays so" in foreign.stderr) == (2, True), foreign.stderr
