"""Every model is an sktime forecaster, sees no future, and forecasts from many origins what it would from each."""

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.exp_smoothing import ExponentialSmoothing
from sktime.forecasting.naive import NaiveForecaster
from sktime.utils.estimator_checks import check_estimator

from ecm.forecast.models import candidates, models
from ecm.forecast.models.naive_week import SeasonalNaive
from ecm.forecast.models.seasonal_level import SeasonalLevel
from ecm.forecast.models.smoothed_residual import SMOOTHING, levels
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

SEASON = Season(60)
KNOWN = {m.name: m.forecaster for m in models(SEASON) if not m.extra}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def a_load(series=2, weeks=4, seed=1, noise=0.03):
    """Hourly loads with day and week and a level that wanders."""
    rng = np.random.default_rng(seed)
    hour = np.arange(weeks * 168)
    shape = 100 + 60 * np.sin(2 * np.pi * (hour % 24 - 9) / 24) - 30 * ((hour // 24) % 7 >= 5)
    wander = np.exp(0.02 * rng.standard_normal((series, len(hour))).cumsum(axis=1) * 0.5)
    return shape * wander * np.exp(noise * rng.standard_normal((series, len(hour))))


def test_models_are_found_by_their_files_in_order_of_preference():
    assert [m.name for m in models(SEASON)] == [
        "seasonal-level",
        "arima",
        "mstl",
        "residual-regression",
        "boosted",
        "ets",
        "lstm",
        "smoothed-residual",
        "theta",
        "local-level",
        "naive-week",
        "naive-day",
        "last-value",
    ]
    assert {m.name for m in candidates(SEASON, 7)} == set(KNOWN) - {"boosted"}
    assert [m.name for m in candidates(SEASON, 8)] == list(KNOWN)


@pytest.mark.parametrize(
    "name",
    [
        "seasonal-level",
        *(pytest.param(n, marks=pytest.mark.slow) for n in KNOWN if n not in ("seasonal-level", "naive-day")),
    ],
)
def test_sktime_accepts_the_model(name):
    results = check_estimator(type(KNOWN[name]), raise_exceptions=False, verbose=False)
    assert len(results) > 300
    assert sum("predict_quantiles" in name or "predict_interval" in name for name in results) > 20
    assert {k: v for k, v in results.items() if v != "PASSED"} == {}


@pytest.mark.parametrize("name", KNOWN)
def test_a_forecast_sees_nothing_after_its_origin(name):
    load = a_load()
    origins = np.array([400, 450, 500])
    whole = KNOWN[name].paths(load, origins, 30)
    assert np.isfinite(whole).all()
    changed = load.copy()
    changed[:, 451:] *= 7
    assert np.array_equal(KNOWN[name].paths(changed, origins, 30)[:, :2], whole[:, :2])


LEARNING = [n for n, m in KNOWN.items() if type(m).learn is not PanelForecaster.learn]


def test_models_with_parameters_are_known():
    assert sorted(LEARNING) == ["arima", "boosted", "ets", "mstl", "smoothed-residual", "theta"]


@pytest.mark.parametrize("name", LEARNING)
def test_with_what_was_learnt_an_origin_does_not_depend_on_the_others(name):
    load = a_load()
    learnt = KNOWN[name].learn(load[:, :380])
    origins = np.array([390, 401, 480])
    together = KNOWN[name].paths(load, origins, 9, learnt)
    assert np.isfinite(together).all()
    for i, origin in enumerate(origins):
        alone = KNOWN[name].paths(load[:, : origin + 1], np.array([origin]), 9, learnt)
        np.testing.assert_allclose(alone[:, 0], together[:, i], rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in KNOWN if n not in LEARNING])
def test_paths_of_many_origins_are_what_fit_and_predict_give_for_each(name):
    load = a_load()
    load[0, 300:310] = np.nan
    origins = np.array([390, 401, 480])
    paths = KNOWN[name].paths(load, origins, 9)
    for i, origin in enumerate(origins):
        frame = pd.DataFrame(load[:, : origin + 1].T, columns=["a", "b"])
        predicted = KNOWN[name].clone().fit(frame).predict(fh=np.arange(1, 10))
        np.testing.assert_allclose(predicted.to_numpy().T, paths[:, i], rtol=1e-9)


@pytest.mark.parametrize("steps", [5, 24, 30])
def test_seasonal_naive_is_sktimes_own(steps):
    load = a_load()
    ours = SeasonalNaive(season_steps=24).paths(load, np.array([499]), steps)[0, 0]
    theirs = NaiveForecaster(strategy="last", sp=24).fit(pd.Series(load[0, :500])).predict(fh=np.arange(1, steps + 1))
    np.testing.assert_allclose(ours, theirs.to_numpy())


def test_smoothing_is_sktimes_own():
    residual = np.random.default_rng(2).standard_normal((1, 60)).cumsum(axis=1)
    residual[0, 0] = 0.0
    found = levels(residual, np.array(SMOOTHING)[:, None])[:, 0, -1]
    for share, level in zip(SMOOTHING, found, strict=True):
        model = ExponentialSmoothing(
            smoothing_level=share, optimized=False, initialization_method="known", initial_level=0.0
        )
        assert model.fit(pd.Series(residual[0])).predict(fh=[1]).iloc[0] == pytest.approx(level)


def test_the_level_fades_back_to_the_usual():
    usual = np.tile(np.r_[np.full(12, 50.0), np.full(12, 100.0)], 28)[None]
    usual[0, -1] *= 1.5
    model = SeasonalLevel(day_steps=24, week_steps=168, recent_steps=1, fade_steps=4.0, reach=0)
    path = model.paths(usual, np.array([usual.shape[1] - 1]), 24)[0, 0]
    np.testing.assert_allclose(path, usual[0, :24] * (1 + 0.5 * np.exp(-np.arange(1, 25) / 4)))


@pytest.mark.parametrize("name", KNOWN)
def test_a_missing_value_is_not_a_zero(name):
    load = a_load(noise=0.0)
    origins = np.array([500])
    whole = KNOWN[name].paths(load, origins, 12)
    gaps = load.copy()
    gaps[:, 495:501] = np.nan
    gaps[:, 340:350] = np.nan
    holed = KNOWN[name].paths(gaps, origins, 12)
    assert np.isfinite(holed).all()
    if name not in ("last-value", "local-level"):
        assert (np.abs(holed / whole - 1) < 0.4).all()
        # Zeros in their place would halve it.
        assert np.abs(holed / whole - 1).mean() < 0.12


def test_models_that_need_more_history_say_so():
    load = a_load()[:, :20]
    for name, model in KNOWN.items():
        unready = np.isnan(model.paths(load, np.array([19]), 3)).all()
        assert unready == (name not in ("last-value", "local-level")), name
