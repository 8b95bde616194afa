"""A host that is gone without a word: what was connected to it is left, on both sides; and how durable beats are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from tests.nodes.relay import Relay
from tests.postgres import Databases

from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.address import Address, parse
from keyscope.store.postgres.connect import connect, database_id, reading
from keyscope.store.postgres.pool import Pool
from keyscope.store.replica.record import Record


@pytest.fixture
def between(databases: Databases) -> Iterator[tuple[Relay, Address]]:
    """A relay, and the address of a database that leads through it."""
    url = databases.fresh()
    with Relay(databases.server.port) as relay:
        through = url.replace(f":{databases.server.port}/", f":{relay.port}/")
        yield relay, parse(f"{through}?sslmode=disable&gssencmode=disable")


def test_when_a_connection_breaks_those_that_wait_beside_it_are_left_too(between: tuple[Relay, Address]) -> None:
    relay, address = between
    with connect(address) as link:
        known = str(database_id(link))
    pool = Pool(address, partial(reading, address, known))
    with pool.link() as first, pool.link() as second:
        pass
    first.patience_s = second.patience_s = 0.2
    relay.holds = True
    with pytest.raises(StoreUnavailable):
        pool.read(lambda reader: reader.last_number())
    relay.holds = False
    assert first.closed
    assert second.closed
    assert pool.read(lambda reader: reader.last_number()) == 0
    pool.close()


async def of_follower(address: Address, *names: str, before: str = "") -> list[str]:
    """What PostgreSQL says of these settings on a connection of a follower."""
    async with await psycopg.AsyncConnection.connect(**address.parameters, autocommit=True) as connection:  # type: ignore[arg-type]
        if before:
            await connection.execute(before)
        await Record(connection).begin()
        found = await connection.execute("SELECT current_setting(name) FROM unnest(%s::text[]) AS name", (list(names),))
        return [name for (name,) in await found.fetchall()]


def test_postgresql_asks_after_the_hosts_of_servers_and_followers_too(between: tuple[Relay, Address]) -> None:
    _, address = between
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    with connect(address) as link:
        found = link.execute("SELECT current_setting(name) FROM unnest(%s::text[]) AS name", (list(names),)).fetchall()
    assert [name for (name,) in found] == asyncio.run(of_follower(address, *names)) == ["5", "2", "3", "10000"]


def test_a_beat_is_as_durable_as_a_change_where_somebody_has_lowered_it(between: tuple[Relay, Address]) -> None:
    _, address = between
    lowered = "SET synchronous_commit = local"
    assert asyncio.run(of_follower(address, "synchronous_commit", before=lowered)) == ["on"]
