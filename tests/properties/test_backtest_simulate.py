"""The vectorised simulator against one that keeps a list of nodes and goes minute by minute."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecm.backtest.arrays import leading, nodes_for, trailing
from ecm.backtest.simulate import simulate
from ecm.backtest.trace import Rules, Trace

START = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class Fleet:
    """Nodes by the minute of their launch, the latest last."""

    launched: list[float] = field(default_factory=list)
    billed_min: int = 0

    def decide(self, minute: int, count: int, rules: Rules) -> None:
        while len(self.launched) < count:
            self.launched.append(minute)
        while len(self.launched) > count:
            self.launched.pop()
            self.billed_min += rules.bill_after_min

    def ready(self, minute: int, rules: Rules) -> int:
        return sum(minute >= launch + rules.boot_min for launch in self.launched)


def by_the_minute(trace: Trace, rules: Rules, desired: list[int]) -> tuple[list[int], list[bool], int]:
    """Ready nodes and violation of every minute, and node-minutes billed."""
    fleet = Fleet([-np.inf] * desired[0])
    ready, violated = [], []
    for minute in range(trace.rows * trace.step_min):
        row, into = divmod(minute, trace.step_min)
        if into == 0:
            fleet.decide(minute, desired[row], rules)
        ready.append(fleet.ready(minute, rules))
        violated.append(bool(trace.load[row] > ready[-1] * rules.capacity))
        fleet.billed_min += len(fleet.launched)
    return ready, violated, fleet.billed_min


@st.composite
def replays(draw: st.DrawFn) -> tuple[Trace, Rules, list[int]]:
    rows = draw(st.integers(1, 30))
    load = draw(st.lists(st.floats(0, 60) | st.just(float("nan")), min_size=rows, max_size=rows))
    least = draw(st.integers(0, 2))
    desired = draw(st.lists(st.integers(least, 6), min_size=rows, max_size=rows))
    rules = Rules(
        capacity=10, boot_min=draw(st.integers(0, 17)), min_nodes=least, bill_after_min=draw(st.integers(0, 9))
    )
    return Trace("drawn", START, draw(st.sampled_from([1, 4, 5, 30])), np.array(load)), rules, desired


@given(replays())
def test_the_simulator_agrees_with_one_that_goes_minute_by_minute(replay: tuple[Trace, Rules, list[int]]) -> None:
    trace, rules, desired = replay
    run = simulate(trace, rules, np.array(desired))
    ready, violated, billed = by_the_minute(trace, rules, desired)
    assert np.repeat(run.ready, run.tick_min).tolist() == ready
    assert np.repeat(run.violated, run.tick_min).tolist() == violated
    assert run.violated_min == sum(violated)
    assert run.node_hours == pytest.approx(billed / 60)
    runs = "".join("x" if v else " " for v in violated).split()
    assert run.longest_violation_min == max((len(r) for r in runs), default=0)
    load = np.nan_to_num(np.repeat(trace.load, trace.step_min))
    missed = np.maximum(load - np.array(ready) * rules.capacity, 0).sum()
    assert run.unserved_share == pytest.approx(missed / load.sum() if load.sum() else 0.0)
    assert run.node_changes == sum(abs(b - a) for a, b in pairwise(desired))
    assert run.operations == sum(a != b for a, b in pairwise(desired))


@given(replays())
def test_days_add_up_to_the_whole(replay: tuple[Trace, Rules, list[int]]) -> None:
    trace, rules, desired = replay
    run = simulate(trace, rules, np.array(desired))
    days = -(-trace.rows * trace.step_min // 1440)
    assert run.violated_min_by_day().shape == run.node_hours_by_day().shape == (days,)
    assert run.violated_min_by_day().sum() == run.violated_min
    assert run.node_hours_by_day().sum() == pytest.approx(run.node_hours)


def test_money_is_hours_times_price_plus_operations() -> None:
    trace = Trace("t", START, 60, np.array([5.0, 15.0, 5.0]))
    rules = Rules(capacity=10, boot_min=5, min_nodes=1, node_usd_per_hour=2, operation_usd=7)
    run = simulate(trace, rules, np.array([1, 2, 1]))
    assert run.node_hours == pytest.approx(4 + 5 / 60)
    assert run.usd == pytest.approx(2 * (4 + 5 / 60) + 2 * 7)
    assert run.violated_min == 5  # the second node serves from 01:05


def test_decisions_that_do_not_fit_are_refused() -> None:
    trace = Trace("t", START, 5, np.array([1.0, 2.0]))
    rules = Rules(capacity=1, boot_min=5, min_nodes=2)
    with pytest.raises(ValueError, match="shape"):
        simulate(trace, rules, np.array([2]))
    with pytest.raises(ValueError, match="minimum of 2"):
        simulate(trace, rules, np.array([2, 1]))
    with pytest.raises(ValueError, match="multiple of the step"):
        replace(rules, decide_every_min=7).period(5)
    with pytest.raises(ValueError, match="negative"):
        Trace("t", START, 5, np.array([-1.0]))


@example(3 * 0.1, 0.1)  # 0.30000000000000004: the quotient is above 3, three times 0.1 is not below it
@given(st.floats(0, 1e9), st.floats(1e-3, 1e6))
def test_the_nodes_for_a_load_are_the_fewest_that_serve_it(load: float, capacity: float) -> None:
    count = int(nodes_for(np.array(load), capacity))
    assert count * capacity >= load
    assert count == 0 or (count - 1) * capacity < load


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=20), st.integers(0, 25))
def test_windows_are_what_slices_say(values: list[int], reach: int) -> None:
    found = np.array(values)
    before = trailing(np.maximum, found, reach, -99)
    after = leading(np.minimum, found, reach, 99)
    assert before.tolist() == [max(values[max(0, i - reach) : i + 1]) for i in range(len(values))]
    assert after.tolist() == [min(values[i : i + reach + 1]) for i in range(len(values))]
