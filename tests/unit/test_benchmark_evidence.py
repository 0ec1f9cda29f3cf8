"""The arithmetic of the benchmarks of events and level shifts."""

from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.events import FACTORS, Layout, Side, at_equal_hours, campaigns, event_days
from benchmarks.level_shift import bounds, recovered
from ecm.backtest import Curve, Point, Trace

DAY = 24
START = datetime(2026, 1, 5, tzinfo=UTC)
LAYOUT = Layout("flat", 0, 3, 2, 24)


def flat(days):
    return Trace("flat", START, 60, np.full(days * DAY, 100.0))


def test_campaigns_multiply_the_load_where_their_dates_say_and_nowhere_else():
    made = campaigns(flat(24), LAYOUT, 1)
    assert len(made.events) == 10
    ratio = made.trace.load / 100.0
    during = np.zeros(ratio.size, dtype=bool)
    for event, factor in zip(made.events, made.factors, strict=True):
        first, after = (int((t - START).total_seconds() // 3600) for t in (event.start, event.end))
        during[first:after] = True
        assert np.allclose(ratio[first:after], factor)
        assert FACTORS[0] <= factor <= FACTORS[1]
    assert (ratio[~during] == 1.0).all()
    days = event_days(made.trace, made.events, LAYOUT.first_day)
    assert days.size == 21
    assert days.tolist() == [k % 2 == 0 and k < 20 for k in range(21)]
    assert campaigns(flat(24), LAYOUT, 2).factors != made.factors


def test_violations_on_other_days_do_not_count_for_event_days():
    days = np.array([True, False, True, False])
    hours = np.full((1, 4), 10.0)
    without = Side(Point(np.full(4, 60.0), hours[0]), Curve("not given", ("0",), np.full((1, 4), 60.0), hours, 2.5))
    given = Side(Point(np.array([15.0, 90.0, 15.0, 90.0]), hours[0]), without.curve)
    assert at_equal_hours(given, without, days).estimate == pytest.approx(0.75)
    assert at_equal_hours(given, without, ~days).estimate == pytest.approx(-0.5)


def test_the_bounds_of_a_days_exceedances_are_binomial():
    low, high = bounds(96, 0.1)
    # Mean 9.6, standard deviation 2.94: three of these either side.
    assert (low, high) == (2, 20)
    assert bounds(24, 0.01)[0] == 0


def test_a_quantile_has_recovered_once_it_stays_within_its_bounds():
    known = np.ones(5 * 96, dtype=bool)
    calm = np.zeros(known.size, dtype=bool)
    calm[::10] = True
    assert recovered(calm, known, (0.1, 96), both=True) == 0.0
    worse = calm.copy()
    worse[:96] = True
    # A day of exceedances is forgotten when nearly all of the trailing day lies behind it.
    assert 1.8 < recovered(worse, known, (0.1, 96), both=True) <= 2.0
    never = np.zeros(known.size, dtype=bool)
    assert recovered(never, known, (0.1, 96), both=True) == 5.0
    assert recovered(never, known, (0.1, 96), both=False) == 0.0
