"""A PostgreSQL server of one's own, for benchmarks and tests: in a new folder, reached by a socket, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock
from urllib.parse import quote

import psycopg

USER: Final = "ecm"
_PASSWORD: Final = "on-no-command-line"  # noqa: S105 - of a server that lives for minutes and listens on a socket


@dataclass(frozen=True)
class Cluster:
    """A server whose password is in the file that PGPASSFILE names."""

    folder: Path
    programs: Path

    def url(self, database: str = "postgres") -> str:
        """Return where a database is."""
        return f"postgresql://{USER}@{quote(str(self.folder), safe='')}/{database}"

    def do(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return what one statement finds, as the server's owner."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            done = db.execute(statement.encode())
            return done.fetchall() if done.description else []

    def start(self, *options: str) -> None:
        """Start it, with `options` (name=value) of the server."""
        ways = (f"unix_socket_directories={self.folder}", "listen_addresses=", "max_connections=60", *options)
        self._control("-l", str(self.folder / "log"), "-o", " ".join(f"-c {way}" for way in ways), "start")

    def stop(self) -> None:
        """Stop it as a loss of power would."""
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        _run([str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-s", *words])


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, None where there is none; Debian has them beside PATH."""
    on_path = [Path(found).resolve() for found in [shutil.which("initdb")] if found]
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    return next((found.parent for found in [*on_path, *reversed(versions)]), None)


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Make a server and run it for a block, in which PGPASSFILE names the file with its password."""
    # Below no folder of the caller's, which another user may not enter, and whose path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="ecm-pg-") as name:
        made = Cluster(Path(name), programs)
        secret, known = made.folder / "password", made.folder / "pgpass"
        secret.write_text(_PASSWORD)
        known.touch(mode=0o600)
        known.write_text(f"*:*:*:{USER}:{_PASSWORD}\n")
        if os.geteuid() == 0:
            shutil.chown(made.folder, "nobody")
        words = [str(programs / "initdb"), "-D", str(made.folder / "data"), "-U", USER, "-A", "scram-sha-256"]
        _run([*words, "--pwfile", str(secret), "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
        made.start()
        try:
            with mock.patch.dict(os.environ, PGPASSFILE=str(known)):
                yield made
        finally:
            made.stop()


def _run(words: list[str]) -> None:
    """Run one of its programs: as nobody instead of root, whom it refuses."""
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*nobody, *words], cwd="/", capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(words[0]).name} failed: {done.stderr}")
