"""Models state quantiles of their own: from out-of-sample errors per horizon, for a whole panel in one pass."""

import numpy as np
import pandas as pd
import pytest

from ecm.forecast.models import models
from ecm.forecast.models.last_value import LastValue
from ecm.forecast.models.naive_week import SeasonalNaive
from ecm.forecast.rolling import WIDE_SIGMA
from ecm.forecast.season import Season

SEASON = Season(60)
KNOWN = {m.name: m.forecaster for m in models(SEASON) if not m.extra}
SHARES = [0.05, 0.5, 0.9, 0.95]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def frame(values):
    return pd.DataFrame(values.T, columns=[f"s{k}" for k in range(len(values))])


def quantiles(model, values, fh, shares=SHARES):
    """(series, shares, horizons)"""
    found = model.clone().fit(frame(values)).predict_quantiles(fh=fh, alpha=shares)
    return found.to_numpy().T.reshape(len(values), len(shares), len(fh))


def a_load(series=2, weeks=5, seed=1, noise=0.05):
    rng = np.random.default_rng(seed)
    hour = np.arange(weeks * 168)
    shape = 100 + 60 * np.sin(2 * np.pi * (hour % 24 - 9) / 24) - 30 * ((hour // 24) % 7 >= 5)
    return shape * np.exp(noise * rng.standard_normal((series, len(hour))))


def test_errors_are_those_of_each_horizon():
    """The last value of a random walk is off by a normal error whose deviation grows with the root of the horizon."""
    walks = 10_000 + 10 * np.random.default_rng(3).standard_normal((200, 900)).cumsum(axis=1)
    found = quantiles(LastValue(), walks, [1, 4, 16], [0.9])[:, 0] - walks[:, -1:]
    np.testing.assert_allclose(found.mean(axis=0), 1.2816 * 10 * np.sqrt([1, 4, 16]), rtol=0.12)


@pytest.mark.parametrize("name", KNOWN)
def test_a_stated_share_of_what_comes_lies_below(name):
    """48 loads of which each is seven hours ahead of the one before: what comes in six hours, against P90 and P5."""
    values = a_load(48, weeks=7)
    ahead = np.stack([values[k, 7 * k : 7 * k + 4 * 168 + 6] for k in range(48)])
    fh = [1, 2, 3, 4, 5, 6]
    found = quantiles(KNOWN[name], ahead[:, :-6], fh, [0.05, 0.9])
    below = (ahead[:, None, -6:] <= found).mean(axis=(0, 2))
    assert below == pytest.approx([0.05, 0.9], abs=0.06)


def test_errors_are_out_of_sample():
    """In sample the boosted trees and the smoothing look better than they are: noise can be learnt by heart."""
    rng = np.random.default_rng(8)
    values = 100 + 10 * rng.standard_normal((20, 45 * 24))
    upper = quantiles(KNOWN["boosted"], values, [1], [0.95])[:, 0, 0]
    assert upper.mean() == pytest.approx(100 + 16.4, abs=2.0)


def test_a_panel_is_its_series_side_by_side():
    values = a_load(3)
    values[1, 300:340] = np.nan
    together = quantiles(KNOWN["seasonal-level"], values, [1, 7])
    for row in range(3):
        alone = quantiles(KNOWN["seasonal-level"], values[row : row + 1], [1, 7])
        np.testing.assert_allclose(alone[0], together[row])


def test_the_median_is_near_the_point_forecast_and_intervals_are_made_of_quantiles():
    values = a_load(1)
    model = SeasonalNaive(season_steps=168).fit(frame(values))
    fh = np.arange(1, 25)
    band = model.predict_interval(fh=fh, coverage=0.9).to_numpy()
    np.testing.assert_allclose(band, quantiles(SeasonalNaive(season_steps=168), values, fh, [0.05, 0.95])[0].T)
    assert np.abs(band.mean(axis=1) / model.predict(fh=fh).to_numpy()[:, 0] - 1).max() < 0.06


def test_where_no_error_was_ever_made_the_band_is_wide():
    found = quantiles(LastValue(), np.array([[40.0]]), [1, 2], [0.5, 0.9])[0]
    np.testing.assert_allclose(found, np.array([[40, 40], [40 * np.exp(1.2816 * WIDE_SIGMA)] * 2]), rtol=1e-4)


def test_beyond_the_longest_checked_horizon_errors_grow_as_a_random_walks():
    values = 100 + np.random.default_rng(2).standard_normal((1, 30)).cumsum(axis=1)
    found = quantiles(LastValue(), values, [10, 40], [0.9])[0, 0] - values[0, -1]
    assert found[1] == pytest.approx(2 * found[0])


ODD = {
    "zero": np.zeros(500),
    "constant": np.full(500, 7.0),
    "still after a jump": np.r_[0.0, np.ones(499)],
    "ridden with gaps": np.where(np.random.default_rng(1).random(500) < 0.7, np.nan, 50.0 + np.arange(500) % 24),
    "exploding": np.exp(np.arange(500) / 2.0),
    "intermittent": np.where(np.arange(500) % 37 == 0, 1000.0, 0.0),
    "two points": np.r_[np.full(498, np.nan), 3.0, 4.0],
    "tiny": np.full(500, 1e-12) * (np.arange(500) % 24),
    "nothing": np.full(500, np.nan),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("length", [500, 60, 2])
def test_quantiles_of_odd_loads_are_ordered_finite_and_not_negative(name, length):
    found = quantiles(KNOWN[name], np.stack(list(ODD.values()))[:, -length:], [1, 5, 30])
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_allclose(found[:2], np.array([0.0, 7.0])[:, None, None] + np.zeros_like(found[:2]), atol=1e-9)
