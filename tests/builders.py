"""Small, valid plans for tests: every argument has a default, and a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

from ecm import signing
from ecm.model.base import digest_bytes
from ecm.model.catalog import Architecture
from ecm.model.fleet import Role, Tenancy, WayIn
from ecm.model.plan import (
    Adjacency,
    ApplicationRoute,
    ChainPlan,
    ClassPlan,
    ConfigDigest,
    Cost,
    CostLine,
    Decision,
    Desired,
    Inputs,
    NetworkPlan,
    Node,
    NodeState,
    Plan,
    Slot,
    Subnet,
    SubnetKind,
    TierPlan,
    Verdict,
    VpnPlan,
)
from ecm.model.rendered import ConfigObject, NodeConfig, Rendered

REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b")
VPC_CIDR = IPv4Network("10.40.0.0/16")
AS_OF = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHAPE = "c7gn.large"
SIGNER = signing.new_key()
AMI = "ami-0123456789abcdef0"


def a_digest(text: str = "") -> str:
    """A well-formed digest that stands for `text`."""
    return digest_bytes(text.encode())


def a_subnet(zone: str, kind: SubnetKind) -> Subnet:
    """The subnet of `zone` and `kind`: /24, public from 10.40.0.0 up, private from .100.0, entry from .200.0."""
    third = "abcdef".index(zone[-1]) + {SubnetKind.PUBLIC: 0, SubnetKind.PRIVATE: 100, SubnetKind.ENTRY: 200}[kind]
    return Subnet(name=f"{kind.value}-{zone}", zone=zone, kind=kind, cidr=IPv4Network(f"10.40.{third}.0/24"))


def a_network(zones: Iterable[str] = ZONES, **changes) -> NetworkPlan:
    """A network of its own with a subnet of each kind in every zone."""
    zones = tuple(sorted(zones))
    values = {
        "vpc_cidr": VPC_CIDR,
        "overlay_cidr": IPv4Network("100.96.0.0/11"),
        "vpc_id": None,
        "internet_gateway_id": None,
        "zones": zones,
        "subnets": tuple(a_subnet(z, k) for z in zones for k in SubnetKind),
    }
    return NetworkPlan(**(values | changes))


def a_node(private_ip: str = "10.40.0.10", generation: int = 1, **changes) -> Node:
    """One active generation."""
    values = {
        "generation": generation,
        "shape": SHAPE,
        "architecture": Architecture.ARM64,
        "image": "vpne-arm64",
        "ami": AMI,
        "private_ip": private_ip,
        "state": NodeState.ACTIVE,
    }
    return Node(**(values | changes))


def a_slot(tier: str = "edge", zone: str = ZONES[0], index: int = 0, **changes) -> Slot:
    """A slot with one active node; `kind` says in which subnet its address lies, `number` numbers it in its tier."""
    kind = changes.pop("kind", SubnetKind.PUBLIC)
    offset = 10 + 10 * (sum(tier.encode()) % 20) + index
    address = a_subnet(zone, kind).cidr.network_address + offset
    values = {
        "id": f"{tier}/{zone}/{index}",
        "zone": zone,
        "index": index,
        "number": index * len(ZONES) + "abcdef".index(zone[-1]),
        "nodes": (a_node(str(address)),),
        "capacity_mbps": 2000,
        "weight": 20,
    }
    return Slot(**(values | changes))


def a_tier(tier: str = "edge", role: Role = Role.INGRESS, *, per_zone: int = 1, **changes) -> TierPlan:
    """A tier with `per_zone` slots in each of two zones; egress tiers exit, others do not."""
    exits = changes.get("exits", role is Role.EGRESS)
    kind = changes.get("subnets", SubnetKind.PUBLIC if exits else SubnetKind.PRIVATE)
    values = {
        "id": tier,
        "vpn": "corp",
        "role": role,
        "exits": exits,
        "subnets": kind,
        "tenancy": Tenancy.DEFAULT,
        "pre_shared_key": False,
        "inspection": False,
        "security_level": 2,
        "slots": tuple(a_slot(tier, zone, index, kind=kind) for zone in ZONES for index in range(per_zone)),
    }
    return TierPlan(**(values | changes))


def a_chain(tiers: Iterable[str] = ("edge", "out"), chain: str = "main", number: int = 1, **changes) -> ChainPlan:
    """A chain over `tiers`."""
    values = {
        "id": chain,
        "vpn": "corp",
        "number": number,
        "tiers": tuple(tiers),
        "security_level": 2,
        "latency_us": 3000,
        "loss_ppm": 20,
        "outage_s": 21,
    }
    return ChainPlan(**(values | changes))


def a_route(application: str = "web", number: int = 1, **changes) -> ApplicationRoute:
    """An application on the default chain."""
    values = {
        "application": application,
        "vpn": "corp",
        "chain": "main",
        "traffic_class": "gold",
        "number": number,
        "destinations": (IPv4Network("203.0.113.0/24"),),
        "ports": ("tcp/443",),
        "way_in": WayIn.CLIENT,
    }
    return ApplicationRoute(**(values | changes))


def a_vpn(vpn: str = "corp", ingress: str = "edge", **changes) -> VpnPlan:
    """A VPN that enters at `ingress`, with clients and a host name in the default zone."""
    values = {
        "id": vpn,
        "client_cidr": IPv4Network("10.200.0.0/16"),
        "host": f"{vpn}.vpn.example.com",
        "ingress": ingress,
        "peers": a_digest(f"peers of {vpn}"),
        "classes": ("gold", "silver"),
    }
    return VpnPlan(**(values | changes))


def a_desired(**changes) -> Desired:
    """A desired state: one VPN, an ingress and an egress tier of two nodes each, one chain, one application."""
    values = {
        "stack": "dev",
        "region": REGION,
        "dns_zone": "vpn.example.com",
        "network": a_network(),
        "classes": (
            ClassPlan(id="gold", number=1, listener_port=51820, dscp=46, share_pct=50),
            ClassPlan(id="silver", number=2, listener_port=51821, dscp=26, share_pct=30),
        ),
        "vpns": (a_vpn(),),
        "tiers": (a_tier("edge"), a_tier("out", Role.EGRESS)),
        "adjacencies": (Adjacency(vpn="corp", number=0, upstream="edge", downstream="out", tunnels=1),),
        "chains": (a_chain(),),
        "applications": (a_route(),),
    }
    return Desired(**(values | changes))


def a_rendered(desired: Desired, text: str = "{}") -> Rendered:
    """Hand-made configuration of every node of `desired` and a peer table of every VPN that has peers."""
    nodes = []
    for tier in desired.tiers:
        for slot in tier.slots:
            for node in slot.nodes:
                key = f"nodes/{slot.id}/g{node.generation}/base.json"
                nodes.append(
                    NodeConfig(
                        slot=slot.id,
                        generation=node.generation,
                        base=ConfigObject(key=key, text=text),
                        user_data=f"#cloud-config\n# {key}\n",
                    )
                )
    nodes.sort(key=lambda n: (n.slot, n.generation))
    shared = tuple(
        ConfigObject(key=f"vpns/{vpn.id}/peers.json", text=f'{{"peers":[],"of":"{vpn.peers}"}}')
        for vpn in desired.vpns
        if vpn.peers is not None
    )
    return Rendered(nodes=tuple(nodes), shared=shared)


def a_plan(desired: Desired | None = None, rendered: Rendered | None = None, **changes) -> Plan:
    """A plan that guard has passed and that replaces nothing; its config digests are those of `rendered`."""
    desired = desired or a_desired()
    rendered = rendered or a_rendered(desired)
    values = {
        "stack": desired.stack,
        "serial": 1,
        "basis": None,
        "as_of": AS_OF,
        "expires_at": AS_OF + timedelta(hours=4),
        "inputs": an_inputs(),
        "desired": desired,
        "configs": tuple(ConfigDigest(key=o.key, digest=o.digest) for o in rendered.objects),
        "forecasts": (),
        "max_utilisation_permille": 700,
        "tiers": (),
        "applications": (),
        "changes": (),
        "cost": Cost(
            prices_as_of="2026-02-20",
            lines=(CostLine(item="compute", before_usd_micro_per_hour=0, after_usd_micro_per_hour=499_200),),
        ),
        "verdict": Verdict(decision=Decision.AUTOMATIC),
    }
    return Plan(**(values | changes))


def a_signature(plan: Plan) -> tuple[bytes, tuple[str, ...]]:
    """The signed manifest of a plan, and whose signature it is."""
    return signing.sign_plan(plan, 1, SIGNER), (SIGNER.public,)


def an_inputs(**changes) -> Inputs:
    """Digests of inputs that never were."""
    names = ("fleet", "qos", "security", "limits", "catalog", "telemetry")
    values = {name: a_digest(name) for name in names} | {"observed": None, "ecm_version": "0.0.0"}
    return Inputs(**(values | changes))
