"""A PostgreSQL server of the tests' own, with an empty database for each book."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ecm.serve.postgres.server import PostgresServer, server_of

USER = "ecm"
PASSWORD = "on-no-command-line"


@dataclass
class Cluster:
    """A server that runs, reached by a socket in its folder, with a password that a file holds."""

    folder: Path
    programs: Path
    made: int = 0
    free: list[str] = field(default_factory=list)
    """Databases that nobody uses, empty."""

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@{quote(str(self.folder), safe='')}/{database}"

    def do(self, statement: str, database: str = "postgres") -> list[tuple]:
        """What one statement returns to the server's owner."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            done = db.execute(statement.encode())
            return done.fetchall() if done.description else []

    @contextmanager
    def database(self) -> Iterator[PostgresServer]:
        """An empty database for a block; whoever is still connected at its end is thrown out."""
        if not self.free:
            self.free.append(f"book{self.made}")
            self.made += 1
            self.do(f"CREATE DATABASE {self.free[-1]}")
        name = self.free.pop()
        yield server_of(self.url(name))
        self.throw_out(name)
        for (schema,) in self.do(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ecm\_%'", name):
            self.do(f'DROP SCHEMA "{schema}" CASCADE', name)
        self.free.append(name)

    def throw_out(self, database: str) -> None:
        """End every connection to a database."""
        self.do(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")  # noqa: S608

    def start(self, *options: str) -> None:
        """Start it, with `options` (name=value) of the server."""
        ways = (f"unix_socket_directories={self.folder}", "listen_addresses=", "max_connections=60", *options)
        self._control("-l", str(self.folder / "log"), "-o", " ".join(f"-c {way}" for way in ways), "start")

    def stop(self) -> None:
        """Stop it as a loss of power would."""
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        run([str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-s", *words])


def run(words: list[str]) -> None:
    """Run one of its programs: as nobody instead of root, whom it refuses."""
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*nobody, *words], cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian has them beside PATH."""
    on_path = [Path(found).resolve() for found in [shutil.which("initdb")] if found]
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    return next((found.parent for found in [*on_path, *reversed(versions)]), None)


def require_programs() -> Path:
    """The folder of PostgreSQL's programs, or skip: in CI it is a failure where there is none."""
    found = find_programs()
    if found is None:
        if os.environ.get("ECM_REQUIRE_TOOLS"):
            pytest.fail("PostgreSQL is not installed (Debian: postgresql)")
        pytest.skip("needs PostgreSQL (Debian: postgresql)")
    return found


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Make a server and run it for a block, in which PGPASSFILE names the file with its password."""
    # Not below pytest's own folders, which nobody else may enter; nor may a socket's path be as long.
    with tempfile.TemporaryDirectory(prefix="ecm-pg-") as name, pytest.MonkeyPatch.context() as patch:
        made = Cluster(Path(name), programs)
        secret, known = made.folder / "password", made.folder / "pgpass"
        secret.write_text(PASSWORD)
        known.write_text(f"*:*:*:{USER}:{PASSWORD}\n")
        known.chmod(0o600)
        patch.setenv("PGPASSFILE", str(known))
        if os.geteuid() == 0:
            shutil.chown(made.folder, "nobody")
        words = [str(programs / "initdb"), "-D", str(made.folder / "data"), "-U", USER, "-A", "scram-sha-256"]
        run([*words, "--pwfile", str(secret), "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
        made.start()
        try:
            yield made
        finally:
            made.stop()
