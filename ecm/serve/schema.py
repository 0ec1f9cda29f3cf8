"""The tables of a lease book, and the one way in which its SQLite file is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

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


def connect(path: Path, stack: str, *, wait_s: float = WAIT_S) -> sqlite3.Connection:
    """Return a connection to the book at `path`, made where there is none; its owner alone may read the file.

    Every commit is on the disk when it returns (WAL, synchronous=FULL). Transactions are begun by hand. BookError where
    the file cannot be used, is another stack's, or was made by a later version.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise BookError(f"SQLite {sqlite3.sqlite_version} is too old: Python needs one of 3.37 or later")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        db = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
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
    return db


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
