"""How far ahead a decision looks when nodes were measured to boot slower than the limits say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.model.demand import DemandHistory
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode
from ecm.model.policy import Limits
from ecm.pipeline import World, decide, look_ahead
from ecm.pipeline.lead import LEAST_NODES
from tests.properties.fleets import Wanted, an_intent
from tests.properties.test_odd_loads import PROFILE
from tests.unit.slot_states import LIMITS, ROOT

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def snapshot(ready_after_s: Sequence[int | None]) -> Observed:
    launched = NOW - timedelta(days=1)
    nodes = (
        ObservedNode(
            slot=f"edge/us-east-1a/{n}",
            generation=1,
            instance_id=f"i-{n}",
            shape="c7gn.large",
            zone="us-east-1a",
            state=InstanceState.RUNNING,
            health=Health.HEALTHY,
            launched_at=launched,
            first_healthy_at=None if took is None else launched + timedelta(seconds=took),
        )
        for n, took in enumerate(ready_after_s)
    )
    return Observed(stack="dev", taken_at=NOW, applied=None, nodes=tuple(nodes))


def planned_s(known: Limits) -> int:
    lead = known.lead
    return 60 * (lead.boot_to_healthy_min + lead.registration_min + lead.mesh_join_min)


@pytest.mark.parametrize("observed", [None, snapshot([]), snapshot([3600] * (LEAST_NODES - 1)), snapshot([None] * 20)])
def test_without_enough_measurements_the_limits_hold(observed: Observed | None) -> None:
    ahead = look_ahead(LIMITS, observed)
    assert (ahead.lead_min, ahead.hold_min, ahead.measured_s) == (LIMITS.lead_min, LIMITS.hold_min, None)


def test_fast_nodes_shorten_nothing() -> None:
    ahead = look_ahead(LIMITS, snapshot([30] * 10))
    assert (ahead.lead_min, ahead.measured_s, ahead.extra_min) == (LIMITS.lead_min, 30, 0)


@pytest.mark.parametrize(("late_s", "extra_min"), [(0, 0), (1, 5), (300, 5), (301, 10), (1500, 25)])
def test_slow_nodes_make_it_look_further_by_whole_steps(late_s: int, extra_min: int) -> None:
    ahead = look_ahead(LIMITS, snapshot([planned_s(LIMITS) + late_s] * LEAST_NODES))
    assert (ahead.lead_min, ahead.extra_min) == (LIMITS.lead_min + extra_min, extra_min)
    assert ahead.hold_min == max(LIMITS.hold_min, ahead.lead_min)


def test_one_slow_node_of_ten_does_not_decide_and_two_do() -> None:
    assert look_ahead(LIMITS, snapshot([60] * 9 + [7200])).extra_min == 0
    assert look_ahead(LIMITS, snapshot([60] * 8 + [7200] * 2)).extra_min > 0


def test_a_decision_after_slow_nodes_was_seen_plans_for_later() -> None:
    """From intent to plan: the steps that capacity bought now must serve begin later."""
    intent = an_intent((Wanted(PROFILE.model_copy(update={"id": "p-0"})),))
    history = DemandHistory(
        interval_min=15,
        start=NOW - timedelta(days=8),
        applications=("app-0",),
        vpns=("v",),
        mbps=np.full((1, 8 * 96), 200.0),
    )

    def first_step(observed: Observed | None) -> int:
        outcome = decide(intent, history, World(as_of=NOW, observed=observed, templates=ROOT / "templates"))
        assert outcome.plan is not None
        assert outcome.plan.grid is not None
        return outcome.plan.grid.window_first_step

    assert first_step(snapshot([planned_s(intent.limits) + 1800] * LEAST_NODES)) == first_step(None) + 2
