"""The boosted model learns from all series together, repeats itself bit for bit and says when it cannot forecast."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from sktime.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from ecm.forecast.arrays import take
from ecm.forecast.features import TIME_OF_WEEK, Asked, Known, rows
from ecm.forecast.models import boosted, models
from ecm.forecast.season import Season
from ecm.forecast.usual import Usual

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
SEASON = Season(60)
MODEL = boosted.forecaster(SEASON)
DAYS = 21


def a_load(series=3, days=DAYS, seed=1):
    """Hourly loads with day and week and noise."""
    rng = np.random.default_rng(seed)
    hour = np.arange(days * 24)
    shape = 100 + 60 * np.sin(2 * np.pi * (hour % 24 - 9) / 24) - 30 * ((hour // 24) % 7 >= 5)
    return shape * np.exp(0.05 * rng.standard_normal((series, len(hour))))


def a_regime(series, days, seed=3):
    """A level that jumps by a rule no linear model sees: far from the middle it goes low, near it high (tent map).

    Threshold autoregression: Tong, Non-linear Time Series (1990), 3.3; each value hardly correlates with the next.
    """
    rng = np.random.default_rng(seed)
    state = rng.uniform(-1, 1, series)
    found = np.empty((series, days * 24))
    for step in range(found.shape[1]):
        state = np.clip(1 - 1.9 * np.abs(state) + 0.02 * rng.standard_normal(series), -1, 1)
        found[:, step] = state
    return np.geomspace(10, 10_000, series)[:, None] * (1 + 0.4 * found)


def loss(model, values, first, steps, learnt=None):
    """Mean absolute error from every origin from `first` on, in units of each series' mean load."""
    origins = np.arange(first, values.shape[1] - steps)
    actual = take(values, origins[:, None] + np.arange(1, steps + 1))
    path = model.paths(values, origins, steps, model.learn(values[:, : first + 1]) if learnt is None else learnt)
    error = np.abs(actual - path) / values.mean(axis=1)[:, None, None]
    return np.inf if np.isnan(error).any() else float(error.mean())


@pytest.mark.slow
def test_sktime_accepts_the_model():
    results = check_estimator(boosted.Boosted, raise_exceptions=False, verbose=False)
    assert len(results) > 300
    assert sum("predict_quantiles" in name or "predict_interval" in name for name in results) > 20
    assert {k: v for k, v in results.items() if v != "PASSED"} == {}


def test_it_wins_where_many_short_series_share_a_rule_that_is_not_linear():
    values = a_regime(20, 16)
    losses = {m.name: loss(m.forecaster, values, 14 * 24, 1) for m in models(SEASON) if not m.extra}
    assert losses["boosted"] < 0.7 * min(v for name, v in losses.items() if name != "boosted"), losses


def test_what_one_series_teaches_serves_the_others():
    """Each alone has too few examples for the rule; together they have it."""
    values = a_regime(20, 16)
    alone = [loss(MODEL, values[i : i + 1], 14 * 24, 1) for i in range(3)]
    together = MODEL.learn(values[3:, : 14 * 24 + 1])
    assert loss(MODEL, values[:3], 14 * 24, 1, together) < 0.9 * np.mean(alone)


def test_time_of_week_is_learnt_from_four_weeks_on():
    """Two series whose hours differ by weekday, from step 0, and a third that began last week."""
    hour = np.arange(6 * 168)
    shape = 50 + 50 * (hour % 24 >= 12) * ((hour // 24) % 7 < 3)
    values = np.stack([shape * k * np.exp(0.02 * np.random.default_rng(k).standard_normal(len(hour))) for k in (1, 2)])
    known = MODEL._known(values, 48)
    asked = Asked(np.zeros(3, dtype=int), np.array([500, 524, 500 + 168]), np.array([3, 3, 3]))
    found = rows(known, asked, 168)[:, list(TIME_OF_WEEK)]
    np.testing.assert_allclose(found[0], found[2], atol=1e-9)
    assert np.abs(found[0] - found[1]).max() > 0.3
    assert (MODEL._examples(values[:, : 27 * 24])[0][:, TIME_OF_WEEK[0]] == 0).all()
    assert np.std(MODEL._examples(values[:, : 28 * 24])[0][:, TIME_OF_WEEK[0]]) > 0.5


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_forecast_is_the_quantile_asked_for(share):
    rng = np.random.default_rng(5)
    values = 100 + 10 * rng.exponential(1.0, (10, 28 * 24))
    model = boosted.Boosted(24, 168, 1, 0, quantile=share)
    origins = np.arange(21 * 24, 27 * 24)
    path = model.paths(values, origins, 6, model.learn(values[:, : 21 * 24]))
    below = take(values, origins[:, None] + np.arange(1, 7)) <= path
    assert below.mean() == pytest.approx(share, abs=0.05)


def test_the_same_bytes_with_one_thread_and_two():
    values = a_load(8, 28)
    found = []
    for threads in (1, 2, 1):
        with threadpool_limits(threads):
            found.append(MODEL.paths(values, np.array([600, 650]), 48, MODEL.learn(values[:, :600])).tobytes())
    assert found[0] == found[1] == found[2]


@settings(max_examples=8, deadline=None)
@given(st.integers(14 * 24, DAYS * 24 - 3), st.integers(0, 2**16), st.integers(1, 60))
def test_an_origin_depends_on_nothing_after_it_and_on_no_other_origin(origin, seed, steps):
    values = a_load()
    values[0, 100:130] = np.nan
    learnt = MODEL.learn(values[:, : 14 * 24])
    others = np.array([14 * 24, origin, DAYS * 24 - 2])
    whole = MODEL.paths(values, others, steps, learnt)[:, 1]
    changed = values.copy()
    changed[:, origin + 1 :] = np.random.default_rng(seed).exponential(1e4, changed[:, origin + 1 :].shape)
    alone = MODEL.paths(changed, np.array([origin]), steps, learnt)[:, 0]
    assert np.array_equal(alone, whole)
    cut = MODEL.paths(values[:, : origin + 1], np.array([origin]), steps, learnt)[:, 0]
    assert np.array_equal(cut, whole)


def test_without_parameters_it_learns_before_its_first_origin_alone():
    values = a_load()
    origins = np.array([400, 450])
    given_learnt = MODEL.paths(values, origins, 5, MODEL.learn(values[:, :401]))
    assert np.array_equal(MODEL.paths(values, origins, 5), given_learnt)


def test_a_series_alone_is_forecast_as_in_its_panel():
    values = a_load(30)
    learnt = MODEL.learn(values[:, :400])
    origins = np.arange(400, 480)
    whole = MODEL.paths(values, origins, 30, learnt)
    assert np.array_equal(MODEL.paths(values[7:8], origins, 30, learnt)[0], whole[7])


def test_too_little_history_is_no_forecast():
    assert MODEL.learn(a_load(days=13)) is None
    assert np.isnan(MODEL.paths(a_load(days=13), np.array([300]), 4)).all()
    gone = np.full((1, 500), np.nan)
    gone[0, :5] = 3.0
    assert MODEL.learn(gone) is None


def test_a_new_series_in_a_panel_is_forecast_from_its_first_value():
    values = a_load(10)
    values[4, : 20 * 24] = np.nan
    path = MODEL.paths(values, np.array([20 * 24 - 1, 20 * 24]), 6, MODEL.learn(values[:, :400]))[4]
    assert np.isnan(path[0]).all()
    assert (np.abs(path[1] / values[4, 20 * 24] - 1) < 0.8).all()


ODD = {
    "zero": np.zeros(500),
    "constant": np.full(500, 7.0),
    "ridden with gaps": np.where(np.random.default_rng(1).random(500) < 0.7, np.nan, 50.0 + np.arange(500) % 24),
    "exploding": np.exp(np.arange(500) / 2.0),
    "intermittent": np.where(np.arange(500) % 37 == 0, 1000.0, 0.0),
    "two points": np.r_[np.full(498, np.nan), 3.0, 4.0],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_series_never_break_it(name):
    values = np.stack([ODD[name], *a_load(2)[:, :500]])
    path = MODEL.paths(values, np.array([499]), 30)[0]
    assert np.isfinite(path).all()
    assert (path >= 0).all()
    alone = MODEL.paths(values[:1], np.array([499]), 30)
    assert (np.isnan(alone) | (alone >= 0)).all()
    if name in ("zero", "constant"):
        np.testing.assert_allclose(alone, ODD[name][0])


def test_a_larger_panel_teaches_no_longer(monkeypatch):
    """The time of learning is that of its examples, and their number is bounded."""
    asked = []

    def fit(self, features, target):
        asked.append(features.shape)
        return self

    monkeypatch.setattr(HistGradientBoostingRegressor, "fit", fit)
    for series in (1, 50, 400):
        MODEL.learn(a_load(series))
    assert asked[0][0] <= 4 * DAYS * 24
    assert asked[1][0] > asked[0][0]
    assert boosted.EXAMPLES >= asked[2][0] > 0.7 * boosted.EXAMPLES


def test_the_usual_load_of_a_target_is_older_than_its_origin():
    """Values count upwards: whatever is known of a target was measured at its origin or before."""
    values = np.arange(400.0)[None]
    usual = Usual.of(values, (24, 168), reach=2, ahead=48)
    origins = np.arange(100, 350)
    for ahead in range(1, 49):
        day = int(usual.days_ahead(np.array([ahead]))[0])
        assert (usual.day[day - 1][0, origins + ahead] + 2 <= origins).all()
        assert day == 1 + (ahead + 1) // 24


def test_units_are_the_mean_load_of_the_last_week():
    values = np.r_[np.zeros(10), np.full(200, 4.0), np.full(400, 2.0)][None]
    usual = Usual.of(values, (24, 168), reach=0, ahead=1)
    assert usual.unit[0, [9, 599]].tolist() == [1.0, 2.0]
    known = Known.of(values, usual, 1)
    assert known.residual[0, 210 + 24 * 7 * 2] == pytest.approx(0.0, abs=2.0)
