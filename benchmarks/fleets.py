"""Fleets of any size for the benchmarks: VPNs of two chains that share an ingress tier and an egress tier."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path

import numpy as np

from ecm import intent
from ecm.intent import Intent
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Application, Chain, Fleet, Network, Role, Tier, Vpn

AS_OF = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
INTERVAL_MIN = 60
DAYS = 15
ROOT = Path(__file__).resolve().parent.parent
QUOTAS = dict.fromkeys(("vcpus", "network_interfaces", "elastic_ips", "load_balancers"), 10**6)
"""Quotas that do not bind."""
POOL = IPv4Network("100.64.0.0/11")


def new_project(folder: Path) -> Path:
    """Make a work folder: intent and program are copies, code and templates are this checkout's."""
    folder.mkdir(parents=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("policies", "stacks"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("ecm", "templates", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def intent_of(chains: int) -> Intent:
    """Return the production policies with a generated fleet of `chains` chains (an even number) and raised limits."""
    base = intent.load(ROOT, "prod")
    vpns = chains // 2
    pools = POOL.subnets(new_prefix=22)
    ids = [f"v{n:04d}" for n in range(vpns)]
    fleet = Fleet(
        stack="bench",
        region="us-east-1",
        zones=("us-east-1a", "us-east-1b", "us-east-1c"),
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=tuple(Vpn(id=v, client_cidr=next(pools), holidays="US") for v in ids),
        applications=tuple(a for v in ids for a in _applications(v)),
        tiers=tuple(t for v in ids for t in _tiers(v)),
        chains=tuple(c for v in ids for c in _chains(v)),
    )
    quotas = base.limits.quotas.model_copy(update=QUOTAS)
    limits = base.limits.model_copy(update={"budget_usd_per_hour": 10**13, "quotas": quotas})
    return base.model_copy(update={"fleet": fleet, "limits": limits})


def history_of(fleet: Fleet, load: float = 1.0) -> DemandHistory:
    """Return a generated history: a day and week cycle with noise, a level of its own for every application.

    `load` multiplies all of it.
    """
    applications = tuple(sorted(a.id for a in fleet.applications))
    vpns = {a.id: a.vpn for a in fleet.applications}
    steps = DAYS * 24 * 60 // INTERVAL_MIN
    hours = np.arange(steps) * INTERVAL_MIN / 60
    shape = 1 + 0.5 * np.sin(2 * np.pi * (hours - 8) / 24) + 0.1 * np.sin(2 * np.pi * hours / 168)
    generator = np.random.default_rng(7)
    level = 100 + 300 * generator.random((len(applications), 1))
    noise = 1 + 0.08 * generator.standard_normal((len(applications), steps))
    return DemandHistory(
        interval_min=INTERVAL_MIN,
        start=AS_OF - timedelta(days=DAYS),
        applications=applications,
        vpns=tuple(vpns[a] for a in applications),
        mbps=np.maximum(load * level * shape * noise, 0),
    )


def _applications(vpn: str) -> tuple[Application, ...]:
    anywhere = (IPv4Network("0.0.0.0/0"),)
    return (
        Application(id=f"{vpn}-web", vpn=vpn, profile="bulk", destinations=anywhere),
        Application(
            id=f"{vpn}-work", vpn=vpn, profile="interactive", destinations=anywhere, chains=(f"{vpn}-guarded",)
        ),
    )


def _tiers(vpn: str) -> tuple[Tier, ...]:
    shapes = ("c6gn.large", "c6gn.medium", "c7gn.large")
    return tuple(
        Tier(id=f"{vpn}-{role.value}", role=role, image="vpne-arm64", shapes=shapes)
        for role in (Role.INGRESS, Role.TRANSIT, Role.EGRESS)
    )


def _chains(vpn: str) -> tuple[Chain, ...]:
    return (
        Chain(id=f"{vpn}-fast", vpn=vpn, tiers=(f"{vpn}-ingress", f"{vpn}-egress")),
        Chain(id=f"{vpn}-guarded", vpn=vpn, tiers=(f"{vpn}-ingress", f"{vpn}-transit", f"{vpn}-egress")),
    )
