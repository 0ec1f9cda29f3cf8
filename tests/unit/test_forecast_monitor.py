"""The monitor trips on half a band and on a day far outside, not on a band that is right."""

import numpy as np
import pytest

from ecm.forecast.monitor import Windows, band_holds
from ecm.forecast.season import Season

SEASON = Season(15)
DAYS = 28
FITTED = DAYS * SEASON.day
ORIGINS = np.arange(0, FITTED, 2)
WEEK, DAY = (np.arange(0, FITTED, 2) >= FITTED - steps for steps in (SEASON.week, SEASON.day))


def errors(seed, spread):
    """Errors of window maxima, skewed as those of loads are."""
    rng = np.random.default_rng(seed)
    made = {"normal": rng.standard_normal, "skewed": lambda n: rng.exponential(1, n) - 1}
    return made[spread](ORIGINS.size)


def held(found, own=None):
    own = np.ones(ORIGINS.size, dtype=bool) if own is None else own
    return band_holds(Windows(ORIGINS, found, own, 4), SEASON, FITTED)


@pytest.mark.parametrize(("spread", "missed"), [("normal", 0.05), ("skewed", 0.35)])
def test_half_a_band_trips_and_a_right_one_does_not(spread, missed):
    right = [held(errors(seed, spread)) for seed in range(100)]
    half = [held(np.where(WEEK, 2 * errors(seed, spread), errors(seed, spread))) for seed in range(100)]
    assert np.mean(right) >= 0.97
    assert np.mean(half) <= missed


def test_a_day_far_outside_trips_at_once():
    assert not any(held(errors(seed, "normal") + 2 * DAY) for seed in range(20))


def test_wider_than_needed_is_no_failure():
    assert all(held(np.where(WEEK, 0.3, 1.0) * errors(seed, "skewed")) for seed in range(20))


def test_what_was_not_measured_does_not_count_and_what_is_borrowed_is_not_relied_on():
    found = np.where(WEEK, np.nan, errors(1, "normal"))
    assert held(found)
    assert held(np.full(ORIGINS.size, np.nan))
    none, some = np.zeros(ORIGINS.size, dtype=bool), DAY
    assert not held(found, none)
    assert held(errors(2, "normal"), some)
    assert not held(errors(2, "normal") + 9 * DAY, some)
