"""Rates of counters and means of gauges over regular intervals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecm.telemetry.rates import Grid, Samples, counter_rates, gauge_means, summed

GRID = Grid(600, 960, 60)


def samples(pairs) -> Samples:
    at, value = zip(*pairs, strict=True)
    return Samples(np.array(at, float), np.array(value, float))


def test_a_counter_that_rises_evenly_has_its_rate_whenever_it_is_sampled():
    made = counter_rates(samples([(t, 5.0 * t) for t in range(553, 1000, 47)]), GRID)
    np.testing.assert_allclose(made, 5.0)


def test_what_a_counter_counts_after_a_reset_counts_and_nothing_is_negative():
    made = counter_rates(samples([(590, 1000), (650, 1060), (710, 60), (770, 120), (1010, 360)]), GRID)
    np.testing.assert_allclose(made[:2], 1.0)


def test_a_hole_in_the_samples_is_not_known():
    made = counter_rates(samples([(t, t) for t in range(540, 1081, 30) if not 660 < t < 840]), GRID)
    assert np.isnan(made).tolist() == [False, True, True, True, False, False]


@given(st.lists(st.integers(0, 50), min_size=30, max_size=30), st.sets(st.integers(1, 29)))
def test_between_the_first_and_the_last_sample_every_count_is_counted_once(rises, resets):
    value, rows = 0, []
    for number, rise in enumerate(rises):
        value = rise if number in resets else value + rise
        rows.append((540 + 20 * number, value))
    made = counter_rates(samples(rows), Grid(540, 1080, 60))
    seen = 0
    for before, after in pairwise(rows[:28]):
        seen += after[1] - before[1] if after[1] >= before[1] else after[1]
    np.testing.assert_allclose(made.sum() * 60, seen)


def test_a_gauge_is_the_mean_of_its_samples():
    made = gauge_means(samples([(600, 1), (630, 3), (659, np.nan), (660, 9), (960, 5)]), GRID)
    np.testing.assert_array_equal(made, [2, 9, np.nan, np.nan, np.nan, np.nan])


def test_a_sum_is_known_where_each_part_that_is_there_is_known():
    whole = samples([(t, t) for t in range(540, 1081, 30)])
    holed = samples([(t, t) for t in range(540, 1081, 30) if not 660 < t < 840])
    late = samples([(t, t) for t in range(780, 1081, 30)])
    made = summed([(s, counter_rates(s, GRID)) for s in (whole, holed, late)], GRID)
    np.testing.assert_array_equal(made, [2, np.nan, np.nan, np.nan, 3, 3])
