"""The memory store keeps the contract."""

import pytest
from tests.store.contract import StoreContract

from keyscope.authority.ports import Store
from keyscope.store.open import open_store


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory://")
