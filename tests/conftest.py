"""Fixtures that tests of several kinds share: the databases that a lease book may be in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ecm.serve.database import Place
from ecm.serve.sqlite import SqliteFile
from tests import postgres


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server."""
    with postgres.cluster(postgres.require_programs()) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Where a new lease book may be: what holds in the one database holds in the other."""
    if request.param == "sqlite":
        yield SqliteFile(request.getfixturevalue("tmp_path") / "leases.db")
        return
    with request.getfixturevalue("cluster").database() as made:
        yield made
