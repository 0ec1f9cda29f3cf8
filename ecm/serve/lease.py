"""What the book keeps of each promise, and what a tier has to promise from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import Field, StringConstraints

from ecm.model.base import Digest, Frozen, Mbps, Name, Text, UtcTime
from ecm.model.fleet import PortRange

LeaseId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Milliseconds since 1970 in eleven hexadecimal digits, then chance: new leases stand at the end of every index."""
Mark = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{8}$")]


class Lease(Frozen):
    """A promise: so much bandwidth of every tier of a chain, until it expires."""

    id: LeaseId
    application: Name
    vpn: Name
    chain: Name
    tiers: tuple[Name, ...]
    """Those that the bandwidth is promised of, ingress first."""
    bandwidth_mbps: Mbps
    entry: Text
    """Where clients enter: host and port of the traffic class."""
    traffic_class: Name
    mark: Mark
    """Mark of the application's flows on this chain, as nftables and `ip rule` read it."""
    source: IPv4Network | None = None
    destinations: tuple[IPv4Network, ...] = ()
    ports: tuple[PortRange, ...] = ()
    plan: Digest
    """The applied plan that it was decided on."""
    made_at: UtcTime
    expires_at: UtcTime
    renewed: Annotated[int, Field(ge=0)] = 0
    """How often it was renewed."""


@dataclass(frozen=True)
class Rooms:
    """What the tiers of an applied plan have beside their planned load."""

    applied: int
    """Number of the journal's entry that says so: a later one is higher, also after a rollback."""
    plan: str
    mbps: Mapping[str, int]
    """Mbit/s by tier, at least 0."""


@dataclass(frozen=True)
class TierLoad:
    """A tier's room beside its planned load, and what of it is promised, Mbit/s."""

    tier: str
    room_mbps: int
    promised_mbps: int

    @property
    def free_mbps(self) -> int:
        """What can still be promised; negative where a newer plan has less room than was promised before."""
        return self.room_mbps - self.promised_mbps


def milliseconds(at: datetime) -> int:
    """Return `at` in whole milliseconds since 1970, as the book counts time."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def moment(ms: int) -> datetime:
    """Return the time of `milliseconds`."""
    return datetime.fromtimestamp(ms / 1000, UTC)
