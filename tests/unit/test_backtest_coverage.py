"""Coverage of forecasts of counts: uniform where they are calibrated, and only there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ecm.backtest.coverage import coverage, grain, pit

DRAWS = 4000
MEMBERS = 199
BOUND = 1.63 / math.sqrt(DRAWS)
"""Kolmogorov-Smirnov: a uniform sample is further off once in a hundred times."""


def distance(places):
    """Largest difference of the empirical distribution from the uniform one."""
    ordered = np.sort(places)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return max(np.abs(ordered - steps[1:]).max(), np.abs(ordered - steps[:-1]).max())


def places(mean, told, *, unit=1.0, randomised=True, shift=0.0):
    """PIT of Poisson counts of `mean`, forecast as Poisson of `told`."""
    drawn = np.random.default_rng(5)
    came = drawn.poisson(mean, DRAWS) * unit
    members = drawn.poisson(told, (DRAWS, MEMBERS)) * unit + shift
    at = drawn.uniform(size=DRAWS) if randomised else np.ones(DRAWS)
    return np.array([pit(m, c, a, unit) for m, c, a in zip(members, came, at, strict=True)])


@pytest.mark.parametrize("unit", [1.0, 28.57])
@pytest.mark.parametrize("mean", [0.7, 6.0, 300.0])
def test_a_calibrated_forecast_of_counts_is_uniform(mean, unit):
    assert distance(places(mean, mean, unit=unit)) < BOUND


def test_what_a_forecast_says_between_two_counts_makes_no_difference():
    assert distance(places(6.0, 6.0, unit=28.57, shift=9.0)) < BOUND


@pytest.mark.parametrize(("mean", "told"), [(6.0, 5.0), (6.0, 7.0), (300.0, 310.0)])
def test_a_wrong_forecast_of_counts_is_not(mean, told):
    assert distance(places(mean, told)) > 2 * BOUND


def test_too_narrow_a_forecast_is_seen_though_its_middle_is_right():
    drawn = np.random.default_rng(6)
    came = drawn.poisson(20.0, DRAWS)
    members = 20.0 + 0.7 * (drawn.poisson(20.0, (DRAWS, MEMBERS)) - 20.0)
    found = np.array([pit(m, c, a, 1.0) for m, c, a in zip(members, came, drawn.uniform(size=DRAWS), strict=True)])
    assert distance(found) > 2 * BOUND
    assert (found > 0.99).mean() > 0.02


def test_without_chance_counts_would_look_miscalibrated():
    assert distance(places(6.0, 6.0, randomised=False)) > 2 * BOUND


def test_a_measured_load_needs_no_unit():
    drawn = np.random.default_rng(7)
    came, members = drawn.gamma(4.0, size=DRAWS), drawn.gamma(4.0, size=(DRAWS, MEMBERS))
    found = np.array([pit(m, c, a) for m, c, a in zip(members, came, drawn.uniform(size=DRAWS), strict=True)])
    assert distance(found) < BOUND


def test_the_unit_of_a_load_is_seen_in_its_values():
    assert grain(np.array([3.0, np.nan, 0.0, 12.0])) == 1.0
    assert grain(np.array([3.0, 0.5])) == 0.0
    assert grain(np.array([np.nan])) == 0.0


def test_exceedance_is_told_for_each_hour_with_an_interval_of_whole_days():
    minutes = np.arange(0, 20 * 1440, 30, dtype=np.float64)
    found = places(6.0, 6.0)[: minutes.size]
    above = np.where(found > 0.9, 1.0, 0.0)
    above[:5] = np.nan
    result = coverage(0.9, above, minutes, 1)
    assert result.overall.low < result.overall.share < result.overall.high
    assert abs(result.overall.share - 0.1) < 0.03
    assert len(result.by_hour) == 24
    assert all(hour is not None and 0 <= hour.low <= hour.share <= hour.high <= 1 for hour in result.by_hour)
    twice = coverage(0.9, np.where(np.isnan(above), np.nan, (found > 0.8).astype(float)), minutes, 1)
    assert twice.overall.share > 1.6 * result.overall.share
