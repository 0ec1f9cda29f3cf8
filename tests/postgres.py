"""A PostgreSQL server of the tests' own, with an empty database for each book."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.postgres_server import Cluster, find_programs
from ecm.serve.postgres.server import PostgresServer, server_of


class Databases:
    """The empty databases of a server."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._made = 0
        self._free: list[str] = []

    @contextmanager
    def new(self) -> Iterator[PostgresServer]:
        """An empty database for a block; whoever is still connected at its end is thrown out."""
        if not self._free:
            self._free.append(f"book{self._made}")
            self._made += 1
            self.cluster.do(f"CREATE DATABASE {self._free[-1]}")
        name = self._free.pop()
        place = server_of(self.cluster.url(name))
        yield place
        self.throw_out(place)
        for (schema,) in self.cluster.do(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ecm\_%'", name):
            self.cluster.do(f'DROP SCHEMA "{schema}" CASCADE', name)
        self._free.append(name)

    def throw_out(self, place: PostgresServer) -> None:
        """End every connection to a database."""
        name = place.ways["dbname"]
        self.cluster.do(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608


def require_programs() -> Path:
    """The folder of PostgreSQL's programs, or skip: in CI it is a failure where there is none."""
    found = find_programs()
    if found is None:
        if os.environ.get("ECM_REQUIRE_TOOLS"):
            pytest.fail("PostgreSQL is not installed (Debian: postgresql)")
        pytest.skip("needs PostgreSQL (Debian: postgresql)")
    return found
