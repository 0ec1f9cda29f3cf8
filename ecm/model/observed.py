"""What runs, as read from the stack's outputs and AWS; the input of `plan` and of `verify`."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated

from pydantic import Field

from ecm.model.base import Digest, Frozen, Name, PublicKey, ShapeName, SlotId, Text, UtcTime, Zone


class InstanceState(StrEnum):
    """EC2's instance states, and `missing` for one that EC2 does not know."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    MISSING = "missing"


class Health(StrEnum):
    """Health of a node; `unknown` and `new` are not unhealthy."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    NEW = "new"


class ObservedNode(Frozen):
    """One generation of a slot as it stands."""

    slot: SlotId
    generation: Annotated[int, Field(ge=1)]
    instance_id: Text
    shape: ShapeName | None
    zone: Zone | None
    state: InstanceState
    health: Health
    unhealthy_since: UtcTime | None = None
    healthy_since: UtcTime | None = None
    """First of the snapshots in a row that found it healthy."""
    instance_check: Health | None = None
    """EC2's own checks; none: the node does not run."""
    target_check: Health | None = None
    """The load balancers' checks of an ingress node; none: no load balancer watches it."""
    launched_at: UtcTime | None = None
    key_published_at: UtcTime | None = None
    """When its agent last published its public key: the node has joined its neighbours; none: it never did."""
    agent_check: Health | None = None
    """What its own agent says, and whether it still says something; none: no agent was ever heard."""
    agent_says: Text = ""
    """What is wrong, in the agent's words."""
    first_healthy_at: UtcTime | None = None
    """When everything was right for the first time, by the agent; none: never, or that is not said."""
    edge_key: PublicKey | None = None
    """Public key that clients know it by, as its agent says."""
    private_ip: Text | None = None
    interface_id: Text | None = None
    """The network interface that routes to the node name."""
    source_dest_check: bool | None = None
    registered: bool | None = None
    """Registered with every target group of its ingress tier; none: the tier has none."""

    @property
    def ready_after_s(self) -> int | None:
        """From the instance's launch until everything was right for the first time, seconds; none: not known."""
        if self.launched_at is None or self.first_healthy_at is None:
            return None
        return int((self.first_healthy_at - self.launched_at).total_seconds())


class ObservedInterface(Frozen):
    """A network interface that bears the tags of a node; an `up` that failed leaves some without one."""

    slot: SlotId
    generation: Annotated[int, Field(ge=1)]
    private_ip: IPv4Address


class ObservedRoute(Frozen):
    """A route of one of the stack's route tables, by its logical name."""

    name: Text
    route_table: Text
    destination: Text
    target: Text | None
    """Gateway, interface or endpoint id; none: the route is gone."""
    state: Text
    """`active` or `blackhole`, or `missing`."""


class ObservedRecord(Frozen):
    """A DNS record of the stack."""

    name: Text
    type: Text
    values: tuple[Text, ...]


class ObservedConfig(Frozen):
    """A configuration object in the bucket."""

    key: Text
    digest: Digest | None
    """Of the object's bytes; none: the object is gone."""


class Unavailable(Frozen):
    """EC2 had no capacity for a shape in a zone, or a quota was reached, until this mark expires."""

    shape: ShapeName
    zone: Zone
    until: UtcTime


class Observed(Frozen):
    """A snapshot of the stack."""

    stack: Name
    taken_at: UtcTime
    applied: Digest | None
    """The stack's own `planDigest` output."""
    nodes: tuple[ObservedNode, ...] = ()
    routes: tuple[ObservedRoute, ...] = ()
    records: tuple[ObservedRecord, ...] = ()
    configs: tuple[ObservedConfig, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()
    interfaces: tuple[ObservedInterface, ...] = ()
    """Every network interface of the stack's nodes, also of those that no plan knows any more, by address."""

    def node(self, slot: str, generation: int) -> ObservedNode | None:
        """Return the node of `slot` with `generation`, or None when it was not seen."""
        for node in self.nodes:
            if node.slot == slot and node.generation == generation:
                return node
        return None
