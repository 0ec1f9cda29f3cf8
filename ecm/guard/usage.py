"""What a desired state takes of the account's quotas."""

from __future__ import annotations

from collections import Counter

from ecm.model.base import Frozen
from ecm.model.catalog import Catalog
from ecm.model.contract import INTERFACE_SERVICES
from ecm.model.fleet import Role
from ecm.model.plan import Desired

ROUTES_OF_THE_VPC = 3
"""Local, internet and the storage gateway's prefix list."""


class Usage(Frozen):
    """Counts against quotas."""

    vcpus: int
    network_interfaces: int
    elastic_ips: int
    load_balancers: int
    routes_per_table: int


def usage(desired: Desired, catalog: Catalog) -> Usage:
    """Return what `desired` takes, nodes that drain included."""
    nodes = [(tier, node) for tier in desired.tiers for slot in tier.slots for node in slot.nodes]
    entries = sum(1 for tier in desired.tiers if tier.role is Role.INGRESS)
    zones = len(desired.network.zones)
    routes = Counter(route.route_table for route in desired.network.vpc_routes)
    return Usage(
        vcpus=sum(catalog.shape(node.shape).vcpu for _, node in nodes),
        network_interfaces=len(nodes) + (entries + len(INTERFACE_SERVICES)) * zones,
        elastic_ips=sum(1 for tier, _ in nodes if tier.exits) + entries * zones,
        load_balancers=entries,
        routes_per_table=ROUTES_OF_THE_VPC + max(routes.values(), default=0),
    )
