from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyscope.store.replica.file import ReplicaFile


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[ReplicaFile]:
    replica = ReplicaFile.open(tmp_path / "replica.db")
    yield replica
    replica.close()
