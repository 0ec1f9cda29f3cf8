"""A tier: security group with its rules, role, and the nodes that stand in its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, iam, vpc

from ecm.infra.access import TierGrant, trust
from ecm.infra.config import Config
from ecm.infra.endpoints import HTTPS
from ecm.infra.firewall import Firewall, Other, Ports
from ecm.infra.naming import Labels, node_key, node_name
from ecm.infra.network import INTERNET, Network
from ecm.infra.node import Ground, NodeSpec, VpneNode
from ecm.model.contract import HEALTH_PORT, tunnel_ports
from ecm.model.plan import Adjacency, Node, Slot, TierPlan
from ecm.model.rendered import NodeConfig


@dataclass(frozen=True)
class TierSpec:
    """What a tier is made from."""

    labels: Labels
    plan: TierPlan
    network: Network
    config: Config
    nodes: Mapping[tuple[str, int], NodeConfig]
    """Rendered configuration by slot and generation."""
    neighbours: tuple[str, ...]
    """Tiers before and after this one in any chain."""
    listener_ports: tuple[int, ...]
    """Ports of the entry; ingress tiers only."""
    siblings: bool
    """Whether the nodes ask each other for their health; ingress tiers only."""
    health_cidrs: tuple[str, ...]
    """Subnets of the load balancer; ingress tiers only."""
    workloads: tuple[tuple[str, Ports], ...]
    """Addresses of workloads that route to the tier's nodes, and the ports that they may use there."""


class Tier(pulumi.ComponentResource):
    """`ecm:aws:Tier`: n interchangeable nodes with one role and one security group."""

    def __init__(self, name: str, spec: TierSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:Tier", name, None, opts)
        self._name = name
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        self.security_group = ec2.SecurityGroup(
            name,
            vpc_id=spec.network.vpc_id,
            description=f"Nodes of the tier {name}",
            tags=self._tags(name),
            opts=self._opts,
        )
        self.firewall = Firewall(spec.labels, "tier", self.security_group.id, self._opts)
        ground = self._ground()
        self.nodes = {
            node_key(slot, node): self._node(ground, slot, node) for slot in spec.plan.slots for node in slot.nodes
        }
        self.register_outputs({"securityGroupId": self.security_group.id})

    def join(self, downstream: Tier, adjacency: Adjacency) -> None:
        """Let the nodes of this tier and of `downstream` reach each other's tunnels, and nothing else."""
        ports = Ports.udp(*tunnel_ports(adjacency.number))
        for here, side, there in ((self, "downstream", downstream), (downstream, "upstream", self)):
            other, name = Other(group=there.security_group.id), f"{here._name}/{side}/{there._name}"
            here.firewall.accept(name, ports, other, f"WireGuard from {there._name}")
            here.firewall.reach(name, ports, other, f"WireGuard to {there._name}")

    def _tags(self, name: str) -> dict[str, str]:
        return self._spec.labels.tags("tier", name)

    def _ground(self) -> Ground:
        role, policy, profile = self._identity()
        rules = self._boot_rules()
        self._traffic_rules()
        plan, config = self._spec.plan, self._spec.config
        return Ground(
            labels=self._spec.labels,
            tier=self._name,
            role=plan.role,
            tenancy=plan.tenancy,
            public_address=plan.exits,
            security_group_id=self.security_group.id,
            role_name=role.name,
            profile_name=profile.name,
            bucket=config.bucket.bucket,
            bucket_arn=config.bucket.arn,
            signers=config.signers,
            ready=[*self._spec.network.ready, policy, *rules],
        )

    def _identity(self) -> tuple[iam.Role, iam.RolePolicy, iam.InstanceProfile]:
        name, plan, config = self._name, self._spec.plan, self._spec.config
        role = iam.Role(
            name,
            assume_role_policy=trust("ec2.amazonaws.com"),
            description=f"Nodes of the tier {name}",
            tags=self._tags(name),
            opts=self._opts,
        )
        grant = TierGrant(
            tier=name,
            vpn=plan.vpn,
            neighbours=self._spec.neighbours,
            bucket_arn=config.bucket.arn,
            log_group_arn=config.log_group.arn,
            secret_arns=config.secrets_of(name),
        )
        policy = iam.RolePolicy(f"tier-{name}", role=role.name, policy=grant.policy(), opts=self._opts)
        profile = iam.InstanceProfile(name, role=role.name, tags=self._tags(name), opts=self._opts)
        return role, policy, profile

    def _boot_rules(self) -> list[vpc.SecurityGroupEgressRule]:
        """AWS's own services, through the endpoints."""
        endpoints = self._spec.network.endpoints
        https = Ports.tcp(HTTPS)
        return [
            self.firewall.reach(
                f"{self._name}/endpoints", https, Other(group=endpoints.security_group.id), "AWS services"
            ),
            self.firewall.reach(f"{self._name}/s3", https, Other(prefix_list=endpoints.s3.prefix_list_id), "Objects"),
        ]

    def _traffic_rules(self) -> None:
        name, spec = self._name, self._spec
        for port in spec.listener_ports:
            self.firewall.accept(f"{name}/clients/{port}", Ports.udp(port), Other(cidr=INTERNET), "Tunnels of clients")
        for cidr in spec.health_cidrs:
            self.firewall.accept(f"{name}/health/{cidr}", Ports.tcp(HEALTH_PORT), Other(cidr=cidr), "Health checks")
        if spec.siblings:
            own = Other(group=self.security_group.id)
            self.firewall.accept(f"{name}/siblings", Ports.tcp(HEALTH_PORT), own, "Health of the other nodes")
            self.firewall.reach(f"{name}/siblings", Ports.tcp(HEALTH_PORT), own, "Health of the other nodes")
        for cidr, ports in spec.workloads:
            self.firewall.accept(
                f"{name}/workloads/{cidr}/{ports}", ports, Other(cidr=cidr), "Workloads that route here"
            )
        destinations = spec.network.prefix_lists.get(spec.plan.vpn)
        if spec.plan.exits and destinations is not None:
            targets = Other(prefix_list=destinations.id)
            self.firewall.reach(f"{name}/applications", Ports(), targets, "Destinations of applications")

    def _node(self, ground: Ground, slot: Slot, node: Node) -> VpneNode:
        rendered = self._spec.nodes[slot.id, node.generation]
        spec = NodeSpec(
            ground=ground,
            slot=slot,
            node=node,
            subnet_id=self._spec.network.subnet(slot.zone, self._spec.plan.subnets).id,
            user_data=rendered.user_data,
            config=self._spec.config.objects[rendered.base.key],
        )
        return VpneNode(node_name(slot, node), spec, self._opts)
