"""After EC2 has refused capacity: what to mark, and whether the next plan stays within what was approved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from ecm.engine import CapacityRefusal
from ecm.model.base import MICRO
from ecm.model.observed import InstanceState, Observed, Unavailable
from ecm.model.plan import Desired, Node, NodeState, Plan, Slot

_ALIVE = (InstanceState.PENDING, InstanceState.RUNNING)


def marks(plan: Plan, refusals: Iterable[CapacityRefusal], until: datetime) -> tuple[Unavailable, ...]:
    """Return the (shape, zone) of every refused node of `plan`, unavailable until `until`.

    A refusal is known by the node's resource name: slot and generation.
    """
    by_name = {resource_name(slot, node): (slot, node) for slot, node in _nodes(plan.desired)}
    places = {
        (slot.zone, node.shape)
        for refusal in refusals
        if (found := by_name.get(refusal.name))
        for slot, node in [found]
    }
    return tuple(Unavailable(shape=shape, zone=zone, until=until) for zone, shape in sorted(places))


def resource_name(slot: Slot, node: Node) -> str:
    """Return the logical name that the Pulumi program gives the resources of a node."""
    return f"{slot.id.replace('/', '-')}-g{node.generation}"


def expiry(at: datetime, minutes: int) -> datetime:
    """Return when a mark set at `at` for `minutes` ends."""
    return at + timedelta(minutes=minutes)


def beyond_approval(approved: Plan, made: Plan, observed: Observed | None, step_usd_micro: int) -> tuple[str, ...]:
    """Return why `made` is more than what the approval of `approved` covers; empty: it is covered.

    Covered is the same service by other nodes: every tier holds the approved planned load, the cost rises by no more
    than the automatic step (micro-USD per hour), no application moves, and nothing that runs is drained or removed
    beyond what was approved.
    """
    return tuple(
        reason
        for check in (
            _verdict(made),
            _cost(approved, made, step_usd_micro),
            _capacity(approved, made),
            _applications(approved, made),
            _taken_away(approved, made, observed),
        )
        for reason in check
    )


def _verdict(made: Plan) -> Iterator[str]:
    if not made.verdict.passed:
        yield f"guard says {made.verdict.decision.value}: {', '.join(h.limit for h in made.verdict.hits)}"


def _cost(approved: Plan, made: Plan, step: int) -> Iterator[str]:
    rise = made.cost.after - approved.cost.after
    if rise > step:
        yield f"it costs {rise / MICRO:.4f} USD/h more than the approved plan; the automatic step is {step / MICRO:.4f}"


def _capacity(approved: Plan, made: Plan) -> Iterator[str]:
    """The cheapest mix without a place may hold less than the one before; what was promised is the planned load."""
    have = {t.tier: t.usable_mbps for t in made.tiers}
    for tier in approved.tiers:
        planned = tier.load.planned_mbps
        if have.get(tier.tier, 0) < planned:
            yield f"tier {tier.tier} would hold {have.get(tier.tier, 0)} Mbit/s, approved were {planned}"


def _applications(approved: Plan, made: Plan) -> Iterator[str]:
    chains = {a.application: a.chain for a in approved.desired.applications}
    for route in made.desired.applications:
        if chains.get(route.application) != route.chain:
            yield f"application {route.application} would take chain {route.chain}"


def _taken_away(approved: Plan, made: Plan, observed: Observed | None) -> Iterator[str]:
    after = {(s.id, n.generation): n for s, n in _nodes(made.desired)}
    for slot, node in _nodes(approved.desired):
        new = after.get((slot.id, node.generation))
        serves_on = new is not None and (new.state is node.state or node.state is NodeState.DRAINING)
        seen = observed.node(slot.id, node.generation) if observed else None
        if not serves_on and seen is not None and seen.state in _ALIVE:
            yield f"node {slot.id} generation {node.generation} runs and would be taken away"


def _nodes(desired: Desired) -> Iterator[tuple[Slot, Node]]:
    for tier in desired.tiers:
        for slot in tier.slots:
            for node in slot.nodes:
                yield slot, node
