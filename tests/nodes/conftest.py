from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes.cluster import Cluster, running
from tests.nodes.team import Team, team


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Three nodes, whose leases last a second."""
    with team(tmp_path_factory.mktemp("team") / "nodes", cluster) as members:
        yield members


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Three others, whose leases last long enough to be watched."""
    with (
        running() as cluster,
        team(tmp_path_factory.mktemp("patient") / "nodes", cluster, staleness_s=4.0) as members,
    ):
        yield members
