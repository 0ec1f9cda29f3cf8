"""What a scheduled run measures, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from ecm.model.base import MICRO
from ecm.model.exposition import Metric, exposition
from ecm.model.plan import ChangeKind, NodeState, Plan
from ecm.model.run import Run, RunOutcome

QUANTILES: Final = (("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99"))
"""As Prometheus' label, and as a forecast's fields, say them."""


def run_metrics(run: Run, applied: Plan | None) -> str:
    """Return the page of one run; `applied` is the plan that stands after it."""
    return exposition([*_run(run), *(_plan(applied) if applied else ())])


def _run(run: Run) -> Iterator[Metric]:
    stack = {"stack": run.stack}
    yield Metric(
        "ecm_reconcile_last_run_timestamp_seconds",
        "gauge",
        "When the last run began.",
        ((stack, run.started_at.timestamp()),),
    )
    yield Metric(
        "ecm_reconcile_outcome",
        "gauge",
        "1 for the outcome of the last run, 0 for every other.",
        tuple(({**stack, "outcome": o.value}, float(o is run.outcome)) for o in RunOutcome),
    )
    yield Metric(
        "ecm_reconcile_phase_seconds",
        "gauge",
        "Time of each phase of the last run.",
        tuple(({**stack, "phase": name}, ms / 1000) for name, ms in _summed(run).items()),
    )


def _summed(run: Run) -> dict[str, int]:
    found: dict[str, int] = {}
    for phase in run.phases:
        found[phase.name] = found.get(phase.name, 0) + phase.milliseconds
    return found


def _plan(plan: Plan) -> Iterator[Metric]:
    stack = {"stack": plan.stack}
    tiers = [({**stack, "tier": tier.tier}, tier) for tier in plan.tiers]
    yield Metric("ecm_plan_serial", "gauge", "Serial of the applied plan.", ((stack, plan.serial),))
    yield Metric(
        "ecm_plan_cost_usd_per_hour",
        "gauge",
        "Compute and bandwidth of the applied plan, at the median load.",
        ((stack, plan.cost.after / MICRO),),
    )
    yield Metric(
        "ecm_tier_nodes",
        "gauge",
        "Nodes of each tier by state.",
        tuple(
            ({**stack, "tier": tier.id, "state": state.value}, float(_count(plan, tier.id, state)))
            for tier in plan.desired.tiers
            for state in NodeState
        ),
    )
    yield Metric(
        "ecm_tier_capacity_mbps",
        "gauge",
        "Capacity of each tier's active nodes, Mbit/s.",
        tuple((labels, float(tier.capacity_mbps)) for labels, tier in tiers),
    )
    yield Metric(
        "ecm_tier_usable_mbps",
        "gauge",
        "Load that each tier holds after its worst loss, Mbit/s.",
        tuple((labels, float(tier.usable_mbps)) for labels, tier in tiers),
    )
    yield Metric(
        "ecm_tier_planned_mbps",
        "gauge",
        "Load that each tier was sized for, Mbit/s.",
        tuple((labels, float(tier.load.planned_mbps)) for labels, tier in tiers),
    )
    yield Metric(
        "ecm_tier_forecast_mbps",
        "gauge",
        "Quantiles of the maximum of each tier's load over the sizing window, Mbit/s.",
        tuple(
            ({**labels, "quantile": quantile}, float(getattr(tier.load, f"{name}_mbps")))
            for labels, tier in tiers
            for quantile, name in QUANTILES
        ),
    )
    yield from _decided(plan, stack)


def _decided(plan: Plan, stack: Mapping[str, str]) -> Iterator[Metric]:
    """What the plan rests on, by application, and what it comes to, by chain and kind of change."""
    chains = {route.application: route.chain for route in plan.desired.applications}
    yield Metric(
        "ecm_application_forecast_mbps",
        "gauge",
        "Quantiles of the maximum of each application's load over the sizing window, Mbit/s.",
        tuple(
            (
                {**stack, "vpn": f.vpn, "application": f.application, "chain": chains[f.application], "quantile": q},
                float(getattr(f, f"window_{name}_mbps")),
            )
            for f in plan.forecasts
            for q, name in QUANTILES
        ),
    )
    usable = {tier.tier: tier.usable_mbps for tier in plan.tiers}
    left = {tier.tier: tier.usable_mbps - tier.load.planned_mbps for tier in plan.tiers}
    for name, text, of_tier in (
        ("capacity", "Load that each chain holds after its worst loss: that of its narrowest tier, Mbit/s.", usable),
        ("headroom", "What is left of that beside the planned load of its fullest tier, Mbit/s.", left),
    ):
        samples = tuple(
            ({**stack, "vpn": chain.vpn, "chain": chain.id}, float(min(of_tier[tier] for tier in chain.tiers)))
            for chain in plan.desired.chains
        )
        yield Metric(f"ecm_chain_{name}_mbps", "gauge", text, samples)
    counts = Counter(change.kind for change in plan.changes)
    yield Metric(
        "ecm_plan_changes",
        "gauge",
        "Changes of the applied plan against the one before, by kind.",
        tuple(({**stack, "kind": kind.value}, float(counts[kind])) for kind in ChangeKind),
    )


def _count(plan: Plan, tier: str, state: NodeState) -> int:
    return sum(node.state is state for slot in plan.desired.tier(tier).slots for node in slot.nodes)
