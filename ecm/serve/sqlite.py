"""The lease book in one SQLite file, for processes of one machine.

A transaction takes the file's write lock before it reads anything (BEGIN IMMEDIATE), so what it finds free is still
free when it writes. What a commit has returned from is on the disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm.serve.database import Row
from ecm.serve.errors import BookError

FORMAT: Final = 1
OLDEST: Final = (3, 37, 0)
"""The first SQLite with STRICT tables; RETURNING is older."""
WAIT_S: Final = 5.0
"""For how long anything but the group commit waits for another process that writes."""
CHECKPOINT_PAGES: Final = 8000
"""32 MB of log, eight times SQLite's own choice: a checkpoint holds a commit up, and this makes it one in 800."""
CACHE_KIB: Final = 65_536

_TABLES: Final = """
CREATE TABLE book (one INTEGER PRIMARY KEY CHECK (one = 1), stack TEXT NOT NULL, applied INTEGER NOT NULL,
                   plan TEXT NOT NULL) STRICT;
CREATE TABLE tiers (id TEXT PRIMARY KEY, room_mbps INTEGER NOT NULL CHECK (room_mbps >= 0),
                    promised_mbps INTEGER NOT NULL CHECK (promised_mbps >= 0)) STRICT, WITHOUT ROWID;
CREATE TABLE leases (id TEXT NOT NULL UNIQUE, application TEXT NOT NULL, mbps INTEGER NOT NULL CHECK (mbps >= 0),
                     tiers TEXT NOT NULL, expires_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX leases_by_expiry ON leases (expires_ms);
CREATE INDEX leases_by_application ON leases (application, id);
CREATE TABLE answers (application TEXT NOT NULL, key TEXT NOT NULL, asked TEXT NOT NULL, answer TEXT NOT NULL,
                      until_ms INTEGER NOT NULL, PRIMARY KEY (application, key)) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_end ON answers (until_ms);
CREATE TABLE tokens (id TEXT PRIMARY KEY, hash BLOB NOT NULL, applications TEXT NOT NULL, operator INTEGER NOT NULL,
                     made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, who TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class SqliteFile:
    """A book's file, on a local disk."""

    path: Path
    far = False

    def open(self, stack: str) -> SqliteBook:
        """Return a connection to the book, made where there is none; its owner alone may read the file."""
        if sqlite3.sqlite_version_info < OLDEST:
            raise BookError(f"SQLite {sqlite3.sqlite_version} is too old: Python needs one of 3.37 or later")
        path = self.path
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
            db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise BookError(f"{path}: cannot be opened ({error}); name another file, or mend its rights") from None
        try:
            _prepare(db, path, stack)
        except sqlite3.Error as error:
            db.close()
            raise BookError(f"{path}: is not a lease book ({error}); name another file") from None
        except BookError:
            db.close()
            raise
        return SqliteBook(db, str(path))

    def __str__(self) -> str:
        return str(self.path)


class SqliteBook:
    """One connection to the file."""

    tiers_of_leases = "leases, json_each(leases.tiers) AS t"

    def __init__(self, db: sqlite3.Connection, place: str) -> None:
        self.place = place
        self._db = db

    def begin(self) -> bool:
        """Take the write lock without waiting for it: False while another connection has it."""
        try:
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise self._broken(error) from None
        return True

    def seen(self) -> int:
        """Return SQLite's own count of what other connections have changed."""
        with self._asked():
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def commit(self) -> None:
        """Write the transaction; it is on the disk on return."""
        with self._asked():
            self._db.execute("COMMIT")

    def abandon(self) -> None:
        """Undo the transaction that is under way."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what `statement` finds."""
        with self._asked():
            return self._db.execute(statement, values).fetchall()

    def write(self, statement: str, many: Iterable[Sequence[object]]) -> None:
        """Do `statement` with each of `many`."""
        with self._asked():
            self._db.executemany(statement, many)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _broken(self, error: sqlite3.Error) -> BookError:
        return BookError(f"{self.place}: {error}")


def _prepare(db: sqlite3.Connection, path: Path, stack: str) -> None:
    db.execute(f"PRAGMA busy_timeout = {int(WAIT_S * 1000)}")
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise BookError(f"{path}: its file system has no shared memory for SQLite's WAL; put it on a local disk")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    db.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
    if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
        _make(db, path, stack)
    (held,) = db.execute("SELECT stack FROM book").fetchone()
    if held != stack:
        raise BookError(f"{path}: holds the leases of stack {held!r}, not of {stack!r}; name another file")


def _make(db: sqlite3.Connection, path: Path, stack: str) -> None:
    """Make the tables, once, whichever process comes first."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";\n"):
                db.execute(statement)
            db.execute("INSERT INTO book VALUES (1, ?, 0, '')", (stack,))
            db.execute(f"PRAGMA user_version = {FORMAT}")
        elif version != FORMAT:
            raise BookError(f"{path}: format {version} is of a later version of ECM; this one reads {FORMAT}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
