"""The lease book: promises of bandwidth in one SQLite file, checked and written in one transaction.

Several processes of one machine may have it open. A transaction takes the file's write lock before it reads anything
(BEGIN IMMEDIATE), so what it finds free is still free when it writes. What a commit has returned from is on the disk.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ecm.serve.errors import BookError, NoRoomError, OutdatedError, UnknownError
from ecm.serve.lease import Lease, Rooms, TierLoad, milliseconds
from ecm.serve.schema import connect

SWEPT: Final = 500
"""Expired rows that one transaction removes at most; those that are left count as promised a little longer."""
KEPT_MS: Final = 600_000
"""An idempotency key is kept for as long as its lease may live, and at least so long."""

NO_LEASE: Final = "no lease {}; it may have expired or been released"
"""Also said of others' leases: nobody learns of them."""


@dataclass(frozen=True)
class Answered:
    """The answer that an idempotency key stands for."""

    asked: str
    """Digest of the request that came with it."""
    answer: str


class Book:
    """The leases of one stack, as this process writes to them. Not for use by two threads at a time."""

    def __init__(self, path: Path, stack: str) -> None:
        self.path = path
        self._db = connect(path, stack)
        self._db.execute("PRAGMA busy_timeout = 0")
        self._loads: dict[str, list[int]] | None = None
        self._version = -1

    def close(self) -> None:
        """Close the file; nothing that was committed is lost without it."""
        self._db.close()

    def begin(self, rooms: Rooms, now: datetime) -> Writing | None:
        """Begin a transaction at `now`; None while another process writes.

        A plan that was applied after the book's is taken over, and what has expired is removed. OutdatedError where the
        book knows a plan that was applied after `rooms`; BookError where the file does not work.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise BookError(f"{self.path}: {error}") from None
        try:
            loads = self._current()
            if self._take_over(rooms):
                loads = self._loads = _loads(self._db)
            writing = Writing(self, self._db, loads, milliseconds(now))
            writing.sweep()
        except sqlite3.Error as error:
            self.abandon()
            raise BookError(f"{self.path}: {error}") from None
        except BaseException:
            self.abandon()
            raise
        return writing

    def abandon(self) -> None:
        """Undo the transaction that is under way."""
        self._loads = None
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _current(self) -> dict[str, list[int]]:
        """Return [room, promised] of every tier; read again only where another connection has written meanwhile."""
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if self._loads is None or version != self._version:
            self._loads, self._version = _loads(self._db), version
        return self._loads

    def _take_over(self, rooms: Rooms) -> bool:
        held, plan = self._db.execute("SELECT applied, plan FROM book").fetchone()
        if held == rooms.applied and plan == rooms.plan:
            return False
        if held > rooms.applied:
            raise OutdatedError(f"the book follows plan {plan}, which was applied after {rooms.plan}")
        self._db.execute("UPDATE book SET applied = ?, plan = ?", (rooms.applied, rooms.plan))
        self._db.execute("UPDATE tiers SET room_mbps = 0")
        self._db.executemany(
            "INSERT INTO tiers VALUES (?, ?, 0) ON CONFLICT (id) DO UPDATE SET room_mbps = excluded.room_mbps",
            sorted(rooms.mbps.items()),
        )
        self._db.execute(
            "DELETE FROM tiers WHERE promised_mbps = 0 AND id NOT IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(rooms.mbps)),),
        )
        return True


class Writing:
    """One transaction: everything in it is written by `commit`, or nothing."""

    def __init__(self, book: Book, db: sqlite3.Connection, loads: dict[str, list[int]], now_ms: int) -> None:
        self.now_ms = now_ms
        self._book = book
        self._db = db
        self._loads = loads
        self._changed: set[str] = set()

    def free(self, tier: str) -> int:
        """Return what can still be promised of `tier`, Mbit/s; negative where a newer plan has less room."""
        room, promised = self._loads.get(tier, (0, 0))
        return room - promised

    def new_id(self) -> str:
        """Return the id of a lease that is made now."""
        return f"{self.now_ms:011x}{secrets.token_hex(11)[:21]}"

    def add(self, lease: Lease) -> str:
        """Promise `lease` and return it as JSON; NoRoomError, and nothing written, where a tier has not enough left."""
        for tier in lease.tiers:
            if (free := self.free(tier)) < lease.bandwidth_mbps:
                raise NoRoomError(f"tier {tier} has {free} Mbit/s left, needed {lease.bandwidth_mbps}")
        self._promise(lease.tiers, lease.bandwidth_mbps)
        body = lease.model_dump_json()
        self._db.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)",
            (
                lease.id,
                lease.application,
                lease.bandwidth_mbps,
                json.dumps(lease.tiers),
                milliseconds(lease.expires_at),
                body,
            ),
        )
        return body

    def lease(self, lease_id: str) -> Lease:
        """Return the lease called `lease_id`; UnknownError where there is none that has not expired."""
        row = self._db.execute(
            "SELECT body FROM leases WHERE id = ? AND expires_ms > ?", (lease_id, self.now_ms)
        ).fetchone()
        if row is None:
            raise UnknownError(NO_LEASE.format(lease_id))
        return Lease.model_validate_json(row[0])

    def renew(self, lease: Lease) -> None:
        """Write `lease` with its new expiry over the one of its id.

        NoRoomError where a newer plan has less room than is promised: promises then lapse until the rest fits.
        """
        for tier in lease.tiers:
            if (free := self.free(tier)) < 0:
                raise NoRoomError(f"tier {tier} has {-free} Mbit/s less than is promised of it")
        self._db.execute(
            "UPDATE leases SET expires_ms = ?, body = ? WHERE id = ?",
            (milliseconds(lease.expires_at), lease.model_dump_json(), lease.id),
        )

    def release(self, lease: Lease) -> None:
        """Take a promise back."""
        self._db.execute("DELETE FROM leases WHERE id = ?", (lease.id,))
        self._promise(lease.tiers, -lease.bandwidth_mbps)

    def answered(self, application: str, key: str) -> Answered | None:
        """Return what was answered to the idempotency key, or None."""
        row = self._db.execute(
            "SELECT asked, answer FROM answers WHERE application = ? AND key = ? AND until_ms > ?",
            (application, key, self.now_ms),
        ).fetchone()
        return Answered(*row) if row else None

    def remember(self, application: str, key: str, answered: Answered, lease: Lease) -> None:
        """Keep the answer to an idempotency key with the lease that it made."""
        until = max(milliseconds(lease.expires_at), self.now_ms + KEPT_MS)
        self._db.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
            (application, key, answered.asked, answered.answer, until),
        )

    def sweep(self) -> None:
        """Remove what has expired, the oldest first."""
        gone = self._db.execute(
            "DELETE FROM leases WHERE rowid IN (SELECT rowid FROM leases WHERE expires_ms <= ? ORDER BY expires_ms "
            "LIMIT ?) RETURNING tiers, mbps",
            (self.now_ms, SWEPT),
        ).fetchall()
        for tiers, mbps in gone:
            self._promise(json.loads(tiers), -mbps)
        self._db.execute(
            "DELETE FROM answers WHERE (application, key) IN (SELECT application, key FROM answers "
            "WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
            (self.now_ms, SWEPT),
        )

    def commit(self) -> None:
        """Write everything; BookError, and nothing written, where the disk does not take it."""
        try:
            self._db.executemany(
                "UPDATE tiers SET promised_mbps = ? WHERE id = ?",
                [(self._loads[tier][1], tier) for tier in sorted(self._changed)],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._book.abandon()
            raise BookError(f"{self._book.path}: {error}") from None

    def _promise(self, tiers: tuple[str, ...], mbps: int) -> None:
        for tier in tiers:
            self._loads.setdefault(tier, [0, 0])[1] += mbps
            self._changed.add(tier)


class Reader:
    """What is committed, seen beside the writing: by another connection, which waits for nobody."""

    def __init__(self, path: Path, stack: str) -> None:
        self._db = connect(path, stack)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def loads(self) -> tuple[TierLoad, ...]:
        """Return room and promises of every tier, sorted by tier."""
        return tuple(TierLoad(tier, *load) for tier, load in sorted(_loads(self._db).items()))

    def leases(self, now: datetime, *, applications: frozenset[str] | None, after: str, most: int) -> tuple[Lease, ...]:
        """Return at most `most` leases with ids above `after` in their order, of `applications` (None: of all)."""
        chosen = "" if applications is None else f"AND application IN ({','.join('?' * len(applications))})"
        rows = self._db.execute(
            f"SELECT body FROM leases WHERE id > ? AND expires_ms > ? {chosen} ORDER BY id LIMIT ?",  # noqa: S608
            (after, milliseconds(now), *sorted(applications or ()), most),
        )
        return tuple(Lease.model_validate_json(body) for (body,) in rows.fetchall())

    def lease(self, lease_id: str, now: datetime, *, applications: frozenset[str] | None) -> Lease:
        """Return one lease of `applications` (None: of any); UnknownError where there is none."""
        row = self._db.execute(
            "SELECT application, body FROM leases WHERE id = ? AND expires_ms > ?", (lease_id, milliseconds(now))
        ).fetchone()
        if row is None or (applications is not None and row[0] not in applications):
            raise UnknownError(NO_LEASE.format(lease_id))
        return Lease.model_validate_json(row[1])

    def check(self) -> None:
        """BookError where the book cannot be read."""
        try:
            self._db.execute("SELECT applied FROM book").fetchone()
        except sqlite3.Error as error:
            raise BookError(f"the lease book cannot be read: {error}") from None

    def counts(self, now: datetime) -> Mapping[str, int]:
        """Return the number of leases by application."""
        rows = self._db.execute(
            "SELECT application, count(*) FROM leases WHERE expires_ms > ? GROUP BY application", (milliseconds(now),)
        )
        return dict(rows.fetchall())

    def promised(self, now: datetime) -> int:
        """Return the sum of all leases, Mbit/s."""
        (found,) = self._db.execute(
            "SELECT coalesce(sum(mbps), 0) FROM leases WHERE expires_ms > ?", (milliseconds(now),)
        ).fetchone()
        return int(found)

    def audit(self) -> tuple[str, ...]:
        """Return what is wrong with the book, one sentence each: counted again from every lease.

        A tier with less room than is promised is among it; after a plan with fewer nodes that is so until enough has
        lapsed.
        """
        found = self._db.execute(
            "SELECT id, room_mbps, promised_mbps, (SELECT coalesce(sum(mbps), 0) FROM leases, json_each(leases.tiers) "
            "AS t WHERE t.value = tiers.id) FROM tiers ORDER BY id"
        ).fetchall()
        unknown = self._db.execute(
            "SELECT DISTINCT t.value FROM leases, json_each(leases.tiers) AS t "
            "WHERE t.value NOT IN (SELECT id FROM tiers) ORDER BY 1"
        ).fetchall()
        return (
            *(f"tier {t}: {p} Mbit/s promised by its row, {s} by its leases" for t, _, p, s in found if p != s),
            *(f"tier {t}: {s} Mbit/s promised of {r}" for t, r, _, s in found if s > r),
            *(f"tier {t}: leases but no row" for (t,) in unknown),
        )


def _loads(db: sqlite3.Connection) -> dict[str, list[int]]:
    return {tier: [room, promised] for tier, room, promised in db.execute("SELECT * FROM tiers")}
