"""Outages, retry storms and level shifts through the pipeline's decisions: capacity, violations, what is learnt."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ecm.backtest import Rules, Trace, simulate
from ecm.pipeline.replay import Question, replay

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = 15
DAY = 1440 // STEP
CAPACITY = 10.0
LEARNT = 15


def a_load(days):
    """An office's load, 20 nodes at the peak; the first day is a Monday."""
    rng = np.random.default_rng(3)
    step = np.arange(days * DAY)
    shape = (110 + 75 * np.sin(2 * np.pi * (step % DAY) / DAY - 2)) * np.where(step // DAY % 7 >= 5, 0.5, 1.0)
    return shape * np.exp(0.05 * rng.standard_normal(step.size))


def at(day, hour):
    return day * DAY + round(hour * 60 / STEP)


def decided(load, first, quantile=995):
    """Nodes by row, violated minutes by row, and what was said, from row `first` on."""
    trace = Trace("generated", START, STEP, load)
    rules = Rules(capacity=CAPACITY, boot_min=5, min_nodes=2)
    made = replay(Question(trace, rules, first, (quantile,)))
    nodes = np.zeros(load.size, dtype=int)
    nodes[first:] = made.desired[0]
    violated = np.zeros(load.size)
    run = simulate(trace.part(first), rules, made.desired[0])
    violated[first:] = run.violated.reshape(load.size - first, -1).sum(axis=1) * run.tick_min
    return nodes, violated, made.incidents


@pytest.mark.parametrize("left", [0.0, 0.3])
def test_nothing_is_scaled_in_during_an_outage_and_its_storm_is_carried(left):
    """Six hours into the morning's rise: the load comes back at the day's peak, with a quarter more for 15 min."""
    calm = a_load(LEARNT + 1)
    load = calm.copy()
    outage, back = slice(at(LEARNT, 6), at(LEARNT, 12)), at(LEARNT, 12)
    load[outage] *= left
    load[back] *= 1.25
    until = at(LEARNT, 15)
    nodes, violated, said = decided(load[:until], at(LEARNT, 4))
    assert (np.diff(nodes[outage.start - 1 : back + 4]) >= 0).all()
    # The load before the outage keeps counting: capacity rises with the morning, though nothing is there.
    usual, _, _ = decided(calm[:until], at(LEARNT, 4))
    assert nodes[back] >= usual[back] - 1
    assert violated[back + 1 :].sum() == 0
    assert any("fell at 2026-03-17 06:00 UTC" in text for text in said)
    assert any("came back at 2026-03-17 12:00 UTC" in text for text in said)


def test_an_outage_is_not_next_weeks_profile_nor_tomorrows():
    load, calm = a_load(LEARNT + 8), a_load(LEARNT + 8)
    load[at(LEARNT, 6) : at(LEARNT, 16)] = 0.0
    load[at(LEARNT, 16) : at(LEARNT, 16) + 2] *= 3
    for day in (LEARNT + 1, LEARNT + 7):
        span = slice(at(day, 6), at(day, 10))
        nodes, violated, _ = decided(load[: span.stop], span.start)
        usual, _, _ = decided(calm[: span.stop], span.start)
        assert violated[span].sum() == 0
        assert nodes[span] == pytest.approx(usual[span], abs=2)


def test_a_level_shift_down_is_followed_within_two_days():
    load = a_load(LEARNT + 4)
    shift = at(LEARNT, 9)
    load[shift:] *= 0.3
    nodes, violated, said = decided(load[: at(LEARNT + 3, 12)], at(LEARNT, 8))
    held = nodes[shift - 1]
    assert (nodes[shift : shift + DAY // 2] >= held).all()
    late = slice(shift + 2 * DAY, at(LEARNT + 3, 12))
    assert nodes[late].max() <= 0.6 * held
    assert violated.sum() == 0
    assert any(text.startswith("a new level") for text in said)


def test_a_level_shift_up_is_followed_within_two_hours():
    load = a_load(LEARNT + 2)
    shift = at(LEARNT, 9)
    load[shift:] *= 2.5
    _, violated, said = decided(load[: at(LEARNT + 1, 12)], at(LEARNT, 8))
    # What nobody announced is violated at first; after two hours capacity is ahead of it.
    known = shift + 2 * 60 // STEP
    assert violated[shift : known + 1].sum() <= 2 * 60
    assert violated[known + 1 : shift + DAY].sum() <= STEP
    assert violated[shift + DAY :].sum() == 0
    assert any("well above the usual for 2 h at 2026-03-17 11:00 UTC and since" in text for text in said)
