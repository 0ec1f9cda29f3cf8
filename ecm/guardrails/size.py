"""How much there is: zones and nodes of each tier, the step from what stands, what it costs and takes of quotas."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from ecm.guardrails.rule import (
    ADDRESS,
    ENDPOINT,
    INSTANCE,
    INTERFACE,
    LOAD_BALANCER,
    ROUTE,
    Bounds,
    Declared,
    Finding,
    Resource,
    StackRule,
)
from ecm.model.base import MICRO
from ecm.model.catalog import Catalog

_LOCAL_ROUTES: Final = 2
"""Routes of every table that nobody declares: local, and the storage gateway's prefix list."""


def _slots(declared: Declared) -> dict[str, set[str]]:
    """Slots of each tier that has instances; two generations in one slot count once."""
    found: dict[str, set[str]] = defaultdict(set)
    for resource in declared:
        if resource.type == INSTANCE and resource.slot:
            found[resource.tier].add(resource.slot)
    return found


def _zones(declared: Declared, bounds: Bounds) -> Iterator[Finding]:
    least = bounds.limits.guardrails.min_zones_per_tier
    for tier, slots in sorted(_slots(declared).items()):
        zones = sorted({slot.split("/")[1] for slot in slots})
        if len(zones) < least:
            yield Finding(
                f"tier {tier} stands in {', '.join(zones)} alone, and would be lost with it; at least {least} zones "
                "(guardrails.min_zones_per_tier). Add zones to the fleet file, or plan again when EC2 has capacity."
            )


def _floor(declared: Declared, bounds: Bounds) -> Iterator[Finding]:
    least = bounds.limits.min_healthy_nodes
    for tier, slots in sorted(_slots(declared).items()):
        if len(slots) < least:
            yield Finding(
                f"tier {tier} would have {len(slots)} nodes, at least {least} (min_healthy_nodes). Plan again."
            )


def _step(declared: Declared, bounds: Bounds) -> Iterator[Finding]:
    """A new stack has nothing to compare with, as in guard; nor has a run that was not told what stands."""
    if not bounds.standing:
        return
    wanted = {slot for slots in _slots(declared).values() for slot in slots}
    limits = bounds.limits
    for verb, count, most, name in (
        ("added", len(wanted - bounds.standing), limits.max_nodes_added, "max_nodes_added"),
        ("removed", len(bounds.standing - wanted), limits.max_nodes_removed, "max_nodes_removed"),
    ):
        if count > most:
            yield Finding(f"{count} nodes would be {verb} in one step, at most {most} ({name}). Go in smaller steps.")


def _budget(declared: Declared, bounds: Bounds) -> Iterator[Finding]:
    """Standing charges only: traffic has no price until it flows, so guard's own sum is never below this one."""
    catalog = bounds.catalog
    unknown = sorted({str(r.props["instanceType"]) for r in declared if r.type == INSTANCE} - _shapes(catalog))
    for shape in unknown:
        yield Finding(f"instances of type {shape}, which policies/catalog.yaml does not price. Add it, or use another.")
    total = sum(_hourly(resource, catalog) for resource in declared)
    budget = bounds.limits.budget_usd_per_hour
    if total > budget:
        yield Finding(
            f"standing charges of {total / MICRO:.2f} USD per hour, at most {budget / MICRO:.2f} "
            "(budget_usd_per_hour). Plan with "
            "fewer or cheaper nodes, or raise the budget."
        )


def _shapes(catalog: Catalog) -> set[str]:
    return {shape.name for shape in catalog.shapes}


def _hourly(resource: Resource, catalog: Catalog) -> int:
    """Return the standing charge of a resource, micro-USD per hour."""
    if resource.type == INSTANCE and resource.props["instanceType"] in _shapes(catalog):
        shape = catalog.shape(str(resource.props["instanceType"]))
        if resource.props.get("tenancy") == "dedicated" and shape.dedicated_usd_per_hour is not None:
            return shape.dedicated_usd_per_hour
        return shape.usd_per_hour
    if resource.type == LOAD_BALANCER:
        return catalog.bandwidth.nlb_usd_per_hour
    if resource.type == ADDRESS:
        return catalog.bandwidth.public_ipv4_usd_per_hour
    return catalog.bandwidth.interface_endpoint_usd_per_hour * _endpoint_interfaces(resource)


def _endpoint_interfaces(resource: Resource) -> int:
    """Network interfaces of an interface endpoint: one per subnet."""
    if resource.type != ENDPOINT or resource.props.get("vpcEndpointType") != "Interface":
        return 0
    return len(resource.refers.get("subnetIds") or ()) or len(resource.props.get("subnetIds") or ())


def _quotas(declared: Declared, bounds: Bounds) -> Iterator[Finding]:
    catalog, quotas = bounds.catalog, bounds.limits.quotas
    kinds = Counter(resource.type for resource in declared)
    types = [str(r.props["instanceType"]) for r in declared if r.type == INSTANCE]
    balancers = [len(r.props.get("subnetMappings") or ()) for r in declared if r.type == LOAD_BALANCER]
    tables = Counter(urn for r in declared if r.type == ROUTE for urn in r.refers.get("routeTableId", ()) or (r.name,))
    for name, have, most in (
        ("vcpus", sum(catalog.shape(t).vcpu for t in types if t in _shapes(catalog)), quotas.vcpus),
        (
            "network_interfaces",
            kinds[INTERFACE] + sum(balancers) + sum(_endpoint_interfaces(r) for r in declared),
            quotas.network_interfaces,
        ),
        ("elastic_ips", kinds[ADDRESS], quotas.elastic_ips),
        ("load_balancers", kinds[LOAD_BALANCER], quotas.load_balancers),
        ("routes_per_table", _LOCAL_ROUTES + max(tables.values(), default=0), quotas.routes_per_table),
    ):
        if have > most:
            yield Finding(f"{have} of the account's {most} (quotas.{name}). Ask AWS for more, or plan with less.")


STACK_RULES: Final = (
    StackRule("zones-per-tier", "Every tier stands in enough zones.", _zones),
    StackRule("healthy-floor", "No tier has fewer nodes than the floor.", _floor),
    StackRule("scale-step", "No step adds or removes more nodes than the limit.", _step),
    StackRule("hourly-budget", "Standing charges stay within the budget.", _budget),
    StackRule("quotas", "The account's quotas suffice.", _quotas),
)
