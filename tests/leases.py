"""Leases and rooms for tests of the lease book."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ecm.model.base import digest_bytes
from ecm.serve.book import Book, Writing
from ecm.serve.lease import Lease, Rooms

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
STACK = "dev"
ROOM = {"in": 100, "mid": 60, "out": 80}
CHAINS = {"short": ("in", "out"), "long": ("in", "mid", "out")}


def rooms(mbps: dict[str, int] | None = None, applied: int = 1) -> Rooms:
    """What the tiers of the `applied`-th plan have."""
    return Rooms(applied, digest_bytes(str(applied).encode()), ROOM if mbps is None else mbps)


def begun(book: Book, at: datetime = NOW, having: Rooms | None = None) -> Writing:
    """A transaction; nobody else writes."""
    writing = book.begin(having or rooms(), at)
    assert writing is not None
    return writing


def a_lease(writing: Writing, chain: str = "short", mbps: int = 10, ttl_s: float = 60, **changes) -> Lease:
    """A lease that is not in the book yet, made at the time of the transaction."""
    at = datetime.fromtimestamp(writing.now_ms / 1000, UTC)
    values = {
        "id": writing.new_id(),
        "application": "web",
        "vpn": "corp",
        "chain": chain,
        "tiers": CHAINS[chain],
        "bandwidth_mbps": mbps,
        "entry": "corp.vpn.example.com:51820",
        "traffic_class": "gold",
        "mark": "0x10100001",
        "plan": digest_bytes(b"1"),
        "made_at": at,
        "expires_at": at + timedelta(seconds=ttl_s),
    }
    return Lease(**(values | changes))
