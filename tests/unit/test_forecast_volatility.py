"""How high a load went lately: what its errors are measured against."""

import numpy as np
import pytest

from ecm.forecast.season import Season
from ecm.forecast.selection import Candidate
from ecm.forecast.volatility import FADE_MIN, fading_peak

SEASON = Season(15)
FLOOR = np.array([10.0])


def peak_of(values, floor=FLOOR):
    return fading_peak(np.array([values], dtype=float), SEASON, floor)[0]


def test_a_peak_counts_half_after_its_time_and_never_less_than_load_or_floor():
    steps = FADE_MIN // 15
    found = peak_of([100.0] * 5 + [800.0] + [100.0] * (3 * steps + 20))
    assert found[:5].tolist() == [100.0] * 5
    assert found[5] == 800.0
    assert found[5 + steps] == pytest.approx(400.0)
    assert found[5 + 2 * steps] == pytest.approx(200.0)
    assert found[5 + 3 * steps :] == pytest.approx(100.0)
    assert peak_of([0.0, 1.0])[-1] == 10.0


def test_what_was_not_measured_neither_raises_a_peak_nor_ends_it():
    measured, gap = peak_of([100.0, 800.0, 0.0, 0.0]), peak_of([100.0, 800.0, np.nan, np.nan])
    assert measured.tolist() == gap.tolist()
    assert peak_of([np.nan] * 3).tolist() == [10.0] * 3


def test_a_peak_knows_nothing_of_what_follows_and_long_histories_do_not_overflow():
    values = np.random.default_rng(3).gamma(2.0, 50.0, 40_000)
    whole = peak_of(values)
    assert np.isfinite(whole).all()
    assert whole[:1000].tolist() == peak_of(values[:1000]).tolist()
    assert (whole >= values - 1e-6).all()


def test_errors_count_in_units_of_the_peak_where_it_is_above_the_forecast():
    path, restless, floor = np.array([[100.0, 900.0]]), np.array([1.0]), np.array([400.0])
    assert Candidate((0,), 0.5, 0.25).unit(path, restless, floor).tolist() == [[20.0, 30.0]]
    assert Candidate((0,), 0.0, 0.25).unit(path, restless, floor).tolist() == [[1.0, 1.0]]
