"""The same operations give the same answers from memory, SQLite and PostgreSQL, whatever they are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.postgres import Databases
from tests.store.samples import a_reply, digest

from keyscope.authority.ports import Account, KeyQuery, Store, Writer
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, State
from keyscope.model.run import Run
from keyscope.model.scope import Level, Scope
from keyscope.model.token import Kind
from keyscope.store.memory import MemoryStore
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore

Step = Callable[[Writer], None]

ACCOUNTS = ["acct_1", "acct_2"]
IDS = [f"key_{number}" for number in range(8)]
RESOURCES = ["devboxes", "objects"]
times = st.integers(1, 12)
times_or_none = st.none() | times
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6) | st.sampled_from(["Aa", "ÄaB", "%_"])

scope_lists = st.lists(st.builds(Scope, st.sampled_from(RESOURCES), st.sampled_from(Level)), max_size=2).map(
    lambda scopes: tuple({scope.resource: scope for scope in scopes}.values())
)
runs = st.builds(
    Run,
    devbox_id=st.none() | st.sampled_from(["dbx_1", "dbx_2"]),
    lease_ms=times_or_none,
    lease_until_ms=times_or_none,
)
keys = st.builds(
    Key,
    id=st.sampled_from(IDS),
    account_id=st.sampled_from(ACCOUNTS),
    kind=st.sampled_from(Kind),
    name=texts,
    digest=st.sampled_from([digest(key_id) for key_id in IDS]),
    hint=st.just("abcd"),
    scopes=scope_lists,
    created_at_ms=times,
    parent_id=st.none() | st.sampled_from(IDS),
    expires_at_ms=times_or_none,
    suspended_at_ms=st.none() | st.none() | times,
    revoked_at_ms=st.none() | st.none() | times,
    revoked_reason=st.none() | texts,
    run=st.none() | runs,
)
events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    at_ms=times,
    account_id=st.sampled_from(ACCOUNTS),
    key_id=st.none() | st.sampled_from(IDS),
    origin=st.builds(Origin, st.lists(st.sampled_from(IDS)).map(tuple), st.none() | texts, st.none() | texts),
    changes=st.dictionaries(texts, st.none() | st.booleans() | st.integers(-5, 5) | texts | st.lists(texts)),
)
replies = st.builds(a_reply, st.sampled_from(IDS), st.sampled_from(["r1", "r2"]), times)
accounts = st.builds(Account, st.sampled_from(ACCOUNTS), texts, times)
uses = st.dictionaries(st.sampled_from(IDS), times)

steps: st.SearchStrategy[tuple[str, object]] = st.one_of(
    st.tuples(st.just("add_account"), accounts),
    *[st.tuples(st.just("add_key"), keys)] * 4,
    *[st.tuples(st.just("replace_key"), keys)] * 2,
    st.tuples(st.just("add_event"), events),
    st.tuples(st.just("add_reply"), replies),
    st.tuples(st.just("drop_replies"), times),
    st.tuples(st.just("record_use"), uses),
)
queries = st.builds(
    KeyQuery,
    account_id=st.sampled_from(ACCOUNTS),
    kind=st.sampled_from(Kind),
    now_ms=times,
    limit=st.integers(1, 4),
    starting_after=st.none() | st.none() | st.sampled_from(IDS),
    name=st.none() | st.none() | texts,
    status=st.none() | st.sampled_from(State),
    resource=st.none() | st.none() | st.sampled_from(RESOURCES),
    created_by=st.none() | st.none() | st.sampled_from(IDS),
    expires_before_ms=st.none() | times_or_none,
    last_used_before_ms=st.none() | times_or_none,
)


class Halt(Exception):
    """Ends a transaction from inside."""


def attempt(do: Callable[[], object]) -> object:
    """The result, or what kind of refusal it was."""
    try:
        return do()
    except (ValueError, KeyError, Halt) as error:
        return type(error)


def run(store: Store, transaction: list[tuple[str, object]], *, halt: bool) -> object:
    def work(writer: Writer) -> list[object]:
        results = [attempt(lambda: getattr(writer, name)(value)) for name, value in transaction]  # noqa: B023
        if halt:
            raise Halt
        return results

    return attempt(lambda: store.write(work))


def everything(store: Store) -> list[object]:
    """All that can be asked without a query."""

    def work(reader: Writer) -> list[object]:
        return [
            reader.accounts(),
            [reader.key(key_id) for key_id in IDS],
            [reader.descendants(key_id) for key_id in IDS],
            [reader.last_used_ms(key_id) for key_id in IDS],
            [reader.bound(account, devbox) for account in ACCOUNTS for devbox in ("dbx_1", "dbx_2")],
            [reader.lapsed(now_ms, limit) for now_ms in (3, 9) for limit in (1, 9)],
            [reader.living_children(key_id, 6) for key_id in IDS],
            reader.key_counts(6),
            [reader.events(account, after=after, limit=3) for account in ACCOUNTS for after in (0, 2)],
            [reader.reply(key_id, request) for key_id in IDS for request in ("r1", "r2")],
        ]

    return store.read(work)  # type: ignore[arg-type]


def lines(store: Store) -> list[object]:
    index = store.open_index()
    answers = [index.find(digest(key_id)) for key_id in IDS]
    index.close()
    return [line and line.line for line in answers]


def page(store: Store, query: KeyQuery) -> object:
    found = store.read(lambda reader: reader.keys(query))
    return ([line.line for line in found.items], found.has_more, found.total)


Transactions = list[tuple[list[tuple[str, object]], bool]]
many_transactions = st.lists(st.tuples(st.lists(steps, max_size=6), st.booleans() | st.just(False)), max_size=6)
many_queries = st.lists(queries, min_size=5, max_size=20)


def agree(memory: Store, other: Store, transactions: Transactions, asked: list[KeyQuery]) -> None:
    for store in (memory, other):
        store.write(lambda writer: writer.add_account(Account("acct_1", "One", 1)))
    for transaction, halt in transactions:
        assert run(memory, transaction, halt=halt) == run(other, transaction, halt=halt)
    assert everything(memory) == everything(other)
    assert attempt(lambda: lines(memory)) == attempt(lambda: lines(other))
    for query in asked:
        assert page(memory, query) == page(other, query)


@settings(deadline=None, max_examples=150)
@given(transactions=many_transactions, asked=many_queries)
def test_memory_and_sqlite_agree(transactions: Transactions, asked: list[KeyQuery]) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(SqliteStore.open(Path(directory) / "keyscope.db")) as store,
    ):
        agree(MemoryStore(), store, transactions, asked)


@settings(deadline=None, max_examples=30)
@given(transactions=many_transactions, asked=many_queries)
def test_memory_and_postgresql_agree(databases: Databases, transactions: Transactions, asked: list[KeyQuery]) -> None:
    with closing(PostgresStore.open(databases.fresh())) as store:
        agree(MemoryStore(), store, transactions, asked)
