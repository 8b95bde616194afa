"""Nodes one version apart on one database: the older one goes on, starts again, and never takes for granted, changes or
loses what only the newer one knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.model.event import EventKind
from keyscope.model.scope import Scope
from keyscope.store import migrate as in_a_file
from keyscope.store.postgres import migrate
from keyscope.store.postgres.address import parse
from keyscope.store.postgres.connect import connect
from keyscope.store.rows import _LENGTHS, _opened, _sealed, key_of, record_of
from keyscope.store.sqlite import SqliteStore
from tests.cli.run import keyscope
from tests.engines import ENGINES
from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.operate.newer import KIND, add_member, record, step_further
from tests.postgres import Databases
from tests.recorder import Recorder
from tests.store.samples import a_key

BEFORE_THE_LEDGER = 2
"""The last step of PostgreSQL's that knew nothing of own things."""
CHANGES: tuple[tuple[str, dict[str, object]], ...] = (
    ("/revoke", {}),
    ("/suspend", {}),
    ("/rotate", {}),
    ("", {"name": "other"}),
    ("", {"scopes": []}),
)


@pytest.fixture(params=ENGINES)
def older(request: pytest.FixtureRequest, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """This version, whose database the next one has begun to use meanwhile."""
    options = ["--engine", request.param, "--engine-threads", "1"]
    with Live(new_directory(), upstream=upstream.url, options=options) as live:
        if request.param == "haproxy":
            until(Inside(live).is_judging)
        yield live


def stored(live: Live, key_id: str) -> bytes:
    with closing(sqlite3.connect(live.database)) as connection:
        return record(connection, key_id)


def copied(live: Live) -> bool:
    """Whether the audit trail has the event that this version does not know."""
    with closing(sqlite3.connect(f"{live.database}.audit")) as trail:
        return trail.execute("SELECT 1 FROM entries WHERE kind = ?", (KIND,)).fetchone() is not None


def check_apart(live: Live, plain: dict[str, str], glass: dict[str, str]) -> None:
    """What one of them may be asked, and what nobody here may judge."""
    for method, path in (("GET", "/v1/devboxes"), ("GET", "/keyscope/me")):
        assert live.call(method, path, plain["key_secret"]).status_code == 200
        refused = live.call(method, path, glass["key_secret"])
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    minted = live.mint("devboxes:read")
    assert live.call("GET", "/v1/devboxes", minted["key_secret"]).status_code == 200
    assert live.revoke(minted["id"]).status_code == 200
    assert live.call("GET", "/v1/devboxes", minted["key_secret"]).status_code == 401


def test_an_older_node_works_beside_a_newer_one_and_leaves_alone_what_it_does_not_know(older: Live) -> None:
    plain, glass = older.mint("devboxes:read"), older.mint("devboxes:read")
    step_further(older.database, says_so=True)
    add_member(older.database, glass["id"])
    before = stored(older, glass["id"])
    check_apart(older, plain, glass)
    for verb, body in CHANGES:
        assert older.call("POST", f"/v1/restricted_keys/{glass['id']}{verb}", json=body).status_code == 503
    until(lambda: copied(older))
    assert older.call("GET", "/keyscope/readyz", "").status_code == 200
    young = older.mint("devboxes:read")
    add_member(older.database, young["id"], "key.minted")
    check_apart(older, plain, young)
    older.stop()
    older.start()
    check_apart(older, plain, glass)
    assert stored(older, glass["id"]) == before


def test_a_step_that_does_not_say_so_shuts_older_programs_out(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        pass
    step_further(live.database, says_so=False)
    done = keyscope("serve", "--database", f"sqlite:///{live.database}", cwd=live.directory)
    assert (done.returncode, "schema version" in done.stderr) == (2, True)


@pytest.mark.parametrize(("says_so", "starts"), [(True, True), (False, False)])
def test_the_same_holds_with_postgresql(
    databases: Databases, new_directory: Callable[[], Path], says_so: bool, starts: bool
) -> None:
    url = databases.empty()
    live = Live(new_directory(), options=["--database", url])
    with live:
        pass
    name, known = url.rpartition("/")[2], len(migrate.steps())
    databases.server.run("ALTER TABLE keyscope.accounts ADD COLUMN plan text NOT NULL DEFAULT 'free'", name)
    databases.server.run(f"UPDATE keyscope.meta SET value = '{known + 1}' WHERE name = 'schema_version'", name)
    databases.server.run("DELETE FROM keyscope.meta WHERE name = 'needs_step'", name)
    if says_so:
        databases.server.run(f"INSERT INTO keyscope.meta VALUES ('needs_step', '{known}')", name)
    if starts:
        with live:
            assert live.call("GET", "/keyscope/me").status_code == 200
        return
    done = keyscope("serve", "--database", url, cwd=live.directory)
    assert (done.returncode, "schema version" in done.stderr) == (2, True)


def test_a_node_that_has_no_ledger_of_own_things_goes_on_beside_those_that_have_one(databases: Databases) -> None:
    address = parse(databases.fresh())
    with closing(connect(address)) as link:
        migrate.check_known(link, address, BEFORE_THE_LEDGER)
        with pytest.raises(ConfigurationError, match="schema version"):
            migrate.check_known(link, address, BEFORE_THE_LEDGER - 1)


def test_what_a_step_says_of_itself_does_not_hold_for_the_next_one(databases: Databases) -> None:
    address = parse(databases.fresh())
    with closing(connect(address)) as link:
        migrate.migrate(link, [*migrate.steps(), "ALTER TABLE accounts ADD COLUMN plan TEXT"])
        with pytest.raises(ConfigurationError, match="schema version"):
            migrate.check_known(link, address, len(migrate.steps()))


def test_nor_does_it_with_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "keyscope.db"
    SqliteStore.open(path).close()
    step_further(path, says_so=True)
    known = len(in_a_file.steps()) + 1
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        in_a_file.check_ours(connection, path, known - 1)
        in_a_file.migrate(connection, [*in_a_file.steps(), "", "ALTER TABLE accounts ADD COLUMN x TEXT;"])
        with pytest.raises(ConfigurationError, match="schema version"):
            in_a_file.check_ours(connection, path, known)


def test_a_key_that_has_nothing_new_is_written_as_the_versions_before_wrote_it() -> None:
    first = a_key("key_1", "key_0")
    observed = replace(first, observe_until_ms=9, narrowed_from=(Scope.parse("devboxes:write"),))
    lengths = [len(_opened(record_of(key))) for key in (first, replace(first, resumed_at_ms=3), observed)]
    assert lengths == [13, 16, 20]
    assert [key_of(record_of(key)) for key in (first, observed)] == [first, observed]
    with pytest.raises(StoreUnavailable, match="newer version"):
        key_of(longer(record_of(observed)))


def longer(sealed: bytes) -> bytes:
    fields = _opened(sealed)
    return _sealed((*fields, *[None] * (_LENGTHS[-1] - len(fields)), "more"))


def test_a_kind_of_event_that_is_not_known_is_kept_as_it_is_and_equal_to_none() -> None:
    newer = EventKind.known_or_newer(KIND)
    assert (newer.value, str(newer), newer == KIND) == (KIND, KIND, True)
    assert newer not in list(EventKind)
    assert EventKind.known_or_newer("key.minted") is EventKind.KEY_MINTED
