"""Where a PostgreSQL server is, and what a connection to it has to hold before a promise is written over it.

How to connect is libpq's to know: the URL, a service file, a password file, the PG* variables of the environment. The
password is in none of what a process list, a log or a message shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ecm.serve.database import Row
from ecm.serve.errors import BookError
from ecm.serve.postgres.book import PostgresBook, broken
from ecm.serve.postgres.tables import prepare

OLDEST: Final = 130_000
"""The first PostgreSQL that is still cared for."""
_WAYS: Final = {
    "application_name": "ecm serve",
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "target_session_attrs": "read-write",
    "tcp_user_timeout": 5000,
}
"""How it connects where the URL says nothing else: a server that is gone is noticed in seconds, and of several hosts
the one that can write is taken."""
_SESSION: Final = {
    "lock_timeout": "250ms",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""For how long an attempt to begin waits for another process that writes; and a process that stands still in the middle
of a transaction, or cannot be reached any more, stops the others."""
_SECRETS: Final = ("password", "sslpassword")
_FORM: Final = "postgresql://USER@HOST:5432/DATABASE or postgresql:///?service=NAME"


@dataclass(frozen=True)
class PostgresServer:
    """A database of a server; each stack has a schema of its own in it."""

    ways: Mapping[str, Any] = field(repr=False)
    """How libpq connects, without a password."""
    far = True

    def open(self, stack: str) -> PostgresBook:
        """Return a connection to the book, whose schema and tables are made where there are none."""
        return PostgresBook(str(self), partial(self._connected, stack))

    def __str__(self) -> str:
        ways = {name: str(value) for name, value in self.ways.items()}
        if "service" in ways:
            return f"postgresql:///?service={quote(ways['service'])}"
        hosts = [f"[{h}]" if ":" in h else quote(h, safe="") for h in ways.get("host", "").split(",")]
        ports = ways["port"].split(",") if "port" in ways else []
        ports = ports * len(hosts) if len(ports) == 1 else ports
        listed = ",".join(f"{h}:{p}" for h, p in zip(hosts, ports, strict=True)) if ports else ",".join(hosts)
        user = f"{quote(ways['user'], safe='')}@" if "user" in ways else ""
        return f"postgresql://{user}{listed}/{quote(ways.get('dbname', ''))}"

    def _connected(self, stack: str) -> psycopg.Connection[Row]:
        try:
            db = psycopg.connect(autocommit=True, **{**_WAYS, **self.ways})
        except psycopg.Error as error:
            raise broken(str(self), error, lost=True) from None
        db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # whatever is the server's usual one
        try:
            self._check(db)
            prepare(db, stack, str(self))
            for name, value in _SESSION.items():
                db.execute("SELECT set_config(%s, %s, false)", (name, value))
        except psycopg.Error as error:
            db.close()
            raise broken(str(self), error, lost=False) from None
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: psycopg.Connection[Row]) -> None:
        """BookError where what the server has committed may not be on its disk."""
        if db.info.server_version < OLDEST:
            raise BookError(f"{self}: the server is older than PostgreSQL {OLDEST // 10_000}")
        ((fsync, waits),) = db.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        ).fetchall()
        if fsync != "on":
            raise BookError(f"{self}: fsync is off on this server, promises would be lost with its power; turn it on")
        if waits != "remote_apply":  # which waits for more
            db.execute("SET synchronous_commit TO on")


def server_of(url: str) -> PostgresServer:
    """Return the server that `url` names; BookError where it is no such URL, or has a password in it.

    Neither the URL nor libpq's words about it are repeated: either may hold a password.
    """
    unread = BookError(f"the URL of the lease book cannot be read; it has the form {_FORM}")
    try:
        ways = {name: value for name, value in conninfo_to_dict(url).items() if value}
    except psycopg.ProgrammingError:
        raise unread from None
    # A password with a slash in it is taken for a port and the database's name.
    if "@" in str(ways.get("dbname", "")) or not str(ways.get("port", 0)).replace(",", "").isdecimal():
        raise unread
    if any(ways.get(name) for name in _SECRETS):
        raise BookError(
            "the URL of the lease book has a password in it, where every user of this machine can read it: change the "
            "password, and give it by a password file (~/.pgpass), a service file or PGPASSWORD"
        )
    return PostgresServer(ways)
