"""The PostgreSQL store keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgres import Databases
from tests.store.contract import StoreContract

from keyscope.authority.ports import Store
from keyscope.store.open import open_store


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, databases: Databases) -> Iterator[Store]:
        store = open_store(databases.fresh())
        yield store
        store.close()
