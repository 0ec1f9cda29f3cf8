"""Hourly cost of a desired state: compute, addresses, load balancers, endpoints and bandwidth at the expected load."""

from __future__ import annotations

from dataclasses import dataclass

from ecm.model.catalog import Catalog
from ecm.model.contract import INTERFACE_SERVICES
from ecm.model.fleet import Role, Tenancy
from ecm.model.forecast import ApplicationForecast
from ecm.model.plan import Cost, CostLine, Desired, TierPlan

GB_PER_HOUR_PER_MBPS_PERMILLE = 450
"""1 Mbit/s for one hour is 10^6 x 3600 / 8 bytes = 0.45 GB."""


@dataclass(frozen=True)
class Prices:
    """What cost depends on besides the desired state."""

    catalog: Catalog
    forecasts: dict[str, ApplicationForecast]
    """By application; bandwidth is priced at the P50 of the window's maximum."""


def node_prices(tier: TierPlan, catalog: Catalog) -> int:
    """Return micro-USD per hour of every node of `tier`, those that drain included."""
    total = 0
    for slot in tier.slots:
        for node in slot.nodes:
            shape = catalog.shape(node.shape)
            dedicated = shape.dedicated_usd_per_hour if tier.tenancy is Tenancy.DEDICATED else None
            total += dedicated or shape.usd_per_hour
    return total


def traffic_price(mbps: int, *, usd_micro_per_gb: int) -> int:
    """Return micro-USD per hour of moving `mbps` Mbit/s."""
    return mbps * GB_PER_HOUR_PER_MBPS_PERMILLE * usd_micro_per_gb // 1000


def cost(desired: Desired, previous: Cost | None, prices: Prices) -> Cost:
    """Return the cost of `desired`, line by line beside what the previous plan said it would cost."""
    after = _lines(desired, prices)
    before = {line.item: line.after_usd_micro_per_hour for line in previous.lines} if previous else {}
    return Cost(
        prices_as_of=prices.catalog.as_of.isoformat(),
        lines=tuple(
            CostLine(
                item=item,
                before_usd_micro_per_hour=before.get(item, 0),
                after_usd_micro_per_hour=after.get(item, 0),
            )
            for item in sorted({*before, *after})
        ),
    )


def _lines(desired: Desired, prices: Prices) -> dict[str, int]:
    price = prices.catalog.bandwidth
    zones = len(desired.network.zones)
    entries = sum(1 for t in desired.tiers if t.role is Role.INGRESS)
    exit_nodes = sum(len(s.nodes) for t in desired.tiers if t.exits for s in t.slots)
    lines = {f"compute {tier.id}": node_prices(tier, prices.catalog) for tier in desired.tiers}
    lines["public addresses"] = (exit_nodes + entries * zones) * price.public_ipv4_usd_per_hour
    lines["load balancers"] = entries * price.nlb_usd_per_hour
    lines["interface endpoints"] = len(INTERFACE_SERVICES) * zones * price.interface_endpoint_usd_per_hour
    hops = {c.id: len(c.tiers) - 1 for c in desired.chains}
    total = crossing = 0
    for route in desired.applications:
        mbps = prices.forecasts[route.application].window_p50_mbps
        total += mbps
        crossing += mbps * hops[route.chain]
    traffic = prices.catalog.traffic
    lines["traffic entry"] = traffic_price(total, usd_micro_per_gb=price.nlcu_usd_per_hour)
    lines["traffic between zones"] = (
        traffic_price(crossing, usd_micro_per_gb=price.cross_zone_usd_per_gb) * traffic.cross_zone_pct // 100
    )
    lines["traffic to the internet"] = (
        traffic_price(total, usd_micro_per_gb=price.internet_usd_per_gb) * traffic.internet_pct // 100
    )
    return lines
