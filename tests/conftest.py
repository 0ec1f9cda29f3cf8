"""Fixtures that tests of several kinds share: the databases that a lease book may be in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.postgres_server import cluster
from ecm.serve.database import Place
from ecm.serve.sqlite import SqliteFile
from tests.postgres import Databases, require_programs


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server that gives databases."""
    with cluster(require_programs()) as made:
        yield Databases(made)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Where a new lease book may be: what holds in the one database holds in the other."""
    if request.param == "sqlite":
        yield SqliteFile(request.getfixturevalue("tmp_path") / "leases.db")
        return
    with request.getfixturevalue("databases").new() as made:
        yield made
