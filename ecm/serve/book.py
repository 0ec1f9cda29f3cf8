"""The lease book: promises of bandwidth in a database, checked and written in one transaction.

Several processes may have it open. A transaction is the only one that writes before it reads anything, so what it finds
free is still free when it writes. What a commit has returned from is on the disk.

Leases expire by the clock of the process that writes. Processes of several machines need clocks that agree: one that is
ahead by a second promises the bandwidth of a lease again a second before whoever holds it knows that it has ended; one
that is behind leaves it unused for a second.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ecm.serve.database import Database, Place
from ecm.serve.errors import BookError, NoRoomError, OutdatedError, UnknownError
from ecm.serve.lease import Lease, Rooms, TierLoad, milliseconds

SWEPT: Final = 500
"""Expired rows that one transaction removes at most; those that are left count as promised a little longer."""
KEPT_MS: Final = 600_000
"""An idempotency key is kept for as long as its lease may live, and at least so long."""

NO_LEASE: Final = "no lease {}; it may have expired or been released"
"""Also said of others' leases: nobody learns of them."""


Key = tuple[str, str]
"""An application and an idempotency key of its own."""


@dataclass(frozen=True)
class Answered:
    """The answer that an idempotency key stands for."""

    asked: str
    """Digest of the request that came with it."""
    answer: str


@dataclass
class _State:
    """What is committed: which plan the book follows, and [room, promised] of every tier, Mbit/s."""

    applied: int
    plan: str
    loads: dict[str, list[int]]


class Book:
    """The leases of one stack, as this process writes to them. Not for use by two threads at a time."""

    def __init__(self, place: Place, stack: str) -> None:
        self.far = place.far
        self._db = place.open(stack)
        self._state: _State | None = None
        self._seen: object = None

    def close(self) -> None:
        """Close it; nothing that was committed is lost without it."""
        self._db.close()

    def begin(self, rooms: Rooms, now: datetime) -> Writing | None:
        """Begin a transaction at `now`; None while another process writes.

        A plan that was applied after the book's is taken over, and what has expired is removed. OutdatedError where the
        book knows a plan that was applied after `rooms`; BookError where the database does not work.
        """
        if not self._db.begin():
            return None
        try:
            state = self._current()
            if (state.applied, state.plan) != (rooms.applied, rooms.plan):
                self._take_over(state, rooms)
            writing = Writing(self, self._db, state.loads, milliseconds(now))
            writing.sweep()
        except BaseException:
            self.abandon()
            raise
        return writing

    def abandon(self) -> None:
        """Undo the transaction that is under way."""
        self._state = None
        self._db.abandon()

    def _current(self) -> _State:
        """Return what is committed; read again only where another connection has written meanwhile."""
        seen = self._db.seen()
        if self._state is None or seen != self._seen:
            self._state, self._seen = _state(self._db), seen
        return self._state

    def _take_over(self, state: _State, rooms: Rooms) -> None:
        if state.applied > rooms.applied:
            raise OutdatedError(f"the book follows plan {state.plan}, which was applied after {rooms.plan}")
        self._db.write("UPDATE book SET applied = ?, plan = ?", [(rooms.applied, rooms.plan)])
        self._db.write("UPDATE tiers SET room_mbps = 0", [()])
        self._db.write(
            "INSERT INTO tiers VALUES (?, ?, 0) ON CONFLICT (id) DO UPDATE SET room_mbps = excluded.room_mbps",
            sorted(rooms.mbps.items()),
        )
        gone = sorted(tier for tier, (_, promised) in state.loads.items() if tier not in rooms.mbps and not promised)
        self._db.write("DELETE FROM tiers WHERE id = ?", [(tier,) for tier in gone])
        kept = {tier: [0, promised] for tier, (_, promised) in state.loads.items() if tier not in gone}
        state.loads = kept | {tier: [room, kept.get(tier, [0, 0])[1]] for tier, room in rooms.mbps.items()}
        state.applied, state.plan = rooms.applied, rooms.plan


class Writing:
    """One transaction: everything in it is written by `commit`, or nothing."""

    def __init__(self, book: Book, db: Database, loads: dict[str, list[int]], now_ms: int) -> None:
        self.now_ms = now_ms
        self._book = book
        self._db = db
        self._loads = loads
        self._changed: set[str] = set()
        self._leases: dict[str, Lease | None] = {}
        """What this transaction made of leases: the database may not know yet."""
        self._answers: dict[Key, Answered | None] = {}

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
        ends, tiers = milliseconds(lease.expires_at), json.dumps(lease.tiers)
        row = (lease.id, lease.application, lease.bandwidth_mbps, tiers, ends, body)
        self._db.write("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)", [row])
        self._leases[lease.id] = lease
        return body

    def lease(self, lease_id: str) -> Lease:
        """Return the lease called `lease_id`; UnknownError where there is none that has not expired."""
        if lease_id not in self._leases:
            found = self._db.rows("SELECT body FROM leases WHERE id = ? AND expires_ms > ?", (lease_id, self.now_ms))
            self._leases[lease_id] = Lease.model_validate_json(found[0][0]) if found else None
        if (lease := self._leases[lease_id]) is None:
            raise UnknownError(NO_LEASE.format(lease_id))
        return lease

    def renew(self, lease: Lease) -> None:
        """Write `lease` with its new expiry over the one of its id.

        NoRoomError where a newer plan has less room than is promised: promises then lapse until the rest fits.
        """
        for tier in lease.tiers:
            if (free := self.free(tier)) < 0:
                raise NoRoomError(f"tier {tier} has {-free} Mbit/s less than is promised of it")
        row = (milliseconds(lease.expires_at), lease.model_dump_json(), lease.id)
        self._db.write("UPDATE leases SET expires_ms = ?, body = ? WHERE id = ?", [row])
        self._leases[lease.id] = lease

    def release(self, lease: Lease) -> None:
        """Take a promise back."""
        self._db.write("DELETE FROM leases WHERE id = ?", [(lease.id,)])
        self._leases[lease.id] = None
        self._promise(lease.tiers, -lease.bandwidth_mbps)

    def look_up(self, keys: Sequence[Key]) -> None:
        """Look at all of `keys` at once: a far database is then asked once for a group of requests.

        Their number is rounded up to a power of two, so that there are few different statements.
        """
        if not keys:
            return
        asked = [*keys, *[keys[-1]] * ((1 << (len(keys) - 1).bit_length()) - len(keys))]
        found = self._db.rows(
            "SELECT application, key, asked, answer FROM answers WHERE (application, key) IN "  # noqa: S608
            f"(VALUES {', '.join(['(?, ?)'] * len(asked))}) AND until_ms > ?",
            (*(part for key in asked for part in key), self.now_ms),
        )
        self._answers |= dict.fromkeys(keys) | {(of, key): Answered(*said) for of, key, *said in found}

    def answered(self, application: str, key: str) -> Answered | None:
        """Return what was answered to the idempotency key, or None."""
        if (application, key) in self._answers:
            return self._answers[application, key]
        found = self._db.rows(
            "SELECT asked, answer FROM answers WHERE application = ? AND key = ? AND until_ms > ?",
            (application, key, self.now_ms),
        )
        return Answered(*found[0]) if found else None

    def remember(self, application: str, key: str, answered: Answered, lease: Lease) -> None:
        """Keep the answer to an idempotency key with the lease that it made."""
        until = max(milliseconds(lease.expires_at), self.now_ms + KEPT_MS)
        self._db.write(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT (application, key) DO UPDATE "
            "SET asked = excluded.asked, answer = excluded.answer, until_ms = excluded.until_ms",
            [(application, key, answered.asked, answered.answer, until)],
        )
        self._answers[application, key] = answered

    def sweep(self) -> None:
        """Remove what has expired, the oldest first."""
        gone = self._db.rows(
            "DELETE FROM leases WHERE id IN (SELECT id FROM leases WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?) "
            "RETURNING tiers, mbps",
            (self.now_ms, SWEPT),
        )
        for tiers, mbps in gone:
            self._promise(json.loads(tiers), -mbps)
        self._db.write(
            "DELETE FROM answers WHERE (application, key) IN (SELECT application, key FROM answers "
            "WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
            [(self.now_ms, SWEPT)],
        )

    def commit(self) -> None:
        """Write everything; BookError, and nothing written, where the disk does not take it.

        Where a connection is lost in between, nobody knows: who asks again with the same idempotency key finds out.
        """
        try:
            self._db.write(
                "UPDATE tiers SET promised_mbps = ? WHERE id = ?",
                [(self._loads[tier][1], tier) for tier in sorted(self._changed)],
            )
            self._db.commit()
        except BookError:
            self._book.abandon()
            raise

    def _promise(self, tiers: tuple[str, ...], mbps: int) -> None:
        for tier in tiers:
            self._loads.setdefault(tier, [0, 0])[1] += mbps
            self._changed.add(tier)


class Reader:
    """What is committed, seen beside the writing: by another connection, which waits for nobody."""

    def __init__(self, place: Place, stack: str) -> None:
        self._db = place.open(stack)

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def loads(self) -> tuple[TierLoad, ...]:
        """Return room and promises of every tier, sorted by tier."""
        return tuple(TierLoad(tier, *load) for tier, load in sorted(_loads(self._db).items()))

    def leases(self, now: datetime, *, applications: frozenset[str] | None, after: str, most: int) -> tuple[Lease, ...]:
        """Return at most `most` leases with ids above `after` in their order, of `applications` (None: of all)."""
        chosen = "" if applications is None else f"AND application IN ({','.join('?' * len(applications)) or 'NULL'})"
        rows = self._db.rows(
            f"SELECT body FROM leases WHERE id > ? AND expires_ms > ? {chosen} ORDER BY id LIMIT ?",  # noqa: S608
            (after, milliseconds(now), *sorted(applications or ()), most),
        )
        return tuple(Lease.model_validate_json(body) for (body,) in rows)

    def ids(self, now: datetime) -> tuple[str, ...]:
        """Return the id of every lease that has not expired, in their order."""
        found = self._db.rows("SELECT id FROM leases WHERE expires_ms > ? ORDER BY id", (milliseconds(now),))
        return tuple(row[0] for row in found)

    def lease(self, lease_id: str, now: datetime, *, applications: frozenset[str] | None) -> Lease:
        """Return one lease of `applications` (None: of any); UnknownError where there is none."""
        found = self._db.rows(
            "SELECT application, body FROM leases WHERE id = ? AND expires_ms > ?", (lease_id, milliseconds(now))
        )
        if not found or (applications is not None and found[0][0] not in applications):
            raise UnknownError(NO_LEASE.format(lease_id))
        return Lease.model_validate_json(found[0][1])

    def check(self) -> None:
        """BookError where the book cannot be read."""
        self._db.rows("SELECT applied FROM book")

    def counts(self, now: datetime) -> Mapping[str, int]:
        """Return the number of leases by application."""
        rows = self._db.rows(
            "SELECT application, count(*) FROM leases WHERE expires_ms > ? GROUP BY application", (milliseconds(now),)
        )
        return {row[0]: row[1] for row in rows}

    def promised(self, now: datetime) -> int:
        """Return the sum of all leases, Mbit/s."""
        found = self._db.rows(
            "SELECT CAST(coalesce(sum(mbps), 0) AS BIGINT) FROM leases WHERE expires_ms > ?", (milliseconds(now),)
        )
        return int(found[0][0])

    def audit(self) -> tuple[str, ...]:
        """Return what is wrong with the book, one sentence each: counted again from every lease.

        A tier with less room than is promised is among it; after a plan with fewer nodes that is so until enough has
        lapsed.
        """
        counted = f"SELECT t.value AS tier, sum(mbps) AS mbps FROM {self._db.tiers_of_leases} GROUP BY t.value"  # noqa: S608
        found = self._db.rows(
            "SELECT id, room_mbps, promised_mbps, CAST(coalesce(held.mbps, 0) AS BIGINT) "  # noqa: S608
            f"FROM tiers LEFT JOIN ({counted}) AS held ON held.tier = tiers.id "
            f"UNION ALL SELECT held.tier, NULL, NULL, NULL FROM ({counted}) AS held "
            "WHERE held.tier NOT IN (SELECT id FROM tiers)"
        )
        known = sorted((t, r, p, s) for t, r, p, s in found if r is not None)
        return (
            *(f"tier {t}: {p} Mbit/s promised by its row, {s} by its leases" for t, _, p, s in known if p != s),
            *(f"tier {t}: {s} Mbit/s promised of {r}" for t, r, _, s in known if s > r),
            *(f"tier {t}: leases but no row" for t in sorted(t for t, r, _, _ in found if r is None)),
        )


def _state(db: Database) -> _State:
    ((applied, plan),) = db.rows("SELECT applied, plan FROM book")
    return _State(applied, plan, _loads(db))


def _loads(db: Database) -> dict[str, list[int]]:
    return {tier: [room, promised] for tier, room, promised in db.rows("SELECT * FROM tiers")}
