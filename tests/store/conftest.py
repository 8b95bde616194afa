"""The contract is library code, and its assertions should explain themselves all the same."""

import pytest

pytest.register_assert_rewrite("tests.store.contract", "tests.store.contract_lists", "tests.store.contract_counters")
