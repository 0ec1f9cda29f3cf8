"""The tables of a lease book in PostgreSQL: a schema for each stack, made by whichever process comes first."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from ecm.serve.database import Row
from ecm.serve.errors import BookError

FORMAT: Final = 1
_TABLES: Final = """
CREATE TABLE book (one INTEGER PRIMARY KEY CHECK (one = 1), stack TEXT NOT NULL, applied BIGINT NOT NULL,
                   plan TEXT NOT NULL, format INTEGER NOT NULL, writes BIGINT NOT NULL) WITH (fillfactor = 10);
CREATE TABLE tiers (id TEXT COLLATE "C" PRIMARY KEY, room_mbps BIGINT NOT NULL CHECK (room_mbps >= 0),
                    promised_mbps BIGINT NOT NULL CHECK (promised_mbps >= 0)) WITH (fillfactor = 50);
CREATE TABLE leases (id TEXT COLLATE "C" PRIMARY KEY, application TEXT COLLATE "C" NOT NULL,
                     mbps BIGINT NOT NULL CHECK (mbps >= 0), tiers TEXT NOT NULL, expires_ms BIGINT NOT NULL,
                     body TEXT NOT NULL);
CREATE INDEX leases_by_expiry ON leases (expires_ms);
CREATE INDEX leases_by_application ON leases (application, id);
CREATE TABLE answers (application TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, asked TEXT NOT NULL,
                      answer TEXT NOT NULL, until_ms BIGINT NOT NULL, PRIMARY KEY (application, key));
CREATE INDEX answers_by_end ON answers (until_ms);
CREATE TABLE tokens (id TEXT COLLATE "C" PRIMARY KEY, hash BYTEA NOT NULL, applications TEXT NOT NULL,
                     operator INTEGER NOT NULL, made_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,
                     who TEXT NOT NULL);
"""


def prepare(db: psycopg.Connection[Row], stack: str, place: str) -> None:
    """Make the tables of `stack` where there are none, and have every statement of this session find them.

    BookError where they are of a later version or another stack's.
    """
    schema = f"ecm_{stack}"
    if not _there(db, schema):
        with db.transaction():
            # DDL is part of the transaction: another process sees all of it, or waits here.
            db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (schema,))
            if not _there(db, schema):
                _make(db, schema, stack)
    _find(db, schema)
    ((version, held),) = db.execute("SELECT format, stack FROM book").fetchall()
    if version != FORMAT:
        raise BookError(f"{place}: format {version} is of a later version of ECM; this one reads {FORMAT}")
    if held != stack:
        raise BookError(f"{place}: schema {schema} holds the leases of stack {held!r}, not of {stack!r}")


def _there(db: psycopg.Connection[Row], schema: str) -> bool:
    """Whether the tables are made; asked of the catalog, for to_regclass answers from what the session has cached."""
    found = db.execute(
        "SELECT 1 FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relname = 'book'",
        (schema,),
    )
    return bool(found.fetchall())


def _make(db: psycopg.Connection[Row], schema: str, stack: str) -> None:
    if not db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchall():
        db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    _find(db, schema)
    for statement in _TABLES.split(";\n"):
        db.execute(statement.encode())
    db.execute("INSERT INTO book VALUES (1, %s, 0, '', %s, 0)", (stack, FORMAT))


def _find(db: psycopg.Connection[Row], schema: str) -> None:
    db.execute("SELECT set_config('search_path', quote_ident(%s), false)", (schema,))
