"""The SQLite store keeps the contract, with a mapped WAL-index and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.contract import IndexContract, StoreContract

from keyscope.authority.ports import Store
from keyscope.store.open import open_store
from keyscope.store.sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{tmp_path}/keyscope.db")
        yield store
        store.close()


class TestWithoutAMappedWalIndex(IndexContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqliteStore.open(tmp_path / "keyscope.db", map_wal_index=False)
        yield store
        store.close()
