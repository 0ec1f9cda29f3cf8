"""What a scheduled run measures, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Iterator

from ecm.model.base import MICRO
from ecm.model.exposition import Metric, exposition
from ecm.model.plan import NodeState, Plan
from ecm.model.run import Run, RunOutcome


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


def _count(plan: Plan, tier: str, state: NodeState) -> int:
    return sum(node.state is state for slot in plan.desired.tier(tier).slots for node in slot.nodes)
