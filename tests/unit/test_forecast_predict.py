"""The forecast as a whole: joint, whole numbers, honest about what it does not know."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ecm.forecast import ForecastError, Predictor, predict
from ecm.forecast.predicting import NO_BAND
from ecm.model.base import canonical
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Event
from tests.traces import a_fleet

ROOT = Path(__file__).resolve().parents[2]
END = datetime(2026, 3, 5, 10, tzinfo=UTC)
NAMES = (("corp", "mail"), ("corp", "web"))
FLEET = a_fleet(NAMES)


def a_history(*, series=2, days=35, interval=15, seed=4, shared=0.8, end=END):
    """Loads with day and week and a common disturbance that makes up `shared` of the variance."""
    rng = np.random.default_rng(seed)
    steps = days * 1440 // interval
    minute = np.arange(steps)[::-1] * -interval + (end.hour * 60 + 7 * 1440)
    shape = 200 + 120 * np.sin(2 * np.pi * (minute % 1440 - 540) / 1440)
    kernel = np.exp(-np.arange(40) / 8)
    common = np.convolve(rng.standard_normal(steps), kernel / np.linalg.norm(kernel))[:steps]
    own = rng.standard_normal((series, steps))
    own = np.stack([np.convolve(o, kernel / np.linalg.norm(kernel))[:steps] for o in own])
    noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return history_of(shape * np.exp(0.12 * noise), interval, end)


def history_of(values, interval=15, end=END, names=NAMES):
    steps = values.shape[1]
    return DemandHistory(
        interval_min=interval,
        start=end - timedelta(minutes=interval * steps),
        applications=tuple(n for _, n in names),
        vpns=tuple(v for v, _ in names),
        mbps=values,
    )


def predicted(history, fleet=FLEET, as_of=END, lead_min=25, hold_min=120):
    return predict(history, fleet, as_of=as_of, lead_min=lead_min, hold_min=hold_min)


def window_maxima(forecast, rows):
    return forecast.scenarios[rows, :, forecast.window_first_step :].sum(axis=0).max(axis=1)


def test_grid_window_and_numbers():
    forecast = predicted(a_history())
    assert forecast.start == END
    # Steps start at 0, 15, ... 135 min: the window from minute 25 begins in the second, minute 145 is in the tenth.
    assert (forecast.window_first_step, forecast.scenarios.shape[::2]) == (1, (2, 10))
    # Every step of four weeks less what follows the last refit, at midnight.
    assert 27 * 96 - 50 <= forecast.scenarios.shape[1] <= 28 * 96
    # 20 min of hold-back are two steps.
    assert forecast.earlier.shape == (2, *forecast.scenarios[:, :, 1:].shape)
    assert (forecast.scenarios == np.rint(forecast.scenarios)).all()
    assert forecast.scenarios.min() >= 0
    assert 1000 <= forecast.tail_factor_permille <= 1500
    for row, item in enumerate(forecast.applications):
        maxima = np.sort(window_maxima(forecast, [row]))
        assert item.window_p90_mbps == max(maxima[int(np.ceil(0.9 * (len(maxima) + 1))) - 1], item.recent_peak_mbps)
        assert item.window_p50_mbps <= item.window_p90_mbps <= item.window_p99_mbps
        assert all(a <= b <= c for a, b, c in zip(item.p50_mbps, item.p90_mbps, item.p99_mbps, strict=True))
        assert len(item.p50_mbps) == 10
    (total,) = forecast.vpns
    maxima = np.sort(window_maxima(forecast, [0, 1]))
    assert total.window_p90_mbps == max(maxima[int(np.ceil(0.9 * (len(maxima) + 1))) - 1], total.recent_peak_mbps)
    assert total.recent_peak_mbps == sum(a.recent_peak_mbps for a in forecast.applications)


def test_the_quantile_of_the_window_maximum_is_above_those_of_its_steps():
    item = predicted(a_history(shared=0.0)).applications[0]
    assert item.window_p90_mbps > max(item.p50_mbps)
    assert item.window_p90_mbps >= max(item.p90_mbps[1:])


def test_scenarios_keep_the_dependence_between_series():
    def gain(shared):
        forecast = predicted(a_history(shared=shared))
        alone = sum(np.quantile(window_maxima(forecast, [r]), 0.9) for r in (0, 1))
        middle = np.median(window_maxima(forecast, [0, 1]))
        return (np.quantile(window_maxima(forecast, [0, 1]), 0.9) - middle) / (alone - middle)

    assert gain(1.0) > 0.9
    assert gain(0.0) < 0.85


def test_same_input_same_bytes_and_nothing_after_as_of_counts():
    history = a_history()
    once = canonical(predicted(history))
    assert canonical(predicted(history)) == once
    early = END - timedelta(hours=6, minutes=7)
    cut = history_of(history.mbps[:, :-25], end=END - timedelta(minutes=25 * 15))
    assert canonical(predicted(history, as_of=early)) == canonical(predicted(cut, as_of=early))


def test_one_predictor_for_many_moments_gives_what_each_moment_gives_alone():
    history = a_history(days=20)
    shared = Predictor(history, FLEET, lead_min=25, hold_min=120)
    for hours in (1, 11, 30, 35, 59):
        as_of = END - timedelta(hours=hours)
        cut = history_of(history.mbps[:, : -4 * hours], end=as_of)
        assert canonical(shared.at(as_of)) == canonical(predicted(cut, as_of=as_of))


def test_a_kept_fit_gives_the_same_bytes_and_only_forecasts_the_present(monkeypatch):
    history = a_history(days=20)
    early, late = END - timedelta(hours=6), END - timedelta(hours=1)
    first = Predictor(history, FLEET, lead_min=25, hold_min=120)
    first.at(early)
    alone = Predictor(history, FLEET, lead_min=25, hold_min=120).at(late)
    again = Predictor(history, FLEET, lead_min=25, hold_min=120, kept=first.kept)
    monkeypatch.setattr("ecm.forecast.fitting.choose", None)
    assert canonical(again.at(late)) == canonical(alone)
    assert again.kept == first.kept
    monkeypatch.undo()
    # Another history, another fleet, a torn file and the next day are fitted again.
    other = history_of(history.mbps * 1.01)
    torn = Predictor(history, FLEET, lead_min=25, hold_min=120, kept=first.kept[:-40])
    assert canonical(torn.at(late)) == canonical(alone)
    for given in (other, history_of(history.mbps, end=END + timedelta(days=7))):
        kept = Predictor(given, FLEET, lead_min=25, hold_min=120, kept=first.kept)
        fresh = Predictor(given, FLEET, lead_min=25, hold_min=120)
        assert canonical(kept.at(given.end)) == canonical(fresh.at(given.end))
        assert kept.kept == fresh.kept != first.kept


def test_capacity_asked_for_some_minutes_ago_is_in_the_earlier_forecasts():
    history = a_history()
    before = predicted(history, as_of=END - timedelta(minutes=15))
    now = predicted(history)
    first = before.window_first_step
    assert (now.earlier[0] == before.scenarios[:, :, first:]).all()


def test_a_band_that_did_not_hold_over_the_last_week_is_said_and_recovers():
    values = a_history(days=47).mbps.copy()
    # For a week the load triples six times a day, each time for an hour: in the hour before nothing tells of it.
    rng = np.random.default_rng(1)
    bursts = np.ones((7, 12, 8))
    for day in bursts:
        day[rng.choice(12, size=6, replace=False), :4] = 3.0
    values[0, -21 * 96 : -14 * 96] *= bursts.ravel()
    history = history_of(values)
    held = {d: predicted(history, as_of=END - timedelta(days=d)).applications for d in (21, 14, 0)}
    assert {d: a[0].calibrated for d, a in held.items()} == {21: True, 14: False, 0: True}
    assert {d: NO_BAND in a[0].incidents for d, a in held.items()} == {21: False, 14: True, 0: False}
    assert all(a[1].calibrated for a in held.values())


def test_a_decision_after_the_end_of_telemetry_reaches_as_far():
    forecast = predicted(a_history(), as_of=END + timedelta(minutes=50))
    assert forecast.start == END
    assert (forecast.window_first_step, forecast.scenarios.shape[2]) == (5, 13)
    with pytest.raises(ForecastError, match="nothing in the 7 days"):
        predicted(a_history(), as_of=END + timedelta(days=9))
    with pytest.raises(ForecastError, match="nothing in the 7 days"):
        predicted(a_history(), as_of=END - timedelta(days=90))


def test_the_recent_peak_is_a_floor():
    values = a_history().mbps.copy()
    values[0, -2] = 5000.4
    item = predicted(history_of(values)).applications[0]
    assert item.recent_peak_mbps == 5001
    assert item.window_p50_mbps >= 5001
    assert predicted(history_of(values), lead_min=15).applications[0].recent_peak_mbps < 1000


def test_an_unexplained_fall_is_flagged_and_an_explained_one_is_not():
    values = a_history().mbps.copy()
    values[1, -2:] *= 0.2
    fell = predicted(history_of(values)).applications
    assert [a.unexplained_fall for a in fell] == [False, True]
    works = Event(
        id="works",
        kind="works",
        start=END - timedelta(hours=1),
        end=END + timedelta(hours=1),
        application="web",
        expected_factor=0.2,
    )
    told = predicted(history_of(values), a_fleet(NAMES, events=(works,))).applications
    assert [a.unexplained_fall for a in told] == [False, False]
    # Missing telemetry is no fall.
    values[1, -2:] = np.nan
    assert not predicted(history_of(values)).applications[1].unexplained_fall


def test_gaps_are_tolerated_and_never_zero():
    history = a_history()
    rng = np.random.default_rng(0)
    values = history.mbps.copy()
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 1000:1100] = np.nan
    whole, holed = predicted(history), predicted(history_of(values))
    for one, other in zip(whole.applications, holed.applications, strict=True):
        assert other.window_p50_mbps == pytest.approx(one.window_p50_mbps, rel=0.15)
        assert other.window_p90_mbps == pytest.approx(one.window_p90_mbps, rel=0.25)


def test_a_younger_series_does_not_shorten_the_others():
    values = a_history().mbps.copy()
    alone = predicted(history_of(values)).applications[0]
    values[1, : -9 * 96] = np.nan
    forecast = predicted(history_of(values))
    assert forecast.applications[0] == alone
    assert forecast.scenarios.shape[1] > 2000
    assert forecast.applications[1].coverage_permille > 500
    assert "wide" not in forecast.applications[1].model


@pytest.mark.parametrize("steps", [1, 5, 60])
def test_too_short_for_errors_is_the_last_value_with_a_wide_band(steps):
    values = a_history().mbps[:, -steps:]
    forecast = predicted(history_of(values))
    item = forecast.applications[0]
    last = values[0, -1]
    assert item.model == "last-value, wide band"
    assert item.p50_mbps[0] == pytest.approx(last, rel=0.05)
    assert item.p90_mbps[0] == pytest.approx(1.9 * last, rel=0.1)
    assert item.p99_mbps[0] > 2.5 * last
    assert item.coverage_permille == 0


def test_series_of_three_values_with_no_sibling_to_borrow_from_are_wide():
    values = a_history().mbps.copy()
    values[:, :-3] = np.nan
    assert [a.model for a in predicted(history_of(values)).applications] == ["last-value, wide band"] * 2


def test_an_application_without_any_value_is_named():
    values = a_history().mbps.copy()
    values[:] = np.nan
    values[0, -5:] = 3.0
    with pytest.raises(ForecastError) as caught:
        predicted(history_of(values))
    assert caught.value.applications == ("web",)
    assert "fleet file" in str(caught.value)


def test_a_higher_level_raises_the_forecast():
    values = a_history().mbps.copy()
    usual = predicted(history_of(values)).applications[0].window_p90_mbps
    values[0, -6:] *= 1.8
    assert predicted(history_of(values)).applications[0].window_p90_mbps > 1.3 * usual


def test_idle_and_constant_series_are_forecast():
    values = np.stack([np.zeros(96 * 20), np.full(96 * 20, 37.0)])
    idle, constant = predicted(history_of(values)).applications
    assert (idle.window_p99_mbps, idle.last_mbps) == (0, 0)
    assert (constant.window_p50_mbps, constant.window_p99_mbps) == (37, 37)


@pytest.mark.parametrize("interval", [1, 5, 60])
def test_any_interval(interval):
    forecast = predicted(a_history(interval=interval, days=15 if interval == 1 else 35))
    steps = -(-145 // interval)
    assert forecast.scenarios.shape == (2, forecast.scenarios.shape[1], steps)
    assert 400 <= forecast.scenarios.shape[1] <= 8064


BYTES = """
import hashlib
import numpy as np
from ecm.forecast.outlook import outlook
from ecm.model.base import canonical
from tests.traces import a_fleet
from tests.unit.test_forecast_predict import END, a_history, history_of, predicted
names = tuple(("corp", f"a{n}") for n in range(9))
rows = [a_history(days=16, interval=30, seed=n).mbps[:1] for n in range(9)]
nine = history_of(np.concatenate(rows), 30, names=names)
print(hashlib.sha256(canonical(predicted(a_history(days=21)))).hexdigest())
print(hashlib.sha256(canonical(outlook(nine, a_fleet(names), as_of=END))).hexdigest())
"""
"""Nine series are enough for a model of all of them."""


@pytest.mark.slow
def test_one_and_two_threads_give_the_same_bytes():
    def digest(threads):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", BYTES], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        )
        return run.stdout

    one, two = digest("1"), digest("2")
    assert one == two
    assert len(one.split()) == 2
