"""Built-in fleets: one VPN, three applications, one chain of one to three tiers with the nodes that a name says.

`2-3-2` is an ingress tier of two nodes, a transit tier of three and an egress tier of two, spread over three zones.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Final

from ecm.lab.errors import LabError
from ecm.model.catalog import Architecture
from ecm.model.fleet import Role, Tenancy, WayIn
from ecm.model.plan import (
    Adjacency,
    ApplicationRoute,
    ChainPlan,
    ClassPlan,
    Desired,
    NetworkPlan,
    Node,
    NodeState,
    Slot,
    Subnet,
    SubnetKind,
    TierPlan,
    VpnPlan,
)

REGION: Final = "us-east-1"
ZONES: Final = ("us-east-1a", "us-east-1b", "us-east-1c")
_PATTERN: Final = re.compile(r"[1-9](?:-[1-9]){0,2}")
_PLACES: Final = {
    1: (("lab-in", Role.INGRESS),),
    2: (("lab-in", Role.INGRESS), ("lab-out", Role.EGRESS)),
    3: (("lab-in", Role.INGRESS), ("lab-mid", Role.TRANSIT), ("lab-out", Role.EGRESS)),
}
_BLOCKS: Final = {SubnetKind.PUBLIC: 0, SubnetKind.PRIVATE: 100, SubnetKind.ENTRY: 200}
CAPACITY_MBPS: Final = 1000
WEIGHT: Final = 20


def built_in(name: str) -> Desired:
    """Return the fleet called `name`, such as `2-2-2`; LabError when it is no such name.

    A slot keeps its place whatever the count, so that `2-2-2` and `2-3-2` are one fleet before and after a step.
    """
    if not _PATTERN.fullmatch(name):
        raise LabError(f"fleet {name!r}: write the nodes of one to three tiers, such as 2-2-2 or 3-3-3")
    counts = tuple(int(word) for word in name.split("-"))
    places = _PLACES[len(counts)]
    names = tuple(tier for tier, _ in places)
    return Desired(
        stack="lab",
        region=REGION,
        dns_zone=None,
        network=_network(),
        classes=(
            ClassPlan(id="gold", number=1, listener_port=51820, dscp=34, share_pct=50),
            ClassPlan(id="silver", number=2, listener_port=51821, dscp=18, share_pct=30),
        ),
        vpns=(
            VpnPlan(
                id="corp",
                client_cidr=IPv4Network("10.200.0.0/16"),
                host=None,
                ingress=names[0],
                peers=None,
                classes=("gold",),
            ),
        ),
        tiers=tuple(_tier(at, places[at], counts, last=at == len(counts) - 1) for at in range(len(counts))),
        adjacencies=tuple(
            Adjacency(vpn="corp", number=number, upstream=up, downstream=down, tunnels=1)
            for number, (up, down) in enumerate(pairwise(names))
        ),
        chains=(
            ChainPlan(
                id="main",
                vpn="corp",
                number=1,
                tiers=names,
                security_level=2,
                latency_us=3000,
                loss_ppm=20,
                outage_s=21,
            ),
        ),
        applications=tuple(
            _application(number, name, service)
            for number, (name, service) in enumerate(
                (("voice", "udp/3478"), ("web", "tcp/443"), ("backup", "udp/4000-4099")), start=1
            )
        ),
    )


def _network() -> NetworkPlan:
    return NetworkPlan(
        vpc_cidr=IPv4Network("10.40.0.0/16"),
        overlay_cidr=IPv4Network("100.96.0.0/11"),
        vpc_id=None,
        internet_gateway_id=None,
        zones=ZONES,
        subnets=tuple(_subnet(zone, kind) for zone in ZONES for kind in SubnetKind),
    )


def _subnet(zone: str, kind: SubnetKind) -> Subnet:
    third = _BLOCKS[kind] + ZONES.index(zone)
    return Subnet(name=f"{kind.value}-{zone}", zone=zone, kind=kind, cidr=IPv4Network(f"10.40.{third}.0/24"))


def _tier(at: int, place: tuple[str, Role], counts: tuple[int, ...], *, last: bool) -> TierPlan:
    name, role = place
    kind = SubnetKind.PUBLIC if last else SubnetKind.PRIVATE
    slots = []
    for number in range(counts[at]):
        zone, index = ZONES[number % len(ZONES)], number // len(ZONES)
        address = int(_subnet(zone, kind).cidr.network_address) + 20 + 20 * at + index
        slots.append(
            Slot(
                id=f"{name}/{zone}/{index}",
                zone=zone,
                index=index,
                number=number,
                nodes=(_node(IPv4Address(address)),),
                capacity_mbps=CAPACITY_MBPS,
                weight=WEIGHT,
            )
        )
    return TierPlan(
        id=name,
        vpn="corp",
        role=role,
        exits=last,
        subnets=kind,
        tenancy=Tenancy.DEFAULT,
        pre_shared_key=role is Role.TRANSIT,
        inspection=role is Role.TRANSIT,
        security_level=2,
        slots=tuple(sorted(slots, key=lambda s: (s.zone, s.index))),
    )


def _node(address: IPv4Address) -> Node:
    return Node(
        generation=1,
        shape="c7gn.large",
        architecture=Architecture.ARM64,
        image="vpne-arm64",
        ami="ami-0123456789abcdef0",
        private_ip=address,
        state=NodeState.ACTIVE,
    )


def _application(number: int, name: str, service: str) -> ApplicationRoute:
    return ApplicationRoute(
        application=name,
        vpn="corp",
        chain="main",
        traffic_class="gold",
        number=number,
        destinations=(IPv4Network(f"203.0.113.{16 * number}/28"),),
        ports=(service,),
        way_in=WayIn.CLIENT,
    )
