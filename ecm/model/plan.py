"""The plan: ECM's decision, the desired state and the evidence for it. Whole numbers only, tuples sorted by id."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final, Literal

from pydantic import Field

from ecm.model.adopted import Adopted
from ecm.model.base import (
    SHOWN,
    Digest,
    Ed25519,
    Frozen,
    HostName,
    Mbps,
    MicroUsd,
    Name,
    Permille,
    Region,
    ShapeName,
    SlotId,
    Text,
    UtcTime,
    Zone,
    digest,
)
from ecm.model.catalog import AmiId, Architecture
from ecm.model.fleet import PortRange, Role, Tenancy, WayIn
from ecm.model.forecast import ApplicationForecast, Grid, VpnForecast
from ecm.model.links import link
from ecm.model.refusal import Because
from ecm.model.sizing import Load, Risk


class NodeState(StrEnum):
    """Whether a node takes new traffic."""

    ACTIVE = "active"
    DRAINING = "draining"


class SubnetKind(StrEnum):
    """Public and entry subnets route to the internet gateway, private ones only within the VPC."""

    PUBLIC = "public"
    """Nodes with a public source address."""
    PRIVATE = "private"
    """All other nodes."""
    ENTRY = "entry"
    """Load balancers and endpoints: apart from the nodes, so that addresses AWS picks never take a planned one."""


class Node(Frozen):
    """One generation of what stands in a slot: one network interface and one instance."""

    generation: Annotated[int, Field(ge=1)]
    shape: ShapeName
    architecture: Architecture
    image: Name
    ami: AmiId
    private_ip: IPv4Address
    state: NodeState
    draining_since: UtcTime | None = None


class Alternative(Frozen):
    """Where and as what a slot may stand when its own (shape, zone) has no capacity; best first."""

    shape: ShapeName
    zone: Zone
    extra_usd_micro_per_hour: int


class Slot(Frozen):
    """A node's place, and the generations that stand in it: one, or two while one replaces the other."""

    id: SlotId
    zone: Zone
    index: Annotated[int, Field(ge=0, le=99)]
    number: Annotated[int, Field(ge=0, le=31)]
    """Stable number within the tier; tunnel addresses and ports are computed from it."""
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=2)
    """Sorted by generation."""
    capacity_mbps: Mbps
    weight: Annotated[int, Field(ge=1, le=255)]
    """Share of traffic among the tier's nodes, in proportion to capacity."""
    alternatives: tuple[Alternative, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it takes new traffic: its latest generation does not drain."""
        return self.nodes[-1].state is NodeState.ACTIVE


class TierPlan(Frozen):
    """A tier as it is to be."""

    id: Name
    vpn: Name
    role: Role
    exits: bool
    """The last tier of at least one chain: its nodes have a public source address."""
    subnets: SubnetKind
    tenancy: Tenancy
    pre_shared_key: bool
    inspection: bool
    security_level: Annotated[int, Field(ge=0, le=9)]
    slots: tuple[Slot, ...]
    """Sorted by (zone, index)."""


class Adjacency(Frozen):
    """Two tiers that are neighbours in a chain: every node of one has tunnels to every node of the other."""

    vpn: Name
    number: Annotated[int, Field(ge=0, le=199)]
    """Stable within the VPN; tunnel addresses and ports are computed from it."""
    upstream: Name
    downstream: Name
    tunnels: Annotated[int, Field(ge=1, le=4)]
    """K: parallel tunnels per pair of nodes, where one core or one flow of 5 Gbit/s is not enough."""


class ChainPlan(Frozen):
    """A chain as it is to be; chains are recognised at the next hop by their number."""

    id: Name
    vpn: Name
    number: Annotated[int, Field(ge=1, le=250)]
    """Stable within the VPN; the chain's part of a packet mark and its routing table."""
    tiers: tuple[Name, ...]
    security_level: Annotated[int, Field(ge=0, le=9)]
    latency_us: Annotated[int, Field(ge=0)]
    """p95, one way, at the planned load."""
    loss_ppm: Annotated[int, Field(ge=0)]
    outage_s: Annotated[int, Field(ge=0)]


class ApplicationRoute(Frozen):
    """An application's chain and class."""

    application: Name
    vpn: Name
    chain: Name
    traffic_class: Name
    number: Annotated[int, Field(ge=1, le=65535)]
    """Stable within the VPN; the application's part of a packet mark."""
    destinations: tuple[IPv4Network, ...]
    ports: tuple[PortRange, ...]
    way_in: WayIn


class ClassPlan(Frozen):
    """A class of traffic at the entry."""

    id: Name
    number: Annotated[int, Field(ge=1, le=15)]
    listener_port: int
    dscp: int
    share_pct: int


class VpnPlan(Frozen):
    """A VPN as it is to be."""

    id: Name
    client_cidr: IPv4Network
    host: HostName | None
    ingress: Name
    peers: Digest | None
    """The peer table in the store; none: no clients yet."""
    classes: tuple[Name, ...]
    """Classes that its applications use."""


class Subnet(Frozen):
    """One subnet: a zone and a kind."""

    name: Text
    zone: Zone
    kind: SubnetKind
    cidr: IPv4Network


class VpcRoute(Frozen):
    """A route from workloads of the VPC to one node's interface."""

    id: Text
    route_table: Text
    destination: IPv4Network
    slot: SlotId
    generation: int


class NetworkPlan(Frozen):
    """The stack's network."""

    vpc_cidr: IPv4Network
    overlay_cidr: IPv4Network
    vpc_id: Text | None
    internet_gateway_id: Text | None
    zones: tuple[Zone, ...]
    subnets: tuple[Subnet, ...]
    vpc_routes: tuple[VpcRoute, ...] = ()
    adopted: Adopted | None = Field(default=None, exclude_if=lambda value: value is None)
    """Resources of an existing VPC that are declared as they stand."""


class OverlayChoice(Frozen):
    """The chains of which the routing service may choose one for an application's flows."""

    application: Name
    chains: tuple[Name, ...]
    """Those with the security level that its profile asks for."""


class OverlayPlan(Frozen):
    """Whose overlay ingress nodes take, and what it may choose."""

    signers: Annotated[tuple[Ed25519, ...], Field(min_length=1, max_length=8)]
    """Public keys; none of them signs manifests."""
    choices: tuple[OverlayChoice, ...]


class Desired(Frozen):
    """Everything that the Pulumi program declares and `render` renders."""

    stack: Name
    region: Region
    dns_zone: HostName | None
    network: NetworkPlan
    classes: tuple[ClassPlan, ...]
    vpns: tuple[VpnPlan, ...]
    tiers: tuple[TierPlan, ...]
    adjacencies: tuple[Adjacency, ...]
    chains: tuple[ChainPlan, ...]
    applications: tuple[ApplicationRoute, ...]
    overlay: OverlayPlan | None = Field(default=None, exclude_if=lambda value: value is None)
    """None: nodes take no overlay."""

    def tier(self, tier_id: str) -> TierPlan:
        """Return the tier called `tier_id`; KeyError when there is none."""
        for tier in self.tiers:
            if tier.id == tier_id:
                return tier
        raise KeyError(tier_id)


class ConfigDigest(Frozen):
    """The digest of one rendered configuration object, by its key in the configuration bucket."""

    key: Text
    digest: Digest


class TierEvidence(Frozen):
    """Why a tier is as it is: the review report's row."""

    tier: Name
    load: Load
    nodes_before: int
    nodes_after: int
    capacity_mbps: Mbps
    """Of all active nodes, at full utilisation."""
    usable_mbps: Mbps
    """Held after the worst loss at maximum utilisation."""
    after_zone_loss_mbps: Mbps
    after_node_losses_mbps: Mbps
    zone_loss_survived: bool
    usd_micro_per_hour: MicroUsd
    because: tuple[Because, ...]
    risk: Risk | None = None


class ApplicationEvidence(Frozen):
    """Why an application takes its chain."""

    application: Name
    chain: Name
    moved_from: Name | None
    because: tuple[Because, ...]
    rejected: tuple[Text, ...]
    """Each other chain with the requirement that it failed, or what it would have cost more."""
    violated: tuple[Text, ...] = ()
    """Requirements that are not met, where the profile allows a fallback."""
    profile: Name | None = None
    outage_s: Annotated[int, Field(ge=0)] | None = None
    """The longest outage when a node of the chain fails or hands over."""
    max_outage_s: Annotated[int, Field(ge=0)] | None = None
    """What the profile allows."""


class ChangeKind(StrEnum):
    """What happens to a part of the stack."""

    CREATE = "create"
    ADD_NODE = "add-node"
    REPLACE_NODE = "replace-node"
    DRAIN_NODE = "drain-node"
    UNDRAIN_NODE = "undrain-node"
    REMOVE_NODE = "remove-node"
    MOVE_APPLICATION = "move-application"
    CONFIGURE = "configure"
    REMOVE = "remove"


class Change(Frozen):
    """One change against the previous plan."""

    kind: ChangeKind
    subject: Text
    detail: Text
    additive: bool


class CostLine(Frozen):
    """One part of the hourly cost."""

    item: Text
    before_usd_micro_per_hour: MicroUsd
    after_usd_micro_per_hour: MicroUsd

    @property
    def standing(self) -> bool:
        """Whether it is paid for what stands; else for traffic, which follows the load whatever is planned."""
        return not self.item.startswith("traffic ")


class Cost(Frozen):
    """Hourly cost before and after: compute, addresses, load balancers, bandwidth at the P50 load."""

    prices_as_of: Text
    lines: tuple[CostLine, ...]

    @property
    def before(self) -> int:
        """Micro-USD per hour of the previous plan."""
        return sum(line.before_usd_micro_per_hour for line in self.lines)

    @property
    def after(self) -> int:
        """Micro-USD per hour of this plan."""
        return sum(line.after_usd_micro_per_hour for line in self.lines)

    @property
    def standing_before(self) -> int:
        """Micro-USD per hour of the previous plan's nodes, addresses, balancers and endpoints."""
        return sum(line.before_usd_micro_per_hour for line in self.lines if line.standing)

    @property
    def standing_after(self) -> int:
        """Micro-USD per hour of this plan's nodes, addresses, balancers and endpoints."""
        return sum(line.after_usd_micro_per_hour for line in self.lines if line.standing)


class Decision(StrEnum):
    """What guard says."""

    AUTOMATIC = "automatic"
    """Within the limits that need no person; still recorded by an approval."""
    REVIEW = "review"
    REFUSED = "refused"
    FROZEN = "frozen"
    STALE = "stale"


class LimitHit(Frozen):
    """A limit that was hit and what would satisfy it."""

    limit: Text
    have: Text
    allowed: Text
    remedy: Text

    @property
    def said(self) -> str:
        """One line for people, with where more is said of the limit."""
        return f"{self.limit}: have {self.have}, allowed {self.allowed}; {self.remedy} ({link(self.limit)})"


class Verdict(Frozen):
    """Guard's verdict on a plan."""

    decision: Decision
    hits: tuple[LimitHit, ...] = ()
    reasons: tuple[Text, ...] = ()
    """Why a person is asked, where one is."""

    @property
    def passed(self) -> bool:
        """True when the plan may be applied, once approved."""
        return self.decision in (Decision.AUTOMATIC, Decision.REVIEW)


class PlannedEvent(Frozen):
    """A dated cause of traffic from the fleet file."""

    id: Name
    kind: Name
    start: UtcTime
    end: UtcTime
    vpn: Name | None = None
    application: Name | None = None


class Content(Frozen):
    """What a plan is judged by, and approved with: rules, prices and versions, not what it decided from."""

    qos: Digest
    security: Digest
    limits: Digest
    catalog: Digest
    guardrails: Digest | None = None
    """Of the policy pack's files; none: planned without one."""
    ecm_version: Text
    libraries: Text = ""
    """Versions of what declares resources."""

    def differences(self, now: Content) -> tuple[str, ...]:
        """Return what stands differently in `now`, each as "what: value then, value now"."""
        return tuple(
            f"{what}: {_shown(then)} then, {_shown(stands)} now"
            for name, what in _JUDGED.items()
            if (then := getattr(self, name)) != (stands := getattr(now, name))
        )


_JUDGED: Final = {
    "qos": "policies/qos.yaml",
    "security": "policies/security.yaml",
    "limits": "policies/limits.yaml",
    "catalog": "policies/catalog.yaml",
    "guardrails": "policies/guardrails",
    "ecm_version": "the version of ECM",
    "libraries": "the versions of what declares resources",
}


def _shown(value: str | None) -> str:
    if not value:
        return "none"
    return value[:SHOWN] if value.startswith("sha256:") else value


class Inputs(Content):
    """Digests of everything a plan was computed from."""

    fleet: Digest
    telemetry: Digest
    observed: Digest | None


class Plan(Frozen):
    """ECM's decision at one moment: content-addressed, bound to what it replaces."""

    format: Literal[1] = 1
    stack: Name
    serial: Annotated[int, Field(ge=1)]
    basis: Digest | None
    """Digest of the plan that is applied and that this one replaces; none: nothing is applied."""
    as_of: UtcTime
    expires_at: UtcTime
    inputs: Inputs
    desired: Desired
    configs: tuple[ConfigDigest, ...]
    forecasts: tuple[ApplicationForecast, ...]
    vpn_forecasts: tuple[VpnForecast, ...] = ()
    """Sorted by VPN: what its applications ask for together."""
    grid: Grid | None = None
    """The steps of every forecast."""
    events: tuple[PlannedEvent, ...] = ()
    """Those of the fleet file that the forecast's steps meet, sorted by start and id."""
    max_utilisation_permille: Permille
    tiers: tuple[TierEvidence, ...]
    applications: tuple[ApplicationEvidence, ...]
    changes: tuple[Change, ...]
    cost: Cost
    verdict: Verdict

    @property
    def digest(self) -> str:
        """The plan's name in the store and in the stack's configuration."""
        return digest(self)
