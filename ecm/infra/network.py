"""The stack's network: a VPC of its own or an existing one, subnets, routes, private endpoints, flow logs, DNS zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

import pulumi
from pulumi_aws import ec2, route53

from ecm.infra.endpoints import Endpoints, declare_endpoints
from ecm.infra.flowlogs import declare_flow_logs
from ecm.infra.naming import Labels
from ecm.model.plan import NetworkPlan, Subnet, SubnetKind

INTERNET = "0.0.0.0/0"
PREFIX_LIST_STEP = 10
"""A prefix list's size is a multiple of this, so that most new destinations change its entries only, not its size."""


@dataclass(frozen=True)
class NetworkSpec:
    """What the network is made from."""

    labels: Labels
    region: str
    plan: NetworkPlan
    destinations: Mapping[str, tuple[IPv4Network, ...]]
    """Destinations of each VPN's applications."""
    dns_zone: str | None


@dataclass(frozen=True)
class RouteTarget:
    """A route as it is exported."""

    route_table_id: pulumi.Input[str]
    destination: str
    target: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """`ecm:aws:Network`: everything that nodes and entries stand on."""

    def __init__(self, name: str, spec: NetworkSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:Network", name, None, opts)
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        self.vpc_id, self.gateway_id = self._vpc()
        self.subnets = {s.name: self._subnet(s) for s in spec.plan.subnets}
        self.route_tables = self._route_tables()
        self.internet_route = self._internet_route()
        associations = [self._association(s) for s in spec.plan.subnets]
        self.endpoints = self._endpoints()
        self._flow_logs()
        self.prefix_lists = {vpn: self._prefix_list(vpn) for vpn in sorted(spec.destinations)}
        self.zone = self._zone()
        self.ready: list[pulumi.Resource] = [self.internet_route, *associations, *self.endpoints.resources]
        """What must be there before anything boots in a subnet or is reached from the internet."""
        self.register_outputs({"vpcId": self.vpc_id})

    def subnet(self, zone: str, kind: SubnetKind) -> ec2.Subnet:
        """Return the subnet of `zone` and `kind`; KeyError when the plan has none."""
        for planned in self._spec.plan.subnets:
            if planned.zone == zone and planned.kind is kind:
                return self.subnets[planned.name]
        raise KeyError(f"{kind.value} subnet in {zone}")

    @property
    def entry_subnets(self) -> list[tuple[str, ec2.Subnet]]:
        """Zones, sorted, each with its subnet for load balancers and endpoints."""
        planned = sorted((s.zone, s.name) for s in self._spec.plan.subnets if s.kind is SubnetKind.ENTRY)
        return [(zone, self.subnets[name]) for zone, name in planned]

    @property
    def routes(self) -> dict[str, RouteTarget]:
        """Routes of the network itself, by logical name."""
        table = self.route_tables["public"]
        return {"internet": RouteTarget(table.id, INTERNET, self.gateway_id)}

    def _tags(self, name: str) -> dict[str, str]:
        return self._spec.labels.tags("network", name)

    def _vpc(self) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        plan = self._spec.plan
        if plan.vpc_id is not None and plan.internet_gateway_id is not None:
            return pulumi.Output.from_input(plan.vpc_id), pulumi.Output.from_input(plan.internet_gateway_id)
        vpc = ec2.Vpc(
            "vpc",
            cidr_block=str(plan.vpc_cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # private names of the interface endpoints need both
            tags=self._tags("vpc"),
            opts=self._opts,
        )
        gateway = ec2.InternetGateway(
            "internet-gateway", vpc_id=vpc.id, tags=self._tags("internet-gateway"), opts=self._opts
        )
        return vpc.id, gateway.id

    def _subnet(self, subnet: Subnet) -> ec2.Subnet:
        return ec2.Subnet(
            subnet.name,
            vpc_id=self.vpc_id,
            cidr_block=str(subnet.cidr),
            availability_zone=subnet.zone,
            map_public_ip_on_launch=False,
            tags=self._tags(subnet.name),
            opts=self._opts,
        )

    def _route_tables(self) -> dict[str, ec2.RouteTable]:
        """One public table, one private table per zone: private subnets reach AWS through endpoints, without NAT."""
        names = ["public", *(f"private-{zone}" for zone in self._spec.plan.zones)]
        return {
            name: ec2.RouteTable(name, vpc_id=self.vpc_id, tags=self._tags(name), opts=self._opts) for name in names
        }

    def _internet_route(self) -> ec2.Route:
        return ec2.Route(
            "internet",
            route_table_id=self.route_tables["public"].id,
            destination_cidr_block=INTERNET,
            gateway_id=self.gateway_id,
            opts=self._opts,
        )

    def _association(self, subnet: Subnet) -> ec2.RouteTableAssociation:
        table = f"private-{subnet.zone}" if subnet.kind is SubnetKind.PRIVATE else "public"
        return ec2.RouteTableAssociation(
            subnet.name,
            subnet_id=self.subnets[subnet.name].id,
            route_table_id=self.route_tables[table].id,
            opts=self._opts,
        )

    def _endpoints(self) -> Endpoints:
        where = Endpoints.Spec(
            labels=self._spec.labels,
            region=self._spec.region,
            vpc_id=self.vpc_id,
            clients=self._spec.plan.vpc_cidr,
            subnet_ids=[subnet.id for _, subnet in self.entry_subnets],
            route_table_ids=[table.id for _, table in sorted(self.route_tables.items())],
        )
        return declare_endpoints(where, self._opts)

    def _flow_logs(self) -> None:
        """Log the whole VPC where it is ours, and only our subnets where it is shared with others."""
        sources: dict[str, pulumi.Input[str]] = {"vpc": self.vpc_id}
        if self._spec.plan.vpc_id is not None:
            sources = {name: subnet.id for name, subnet in self.subnets.items()}
        declare_flow_logs(self._spec.labels, sources, self._opts)

    def _prefix_list(self, vpn: str) -> ec2.ManagedPrefixList:
        networks = sorted(collapse_addresses(self._spec.destinations[vpn]))
        return ec2.ManagedPrefixList(
            f"{vpn}-applications",
            name=f"ecm-{self._spec.labels.stack}-{vpn}-applications",
            address_family="IPv4",
            max_entries=-(-len(networks) // PREFIX_LIST_STEP) * PREFIX_LIST_STEP,
            entries=[
                ec2.ManagedPrefixListEntryArgs(cidr=str(n), description=f"applications of {vpn}") for n in networks
            ],
            tags=self._tags(f"{vpn}-applications"),
            opts=self._opts,
        )

    def _zone(self) -> route53.Zone | None:
        if self._spec.dns_zone is None:
            return None
        return route53.Zone(
            "zone",
            name=self._spec.dns_zone,
            comment=f"Entries of the stack {self._spec.labels.stack}",
            tags=self._tags("zone"),
            opts=self._opts,
        )
