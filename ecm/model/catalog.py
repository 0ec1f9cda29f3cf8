"""`policies/catalog.yaml`: shapes and node images that may be used, prices and link latencies, each with its source."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ecm.model.base import Frozen, Mbps, Name, Region, ShapeName, Text, UsdPrice

FLOW_CAP_MBPS = 5000
"""EC2 holds one flow to 5 Gbit/s outside a placement group (EC2 network bandwidth guide)."""
AmiId = Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]{8,17}$")]


class Architecture(StrEnum):
    """Processor architecture, in EC2's spelling."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class Shape(Frozen):
    """An instance type with measured capacity and price."""

    name: ShapeName
    architecture: Architecture
    vcpu: Annotated[int, Field(ge=1, le=192)]
    network_baseline_mbps: Mbps
    network_burst_mbps: Mbps
    """Full rate of the network card; sizing uses the baseline only."""
    encrypt_mbps: Mbps
    """WireGuard, kernel module, towards the client."""
    decrypt_mbps: Mbps
    packets_per_s: Annotated[int, Field(ge=1000)]
    max_interfaces: Annotated[int, Field(ge=1, le=15)]
    usd_per_hour: UsdPrice
    dedicated_usd_per_hour: UsdPrice | None = None
    price_source: Text
    capacity_source: Text

    @property
    def tunnel_mbps(self) -> int:
        """What one tunnel carries: one core's WireGuard, and EC2's cap of one flow, whichever is less; at least 1.

        A tunnel is one flow to EC2, and its packets are encrypted and decrypted on about one core (NetBird's sizing of
        routing peers).
        """
        return max(1, min(FLOW_CAP_MBPS, min(self.encrypt_mbps, self.decrypt_mbps) // self.vcpu))


class Image(Frozen):
    """A node image: agent, WireGuard, nftables, BIRD, chrony; nothing fetched at boot."""

    name: Name
    architecture: Architecture
    ami: AmiId
    built: date


class Bandwidth(Frozen):
    """Prices of moving traffic, and of what every stack pays."""

    cross_zone_usd_per_gb: UsdPrice
    """Both directions together."""
    internet_usd_per_gb: UsdPrice
    nlb_usd_per_hour: UsdPrice
    nlcu_usd_per_hour: UsdPrice
    """One NLCU-hour carries 1 GB of UDP per hour."""
    public_ipv4_usd_per_hour: UsdPrice
    interface_endpoint_usd_per_hour: UsdPrice
    source: Text


class TrafficModel(Frozen):
    """Shape of the traffic, for capacities and cost."""

    download_pct: Annotated[int, Field(ge=0, le=100)]
    """Share of the load that flows towards the clients."""
    mean_packet_bytes: Annotated[int, Field(ge=64, le=9000)]
    overhead_pct: Annotated[float, Field(ge=0, le=20)]
    """WireGuard's encapsulation, per layer."""
    internet_pct: Annotated[int, Field(ge=0, le=100)]
    """Share of the load that leaves to the internet."""
    cross_zone_pct: Annotated[int, Field(ge=0, le=100)]
    """Share of inter-tier traffic that changes zone, given zone-affine weights."""
    source: Text


class LatencyModel(Frozen):
    """Terms of a chain's one-way p95 latency."""

    entry_us: Annotated[int, Field(ge=0)]
    """The load balancer."""
    same_zone_us: Annotated[int, Field(ge=0)]
    cross_zone_us: Annotated[int, Field(ge=0)]
    node_us: Annotated[int, Field(ge=0)]
    """One tier's processing at zero load; grows with utilisation as 1 / (1 - rho)."""
    link_loss_ppm: Annotated[int, Field(ge=0)]
    """Loss of one tier and the link behind it."""
    source: Text


class Failover(Frozen):
    """Time until traffic flows again after one node fails, seconds, per mechanism."""

    entry_s: Annotated[int, Field(ge=1)]
    """Load balancer health check and WireGuard's own retry."""
    inter_tier_s: Annotated[int, Field(ge=1)]
    """BFD and OSPF."""
    source: Text


class Catalog(Frozen):
    """What may be bought, at which price, and how it behaves."""

    region: Region
    as_of: date
    """Day on which the prices were read."""
    shapes: tuple[Shape, ...] = Field(min_length=1)
    images: tuple[Image, ...] = Field(min_length=1)
    bandwidth: Bandwidth
    traffic: TrafficModel
    latency: LatencyModel
    failover: Failover

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, names in (("shapes", [s.name for s in self.shapes]), ("images", [i.name for i in self.images])):
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: a name is used twice")
        return self

    def shape(self, name: str) -> Shape:
        """Return the shape called `name`; KeyError when it is not in the catalog."""
        for shape in self.shapes:
            if shape.name == name:
                return shape
        raise KeyError(name)

    def image(self, name: str) -> Image:
        """Return the image called `name`; KeyError when it is not in the catalog."""
        for image in self.images:
            if image.name == name:
                return image
        raise KeyError(name)
