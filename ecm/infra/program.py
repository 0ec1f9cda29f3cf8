"""From a plan and its rendered configuration to resources and stack outputs: it follows the plan, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import pulumi
from pulumi_aws import ec2

from ecm.infra.adopted import adopt
from ecm.infra.chain import Chain, ChainSpec
from ecm.infra.config import Config, ConfigSpec, Signed
from ecm.infra.dashboard import declare_dashboard
from ecm.infra.entry import Entry, EntrySpec
from ecm.infra.firewall import EVERY_PORT_BUT_SSH, Ports
from ecm.infra.naming import Labels, node_key, node_name
from ecm.infra.network import Network, NetworkSpec
from ecm.infra.tier import Tier, TierSpec
from ecm.model.fleet import Role, WayIn
from ecm.model.plan import ChainPlan, Desired, NetworkPlan, NodeState, Plan, SubnetKind, TierPlan, VpcRoute, VpnPlan
from ecm.model.rendered import Rendered


@dataclass(frozen=True)
class Declared:
    """Every component of the stack, by the id of what it stands for."""

    network: Network
    config: Config
    tiers: dict[str, Tier]
    chains: dict[str, Chain]
    entries: dict[str, Entry]


def declare(plan: Plan, rendered: Rendered, signed: Signed) -> None:
    """Declare every resource of `plan` and export the stack's outputs.

    Call it with a plan and configuration that `check_gate` and `check_rendered` have let through.
    """
    export(plan, _declare(plan.desired, rendered, signed))


def _declare(desired: Desired, rendered: Rendered, signed: Signed) -> Declared:
    labels = Labels(desired.stack)
    adopt(desired.network)
    network = Network("network", _network_spec(labels, desired))
    config = Config("config", _config_spec(labels, desired, rendered, signed))
    tiers = {t.id: Tier(t.id, _tier_spec(t, desired, rendered, network, config)) for t in desired.tiers}
    for adjacency in desired.adjacencies:
        tiers[adjacency.upstream].join(tiers[adjacency.downstream], adjacency)
    chains = {c.id: Chain(c.id, _chain_spec(c, desired, tiers)) for c in desired.chains}
    entries = {v.id: Entry(v.id, _entry_spec(v, desired, network, tiers, chains)) for v in desired.vpns}
    declare_dashboard(desired.stack, desired.region, entries, chains)
    return Declared(network, config, tiers, chains, entries)


def _network_spec(labels: Labels, desired: Desired) -> NetworkSpec:
    destinations: dict[str, tuple[IPv4Network, ...]] = {}
    for application in desired.applications:
        destinations[application.vpn] = (*destinations.get(application.vpn, ()), *application.destinations)
    return NetworkSpec(labels, desired.region, desired.network, destinations, desired.dns_zone)


def _config_spec(labels: Labels, desired: Desired, rendered: Rendered, signed: Signed) -> ConfigSpec:
    keyed = {tier.id for tier in desired.tiers if tier.pre_shared_key}
    pairs = ((a.upstream, a.downstream) for a in desired.adjacencies)
    return ConfigSpec(
        labels=labels,
        objects=rendered.objects,
        signed=signed,
        edge_tiers=tuple(tier.id for tier in desired.tiers if tier.role is Role.INGRESS),
        pairs=tuple(sorted({pair for pair in pairs if not keyed.isdisjoint(pair)})),
    )


def _tier_spec(tier: TierPlan, desired: Desired, rendered: Rendered, network: Network, config: Config) -> TierSpec:
    entries = [vpn for vpn in desired.vpns if vpn.ingress == tier.id]
    ports = {c.listener_port for vpn in entries for c in desired.classes if c.id in vpn.classes}
    health = [s for s in desired.network.subnets if s.kind is SubnetKind.ENTRY] if entries else []
    return TierSpec(
        labels=Labels(desired.stack),
        plan=tier,
        network=network,
        config=config,
        nodes={(n.slot, n.generation): n for n in rendered.nodes},
        neighbours=_neighbours(tier.id, desired),
        listener_ports=tuple(sorted(ports)),
        siblings=bool(entries),
        health_cidrs=tuple(sorted(str(s.cidr) for s in health)),
        workloads=_workloads(tier, desired),
    )


def _neighbours(tier: str, desired: Desired) -> tuple[str, ...]:
    pairs = [(a.upstream, a.downstream) for a in desired.adjacencies]
    return tuple(sorted({other for pair in pairs if tier in pair for other in pair if other != tier}))


def _workloads(tier: TierPlan, desired: Desired) -> tuple[tuple[str, Ports], ...]:
    """Who may send what to the nodes of `tier` over the VPC's routes."""
    slots = {slot.id for slot in tier.slots}
    if not any(route.slot in slots for route in desired.network.vpc_routes):
        return ()
    chains = {chain.id for chain in desired.chains if tier.id in chain.tiers}
    routed = [a for a in desired.applications if a.way_in is WayIn.VPC_ROUTE and a.chain in chains]
    ports = {Ports.of(text) for application in routed for text in application.ports}
    if any(not application.ports for application in routed):
        ports |= set(EVERY_PORT_BUT_SSH)
    return tuple((cidr, p) for cidr in _vpc_cidrs(desired.network) for p in sorted(ports, key=str))


def _vpc_cidrs(network: NetworkPlan) -> tuple[str, ...]:
    """Every address range of the VPC.

    Of an existing VPC only the part that ECM may use is in the plan, and the workloads are not in it: AWS is asked.
    """
    if network.vpc_id is None:
        return (str(network.vpc_cidr),)
    vpc = ec2.get_vpc(id=network.vpc_id)
    return tuple(sorted(a.cidr_block for a in vpc.cidr_block_associations if a.state == "associated"))


def _chain_spec(chain: ChainPlan, desired: Desired, tiers: dict[str, Tier]) -> ChainSpec:
    routes = tuple(r for r in desired.network.vpc_routes if _owner(r, desired.chains) == chain.id)
    return ChainSpec(
        labels=Labels(desired.stack),
        region=desired.region,
        plan=chain,
        routes=routes,
        interfaces={r.id: tiers[_tier_of(r)].nodes[f"{r.slot}#{r.generation}"].interface.id for r in routes},
    )


def _tier_of(route: VpcRoute) -> str:
    return route.slot.split("/")[0]


def _owner(route: VpcRoute, chains: Iterable[ChainPlan]) -> str:
    """The first chain that has the route's tier; a change of owner moves no URN, which names the parent's type only."""
    return min(chain.id for chain in chains if _tier_of(route) in chain.tiers)


def _entry_spec(
    vpn: VpnPlan, desired: Desired, network: Network, tiers: dict[str, Tier], chains: dict[str, Chain]
) -> EntrySpec:
    nodes = [(slot, node) for slot in desired.tier(vpn.ingress).slots for node in slot.nodes]
    instances = tiers[vpn.ingress].nodes
    return EntrySpec(
        labels=Labels(desired.stack),
        plan=vpn,
        classes=tuple(c for c in desired.classes if c.id in vpn.classes),
        network=network,
        targets={node_name(s, n): instances[node_key(s, n)].instance.id for s, n in nodes},
        draining=sum(node.state is NodeState.DRAINING for _, node in nodes),
        health_checks=[chains[c.id].health_check.id for c in desired.chains if c.vpn == vpn.id],
    )


def export(plan: Plan, declared: Declared) -> None:
    """Export what `observe` and the next run's gate read."""
    routes = declared.network.routes
    for chain in declared.chains.values():
        routes = routes | chain.routes
    outputs: dict[str, Any] = {
        "planDigest": plan.digest,
        "planSerial": plan.serial,
        "stack": plan.stack,
        "region": plan.desired.region,
        "vpcId": declared.network.vpc_id,
        "configBucket": declared.config.bucket.bucket,
        "nodes": _nodes(plan.desired, declared),
        "targetGroups": {
            f"{vpn.ingress}/{traffic}": group.arn
            for vpn in plan.desired.vpns
            for traffic, group in declared.entries[vpn.id].target_groups.items()
        },
        "routes": {
            name: {"routeTableId": r.route_table_id, "destination": r.destination, "target": r.target}
            for name, r in routes.items()
        },
        "records": _records(plan.desired, declared),
        "entries": {
            vpn: {"dnsName": e.load_balancer.dns_name, "addresses": [a.public_ip for a in e.addresses.values()]}
            for vpn, e in declared.entries.items()
        },
        "configs": {key: {"versionId": o.version_id} for key, o in declared.config.objects.items()},
    }
    for name, value in outputs.items():
        pulumi.export(name, value)


def _nodes(desired: Desired, declared: Declared) -> dict[str, dict[str, Any]]:
    return {
        node_key(slot, node): {
            "instanceId": declared.tiers[tier.id].nodes[node_key(slot, node)].instance.id,
            "interfaceId": declared.tiers[tier.id].nodes[node_key(slot, node)].interface.id,
            "privateIp": str(node.private_ip),
        }
        for tier in desired.tiers
        for slot in tier.slots
        for node in slot.nodes
    }


def _records(desired: Desired, declared: Declared) -> dict[str, dict[str, Any]]:
    return {
        str(vpn.host): {"zoneId": record.zone_id, "type": record.type}
        for vpn in desired.vpns
        if (record := declared.entries[vpn.id].record) is not None
    }
