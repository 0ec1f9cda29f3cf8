"""A connection to a lease book in PostgreSQL.

A transaction locks the book's one row before it reads anything, so what it finds free is still free when it writes.
What a commit has returned from is on the server's disk, and on its synchronous standby's where it has one.

A connection that was lost is made again when something is next asked. What a transaction writes goes to the server
with its commit, in one go. Settings are of the session, so a pool in between has to keep sessions together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ecm.serve.database import Row
from ecm.serve.errors import BookError

Done = TypeVar("Done")
_Connection = psycopg.Connection[Row]
_LOST: Final = " (every request tries again to connect; a password comes from ~/.pgpass, a service file or PGPASSWORD)"


class PostgresBook:
    """One connection to the database, made again where it was lost."""

    tiers_of_leases = "leases, jsonb_array_elements_text(leases.tiers::jsonb) AS t(value)"

    def __init__(self, place: str, connect: Callable[[], _Connection]) -> None:
        self.place = place
        self._connect = connect
        self._db = connect()
        self._number = 1
        self._within = False
        """Whether a transaction is under way."""
        self._unsent: list[tuple[bytes, Sequence[object]]] = []
        self._written = self._mine = 0

    def begin(self) -> bool:
        """Lock the book's row; False where another connection keeps it for longer than the session waits."""
        return self._asked(self._begin, again=True)

    def seen(self) -> tuple[int, int]:
        """Return the number of this connection and of what others have written."""
        return self._number, self._written - self._mine

    def commit(self) -> None:
        """Write the transaction; it is on the disk on return."""
        try:
            self._asked(self._commit)
        except BookError as error:
            if self._db.closed:
                raise BookError(f"{error}; if it was written, the same idempotency key gets the same answer") from None
            raise
        self._within = False
        self._mine += 1

    def abandon(self) -> None:
        """Undo the transaction that is under way."""
        self._within = False
        self._unsent.clear()
        try:
            if not self._db.closed and self._db.info.transaction_status != TransactionStatus.IDLE:
                self._db.execute("ROLLBACK")
        except psycopg.Error:
            self._db.close()

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what `statement` finds."""
        return self._asked(lambda db: db.execute(_spelt(statement), values).fetchall(), again=True)

    def write(self, statement: str, many: Iterable[Sequence[object]]) -> None:
        """Do `statement` with each of `many`; in a transaction, with its commit."""
        self._unsent += [(_spelt(statement), values) for values in many]
        if not self._within:
            self._asked(self._send)

    def close(self) -> None:
        """End the connection."""
        self.abandon()
        self._db.close()

    def _begin(self, db: _Connection) -> bool:
        try:
            done = db.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT writes FROM book FOR UPDATE")
        except psycopg.errors.LockNotAvailable:
            self.abandon()
            return False
        done.nextset()
        ((self._written,),) = done.fetchall()
        self._within = True
        return True

    def _commit(self, db: _Connection) -> None:
        # COMMIT would roll back what has failed before without an error; the statement before it does not.
        self._unsent += [(b"UPDATE book SET writes = writes + 1", ()), (b"COMMIT", ())]
        self._send(db)

    def _send(self, db: _Connection) -> None:
        """Send all that waits in one go; the first error is raised.

        In the middle of a transaction it would stop the server's count of how long it is idle: psycopg ends a pipeline
        with a message that the server takes for work.
        """
        unsent, self._unsent = self._unsent, []
        with db.pipeline():
            for statement, values in unsent:
                db.execute(statement, values)

    def _asked(self, work: Callable[[_Connection], Done], *, again: bool = False) -> Done:
        """Return what `work` does; once more where the connection is lost, no transaction is, and `again` says so."""
        within = self._within
        if self._db.closed and not within:
            self._db, self._number = self._connect(), self._number + 1
        try:
            return work(self._db)
        except psycopg.Error as error:
            lost = self._db.closed
            if not within:
                self.abandon()
                if lost and again:
                    return self._asked(work)
            raise broken(self.place, error, lost=lost) from None


def broken(place: str, error: psycopg.Error, *, lost: bool) -> BookError:
    """Return what is said of the server's error, on one line; libpq names no password in it."""
    said = " ".join(str(error).split()) or type(error).__name__
    return BookError(f"{place}: {said}" + (_LOST if lost else ""))


@cache
def _spelt(statement: str) -> bytes:
    """Return a statement as psycopg has values in it."""
    return statement.replace("?", "%s").encode()
