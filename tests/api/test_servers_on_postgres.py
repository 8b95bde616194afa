"""Servers on one PostgreSQL have the same keys: what is changed at one is true at the other with the next request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.postgres import Databases

PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def servers(databases: Databases, new_directory: Callable[[], Path]) -> Iterator[tuple[Live, Live]]:
    url = databases.empty().replace("//postgres@", f"//postgres:{PASSWORD}@")
    options = ["--database", url]
    with Live(new_directory(), options=options) as one, Live(new_directory(), options=options) as two:
        yield one, two


def test_a_key_that_one_server_minted_is_good_at_the_other_until_it_is_revoked(servers: tuple[Live, Live]) -> None:
    one, two = servers
    first = {"Authorization": f"Bearer {one.first}"}
    minted = one.http.post("/v1/restricted_keys", json={"name": "agent"}, headers=first).json()
    held = {"Authorization": f"Bearer {minted['key_secret']}"}
    assert two.http.get("/keyscope/me", headers=held).json()["id"] == minted["id"]
    assert two.http.post(f"/v1/restricted_keys/{minted['id']}/revoke", headers=first).status_code == 200
    for server in (one, two):
        assert server.http.get("/keyscope/me", headers=held).status_code == 401


def test_the_first_key_is_made_once(servers: tuple[Live, Live]) -> None:
    one, two = servers
    assert one.http.get("/keyscope/me", headers={"Authorization": f"Bearer {one.first}"}).status_code == 200
    assert two.http.get("/keyscope/me", headers={"Authorization": f"Bearer {two.first}"}).status_code == 401
    assert "has an account; its first key was shown when it was made" in two.log


def test_a_request_that_is_repeated_at_another_server_gets_the_first_answer(servers: tuple[Live, Live]) -> None:
    one, two = servers
    headers = {"Authorization": f"Bearer {one.first}", "x-request-id": "the-same"}
    answers = [server.http.post("/v1/restricted_keys", json={}, headers=headers).json() for server in (one, two)]
    assert answers[0] == answers[1]


def test_each_server_has_its_own_files_beside_its_replica(servers: tuple[Live, Live]) -> None:
    for server in servers:
        names = {path.name for path in server.directory.iterdir()}
        assert {"keyscope-replica.db.marker", "keyscope-replica.db.audit", "keyscope-replica.db.webhooks"} <= names
        assert "keyscope.db" not in names


def test_a_password_in_the_url_is_in_no_log_and_no_file(servers: tuple[Live, Live]) -> None:
    for server in servers:
        for path in server.directory.rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
