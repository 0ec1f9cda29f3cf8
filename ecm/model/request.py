"""A single request for a route, what chains offer to it, and the decision."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import Field, StringConstraints

from ecm.model.base import MAX_MBPS, Frozen, MicroUsd, Name, Region, Text
from ecm.model.fleet import PortRange
from ecm.model.policy import OnViolation
from ecm.model.refusal import Rejected

Sentence = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=2000)]
"""One line about every requirement of a request, which may name ten regions."""


class RouteRequest(Frozen):
    """What an application asks for; what it leaves out is taken from its profile."""

    application: Name
    vpn: Name
    source: IPv4Network | None = None
    """Where its packets come from; none: every client of the VPN."""
    destinations: Annotated[tuple[IPv4Network, ...], Field(max_length=100)] = ()
    ports: Annotated[tuple[PortRange, ...], Field(max_length=100)] = ()
    bandwidth_mbps: Annotated[int, Field(gt=0, le=MAX_MBPS)] | None = None
    latency_ms: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """p95, one way, entry of the chain to its exit."""
    loss_pct: Annotated[float, Field(gt=0, le=100)] | None = None
    max_outage_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    security_level: Annotated[int, Field(ge=0, le=9)] | None = None
    regions: Annotated[tuple[Annotated[Region, Field(max_length=32)], ...], Field(max_length=10)] = ()
    """Where the chain may stand; none: anywhere."""
    priority: Annotated[int, Field(ge=1, le=9)] | None = None
    on_violation: OnViolation | None = None


class TierRoom(Frozen):
    """What a tier has left."""

    tier: Name
    residual_mbps: Annotated[int, Field(ge=0)]
    origin: Text
    """Where the number comes from."""


class Stated(Frozen):
    """A number and where it comes from."""

    value: Annotated[int, Field(ge=0)]
    origin: Text


class ChainState(Frozen):
    """What a chain offers now."""

    chain: Name
    vpn: Name
    region: Region
    tiers: tuple[TierRoom, ...]
    """Ingress first."""
    entry: Text
    """Host name of the VPN's entry; its port is that of the traffic class."""
    security_level: Stated
    """Of its weakest tier."""
    latency_us: Stated
    """p95, one way, at the planned load."""
    loss_ppm: Stated
    outage_s: Stated
    """Until traffic flows again after a node failed."""
    availability_ppm: Stated
    """Share of time in which every tier has the nodes that its planned load needs."""
    marginal_usd_micro: Stated
    """Micro-USD per hour of one more Mbit/s."""

    @property
    def residual_mbps(self) -> int:
        """What the scarcest tier has left."""
        return min((room.residual_mbps for room in self.tiers), default=0)


class RouteDecision(Frozen):
    """The chain for a request, or why there is none."""

    chain: Name | None
    traffic_class: Name
    bandwidth_mbps: Annotated[int, Field(ge=0)]
    """What the chain has to carry for it: the request's own, or its profile's."""
    usd_micro_per_hour: MicroUsd
    """What that adds to the cost; 0 without a chain."""
    violated: tuple[Rejected, ...] = ()
    """Requirements that the chain misses, where the request allows it."""
    rejected: tuple[Rejected, ...] = ()
    """Every other chain with the requirements that it failed, or with its cost where it is only dearer."""
    conflict: tuple[Text, ...] = ()
    """Without a chain: the fewest requirements that no chain meets together."""
    relaxation: Sentence = ""
    """Without a chain: the cheapest change of the request that one would meet."""
