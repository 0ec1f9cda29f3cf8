"""A young trace is replayed with the shape that its siblings lend it."""

from datetime import UTC, datetime

import numpy as np

from ecm.backtest import Rules, Trace
from ecm.pipeline.replay import Question, replay

DAY = 24
BEGUN = 10 * DAY
START = datetime(2026, 1, 5, tzinfo=UTC)


def a_day(seed, level):
    hour = np.arange(11 * DAY) % DAY
    noise = np.random.default_rng(seed).normal(1.0, 0.02, hour.size)
    return level * noise * np.where((hour >= 8) & (hour < 18), 10.0, 1.0)


def asked(siblings):
    load = a_day(1, 30.0)
    load[:BEGUN] = np.nan
    rules = Rules(capacity=30.0, boot_min=5, min_nodes=1)
    return Question(Trace("new", START, 60, load), rules, BEGUN + 2, (950,), siblings=siblings)


def test_with_siblings_the_first_morning_is_planned_for_and_without_it_is_not():
    siblings = np.stack([a_day(2, 50.0), a_day(3, 20.0)])
    lent, alone = replay(asked(siblings)), replay(asked(None))
    assert all("borrowed from trace-sibling-1, trace-sibling-2" in name for name, _ in lent.models)
    assert not any("borrowed" in name for name, _ in alone.models)
    # The load rises tenfold at 08:00; the decision of that hour has seen seven hours of night.
    morning = 8 - 2
    assert lent.desired[0, morning] >= 10 > alone.desired[0, morning]


def test_no_siblings_are_the_same_as_none():
    load = np.tile(a_day(1, 30.0)[:DAY], 6)
    rules = Rules(capacity=30.0, boot_min=5, min_nodes=1)
    plain = Question(Trace("old", START, 60, load), rules, 5 * DAY, (950,))
    empty = Question(plain.trace, rules, 5 * DAY, (950,), siblings=np.empty((0, load.size)))
    assert (replay(plain).desired == replay(empty).desired).all()
