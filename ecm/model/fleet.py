"""What people write in `stacks/<stack>.fleet.yaml`: VPNs, applications, tiers, chains, zones and events."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from itertools import combinations
from typing import Annotated, Self, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ecm.model.adopted import Adopted, GatewayId, TableId, VpcId
from ecm.model.base import CountryCode, Frozen, HostName, Mbps, Name, Region, ShapeName, Text, UtcTime, Zone


class Role(StrEnum):
    """What a tier does in its chains."""

    INGRESS = "ingress"
    TRANSIT = "transit"
    EGRESS = "egress"


class Tenancy(StrEnum):
    """Whose hardware a tier's instances run on (the EC2 `tenancy` of the same name)."""

    DEFAULT = "default"
    DEDICATED = "dedicated"


class WayIn(StrEnum):
    """How an application's packets reach the ingress tier."""

    CLIENT = "client"
    """WireGuard clients through the load balancer."""
    VPC_ROUTE = "vpc-route"
    """Workloads of the VPC through a route to one ingress network interface; fails over with a reconcile run."""


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}: use an IANA name such as Europe/Berlin")
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


def _ordered_ports(text: str) -> str:
    first, _, last = text.partition("/")[2].partition("-")
    if not 1 <= int(first) <= int(last or first) <= 65_535:
        raise ValueError(f"{text!r}: ports are 1 to 65535, the lower one first")
    return text


PortRange = Annotated[
    str, StringConstraints(pattern=r"^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$"), AfterValidator(_ordered_ports)
]
"""A protocol and port or ports, such as `tcp/443` or `udp/3478-3481`."""


class Network(Frozen):
    """Addresses of the stack and, where it is to be used, an existing VPC."""

    vpc_cidr: IPv4Network
    """The VPC's range, or the part of an existing VPC that ECM may carve its subnets from."""
    overlay_cidr: IPv4Network = IPv4Network("100.96.0.0/11")
    """Addresses of the tunnels between tiers; every VPN is a routing domain of its own and uses it again."""
    vpc_id: VpcId | None = None
    internet_gateway_id: GatewayId | None = None
    workload_route_tables: tuple[TableId, ...] = ()
    """Route tables of workloads that reach clients, or are clients, through ECM's nodes."""
    adopted: Adopted | None = Field(default=None, exclude_if=lambda value: value is None)
    """What of the existing VPC the stack declares as it stands; written by `ecm adopt`."""

    @model_validator(mode="after")
    def _gateway_with_vpc(self) -> Self:
        if (self.vpc_id is None) != (self.internet_gateway_id is None):
            raise ValueError("vpc_id and internet_gateway_id go together: an existing VPC keeps its own gateway")
        if self.adopted is not None:
            self._beside(self.adopted)
        if not 16 <= self.vpc_cidr.prefixlen <= 20:
            raise ValueError(
                f"vpc_cidr {self.vpc_cidr} must have a prefix of /16 to /20 to hold the subnets of six zones"
            )
        if self.overlay_cidr.prefixlen > 14:
            raise ValueError(f"overlay_cidr {self.overlay_cidr} must be /14 or larger: a pair of tiers takes a /19")
        return self

    def _beside(self, adopted: Adopted) -> None:
        if self.vpc_id is None:
            raise ValueError("adopted: belongs to an existing VPC; add vpc_id and internet_gateway_id")
        for subnet in adopted.subnets:
            if subnet.cidr.overlaps(self.vpc_cidr):
                raise ValueError(f"vpc_cidr {self.vpc_cidr} overlaps the adopted {subnet.id} {subnet.cidr}")


class Vpn(Frozen):
    """A private network with its own clients and keys."""

    id: Name
    client_cidr: IPv4Network
    """Addresses of the clients of this VPN."""
    time_zone: TimeZone = "UTC"
    """Whose day and week the traffic follows."""
    holidays: CountryCode | None = None
    host: HostName | None = None
    """DNS name of the entry, in the fleet's `dns_zone`; none: the load balancer's own name."""


class Application(Frozen):
    """Traffic within a VPN with its own QoS."""

    id: Name
    vpn: Name
    profile: Name
    destinations: tuple[IPv4Network, ...] = Field(min_length=1)
    ports: tuple[PortRange, ...] = ()
    """Empty: every port of the destinations."""
    largest_flow_mbps: Mbps | None = None
    """The largest load of one client: it stays on one node, so it bounds the shape from below."""
    chains: tuple[Name, ...] = ()
    """Chains that may be used; empty: every chain of the VPN."""
    way_in: WayIn = WayIn.CLIENT


class Tier(Frozen):
    """A group of interchangeable VPNe nodes with one role."""

    id: Name
    role: Role
    zones: tuple[Zone, ...] = ()
    """Empty: every zone of the fleet."""
    shapes: tuple[ShapeName, ...] = ()
    """Empty: every shape of the catalog that fits the image's architecture."""
    image: Name
    node_failures: Annotated[int, Field(ge=0, le=4)] = 1
    """f: nodes that may fail before the next run with the planned quantile still held."""
    survive_zone_loss: bool = True
    """With two zones or more: the loss of any one still holds the planned quantile."""
    pre_shared_key: bool = False
    inspection: bool = False
    tenancy: Tenancy = Tenancy.DEFAULT


class Chain(Frozen):
    """An ordered list of tiers, ingress first."""

    id: Name
    vpn: Name
    tiers: tuple[Name, ...] = Field(min_length=1, max_length=4)


class Event(Frozen):
    """A dated external cause of traffic."""

    id: Name
    kind: Name
    start: UtcTime
    end: UtcTime
    region: Region | None = None
    """Where it happens; in a stack of another region it has no effect. None: everywhere."""
    vpn: Name | None = None
    application: Name | None = None
    expected_factor: Annotated[float, Field(gt=0, le=100)] | None = None
    """Load during the event over load without it; none: unknown."""
    note: Text = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"event {self.id}: end {self.end.isoformat()} must be later than start")
        return self


class Fleet(Frozen):
    """One stack: one region's VPNs, applications, tiers, chains and events."""

    stack: Name
    region: Region
    zones: tuple[Zone, ...] = Field(min_length=1, max_length=6)
    network: Network
    dns_zone: HostName | None = None
    """Public hosted zone that ECM declares for the entries; none: no records."""
    vpns: tuple[Vpn, ...] = Field(min_length=1)
    applications: tuple[Application, ...] = Field(min_length=1)
    tiers: tuple[Tier, ...] = Field(min_length=1)
    chains: tuple[Chain, ...] = Field(min_length=1)
    events: tuple[Event, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for check in (_unique_ids, _references, _zones, _chain_shapes, _disjoint_addresses):
            check(self)
        return self

    def tier(self, tier_id: str) -> Tier:
        """Return the tier called `tier_id`; KeyError when there is none."""
        return next_by_id(self.tiers, tier_id)

    def zones_of(self, tier: Tier) -> tuple[str, ...]:
        """Return the zones of `tier`, sorted."""
        return tuple(sorted(tier.zones or self.zones))

    def vpn_of_tier(self, tier_id: str) -> str:
        """Return the one VPN whose chains use `tier_id`."""
        return next(c.vpn for c in self.chains if tier_id in c.tiers)


def _unique_ids(fleet: Fleet) -> None:
    for what, items in (
        ("vpns", fleet.vpns),
        ("applications", fleet.applications),
        ("tiers", fleet.tiers),
        ("chains", fleet.chains),
        ("events", fleet.events),
    ):
        seen: set[str] = set()
        for item in items:
            if item.id in seen:
                raise ValueError(f"{what}: id {item.id!r} is used twice; ids are unique in a stack")
            seen.add(item.id)


def _references(fleet: Fleet) -> None:
    _application_references(fleet)
    _tier_references(fleet)
    for event in fleet.events:
        if event.vpn is not None:
            _known(event.vpn, {v.id for v in fleet.vpns}, f"events.{event.id}.vpn")
        if event.application is not None:
            _known(event.application, {a.id for a in fleet.applications}, f"events.{event.id}.application")


def _application_references(fleet: Fleet) -> None:
    chains = {c.id: c for c in fleet.chains}
    for application in fleet.applications:
        _known(application.vpn, {v.id for v in fleet.vpns}, f"applications.{application.id}.vpn")
        for chain in application.chains:
            _known(chain, set(chains), f"applications.{application.id}.chains")
            if chains[chain].vpn != application.vpn:
                raise ValueError(
                    f"applications.{application.id}.chains: {chain!r} belongs to VPN {chains[chain].vpn!r}"
                )


def _tier_references(fleet: Fleet) -> None:
    tiers = {t.id for t in fleet.tiers}
    owner: dict[str, str] = {}
    for chain in fleet.chains:
        _known(chain.vpn, {v.id for v in fleet.vpns}, f"chains.{chain.id}.vpn")
        for tier in chain.tiers:
            _known(tier, tiers, f"chains.{chain.id}.tiers")
            if owner.setdefault(tier, chain.vpn) != chain.vpn:
                raise ValueError(
                    f"tiers.{tier}: used by chains of {owner[tier]!r} and {chain.vpn!r}; a tier belongs to one VPN"
                )
    for unused in sorted(tiers - set(owner)):
        raise ValueError(f"tiers.{unused}: no chain uses it; add it to a chain or remove it")


def _known(name: str, names: set[str], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: {name!r} is not declared; known: {', '.join(sorted(names)) or 'none'}")


def _zones(fleet: Fleet) -> None:
    for zone in fleet.zones:
        if zone[:-1] != fleet.region:
            raise ValueError(f"zones: {zone!r} is not in region {fleet.region!r}")
    if len(set(fleet.zones)) != len(fleet.zones):
        raise ValueError("zones: a zone is listed twice")
    for tier in fleet.tiers:
        for zone in tier.zones:
            _known(zone, set(fleet.zones), f"tiers.{tier.id}.zones")


def _chain_shapes(fleet: Fleet) -> None:
    """Ingress first, egress last, transit between; the chains of one VPN share one ingress tier."""
    roles = {t.id: t.role for t in fleet.tiers}
    ingress: dict[str, str] = {}
    for chain in fleet.chains:
        got = tuple(roles[t] for t in chain.tiers)
        middle = (Role.TRANSIT,) * (len(got) - 2)
        want = (Role.INGRESS,) if len(got) == 1 else (Role.INGRESS, *middle, Role.EGRESS)
        if got != want:
            raise ValueError(
                f"chains.{chain.id}.tiers: roles are {', '.join(got)}; a chain of {len(got)} is {', '.join(want)}"
            )
        if ingress.setdefault(chain.vpn, chain.tiers[0]) != chain.tiers[0]:
            raise ValueError(
                f"chains.{chain.id}.tiers: starts at {chain.tiers[0]!r}, but VPN {chain.vpn!r} enters at "
                f"{ingress[chain.vpn]!r}; chains of one VPN share their ingress tier"
            )
    for vpn in fleet.vpns:
        if vpn.id not in ingress:
            raise ValueError(f"vpns.{vpn.id}: has no chain")


def _disjoint_addresses(fleet: Fleet) -> None:
    ranges = [("network.vpc_cidr", fleet.network.vpc_cidr), ("network.overlay_cidr", fleet.network.overlay_cidr)]
    ranges += [(f"vpns.{v.id}.client_cidr", v.client_cidr) for v in fleet.vpns]
    for (one, a), (other, b) in combinations(ranges, 2):
        if a.overlaps(b):
            raise ValueError(f"{one} {a} overlaps {other} {b}; give each range addresses of its own")
    for application in fleet.applications:
        for destination in application.destinations:
            for where, network in ranges[1:]:
                if destination.prefixlen > 0 and destination.overlaps(network):
                    raise ValueError(
                        f"applications.{application.id}.destinations {destination} overlaps {where} {network}"
                    )


_Identified = TypeVar("_Identified", Vpn, Application, Tier, Chain)


def next_by_id(items: tuple[_Identified, ...], wanted: str) -> _Identified:
    """Return the item whose id is `wanted`; KeyError when there is none."""
    for item in items:
        if item.id == wanted:
            return item
    raise KeyError(wanted)
