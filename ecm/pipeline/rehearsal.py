"""A fleet's plans replayed over measured telemetry: every plan as `ecm plan` makes it, on the plan before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecm.backtest.arrays import longest_run
from ecm.forecast import Predictor
from ecm.intent import Intent
from ecm.model.demand import DemandHistory
from ecm.model.plan import Decision, Plan
from ecm.pipeline.decision import World, decide_from, tried

_SETTLED_MIN = 1440
"""Age of the nodes of the first plan: they serve from its first minute."""
_NOT_APPLIED = (Decision.REFUSED, Decision.STALE, Decision.FROZEN)


@dataclass(frozen=True)
class Span:
    """Decisions from `start`, every `every_min`, before `until`."""

    start: datetime
    until: datetime
    every_min: int

    def times(self) -> tuple[datetime, ...]:
        """Return the moments of decision."""
        count = -(-(self.until - self.start) // timedelta(minutes=self.every_min))
        return tuple(self.start + timedelta(minutes=self.every_min * k) for k in range(max(0, int(count))))


@dataclass(frozen=True)
class Step:
    """One decision."""

    as_of: datetime
    plan: Plan | None
    """None: nothing was feasible."""
    stands: Plan | None
    """The plan that stands from here on: this one where it was applied, else the one before."""


@dataclass(frozen=True)
class TierOutcome:
    """What one tier did over the span."""

    tier: str
    violated_min: int
    """Minutes with more load than its ready nodes carry at full utilisation."""
    measured_min: int
    longest_min: int
    node_hours: float
    """Active and draining nodes."""
    usd: float
    """Active nodes, on demand."""
    node_changes: int


def rehearse(
    intent: Intent,
    history: DemandHistory,
    span: Span,
    templates: Path,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Iterator[Step]:
    """Yield the decision of every moment of `span`, each on what had been measured by then and on the plan before it.

    Every plan that guard does not refuse is taken as approved and applied at once; what it starts serves after boot and
    registration. ForecastError when nothing was measured before the first decision.
    """
    limits, times = intent.limits, span.times()
    predictor = Predictor(
        history, intent.fleet, lead_min=limits.lead_min, hold_min=limits.hold_min, tried=tried(limits)
    )
    stands: Plan | None = None
    for done, as_of in enumerate(times, start=1):
        known = until(history, as_of)
        world = World(as_of=as_of, previous=stands, basis=stands.digest if stands else None, templates=templates)
        outcome = decide_from(intent, known, predictor.at(as_of), world)
        made = outcome.plan
        if made is not None and made.verdict.decision not in _NOT_APPLIED and made.changes:
            stands = made
        yield Step(as_of, made, stands)
        progress(done, len(times))


def until(history: DemandHistory, as_of: datetime) -> DemandHistory:
    """Return what had been measured by `as_of`."""
    steps = int((as_of - history.start) / timedelta(minutes=history.interval_min))
    kept = slice(None), slice(max(steps, 0))
    flags = history.saturated[kept] if history.saturated is not None else None
    return history.model_copy(update={"mbps": history.mbps[kept], "saturated": flags})


def outcomes(
    steps: tuple[Step, ...], history: DemandHistory, intent: Intent, every_min: int
) -> tuple[TierOutcome, ...]:
    """Return what each tier of the fleet did, sorted by tier; loads are those of the applications that take it."""
    tiers = sorted(t.id for t in intent.fleet.tiers)
    return tuple(_outcome(tier, steps, (history, intent), every_min) for tier in tiers)


def _outcome(tier: str, steps: tuple[Step, ...], world: tuple[DemandHistory, Intent], every_min: int) -> TierOutcome:
    _, intent = world
    violated, measured, node_min, usd, changes = [], 0, 0, 0.0, 0
    age: dict[tuple[str, int], int] = {}
    for place, step in enumerate(steps):
        active, standing = _nodes(tier, step.stands)
        # What stands at the first decision was there before it.
        new = 0 if place else _SETTLED_MIN
        changes += len(active.keys() ^ age.keys()) if place else 0
        age = {node: age[node] + every_min if node in age else new for node in active}
        load = _load(tier, step, world, every_min)
        violated.append(load > _ready(active, age, intent, every_min))
        measured += int((~np.isnan(load)).sum())
        node_min += standing * every_min
        usd += _price(tier, step.stands) * every_min / 60
    minutes = np.concatenate(violated) if violated else np.zeros(0, dtype=np.bool_)
    return TierOutcome(tier, int(minutes.sum()), measured, longest_run(minutes), node_min / 60, usd, changes)


def _nodes(tier: str, plan: Plan | None) -> tuple[dict[tuple[str, int], int], int]:
    """Return capacity by active node, Mbit/s, and the number of all nodes."""
    found = next((t for t in plan.desired.tiers if t.id == tier), None) if plan else None
    if found is None:
        return {}, 0
    active = {(slot.id, slot.nodes[-1].generation): slot.capacity_mbps for slot in found.slots if slot.active}
    return active, sum(len(slot.nodes) for slot in found.slots)


def _ready(
    active: dict[tuple[str, int], int], age_min: dict[tuple[str, int], int], intent: Intent, every_min: int
) -> npt.NDArray[np.float64]:
    """Return the capacity that serves in each minute from a decision to the next one, Mbit/s."""
    lead = intent.limits.lead
    wait = lead.up_min + lead.boot_to_healthy_min + lead.registration_min + lead.mesh_join_min
    ready = np.zeros(every_min)
    for node, capacity in active.items():
        ready[max(0, wait - age_min[node]) :] += capacity
    return ready


def _carried(tier: str, plan: Plan | None, intent: Intent) -> list[str]:
    """Return the applications on the tier; while no plan stands, those of its VPN."""
    if plan is None:
        vpn = intent.fleet.vpn_of_tier(tier)
        return [a.id for a in intent.fleet.applications if a.vpn == vpn]
    chains = {c.id: c.tiers for c in plan.desired.chains}
    return [r.application for r in plan.desired.applications if tier in chains[r.chain]]


def _load(tier: str, step: Step, world: tuple[DemandHistory, Intent], every_min: int) -> npt.NDArray[np.float64]:
    """Return the load of the tier in each minute from the decision to the next one; NaN where it was not measured."""
    history, intent = world
    rows = [history.applications.index(name) for name in _carried(tier, step.stands, intent)]
    first = (step.as_of - history.start) / timedelta(minutes=1)
    places = ((first + np.arange(every_min)) // history.interval_min).astype(np.int64)
    inside = (places >= 0) & (places < history.mbps.shape[1])
    total = history.mbps[rows].sum(axis=0) if rows else np.zeros(history.mbps.shape[1])
    return np.where(inside, total[np.clip(places, 0, len(total) - 1)], np.nan)


def _price(tier: str, plan: Plan | None) -> float:
    """Return USD per hour of the active nodes."""
    return sum(t.usd_micro_per_hour for t in plan.tiers if t.tier == tier) / 1e6 if plan else 0.0


def verdicts(steps: tuple[Step, ...]) -> tuple[tuple[str, int], ...]:
    """Return how many decisions had which verdict, most frequent first."""
    said = Counter(s.plan.verdict.decision.value if s.plan else "infeasible" for s in steps)
    return tuple(said.most_common())
