"""A young series has the past of its siblings, at its own level, and says so."""

from datetime import timedelta

import numpy as np
import pytest

from ecm.forecast import ForecastError, Predictor
from ecm.forecast.causes import causes_of
from ecm.forecast.effects import effects
from ecm.forecast.horizon import Horizon
from ecm.forecast.siblings import PRIOR_MIN, UNLIKE, complete
from ecm.model.base import canonical
from ecm.model.fleet import Event
from tests.traces import a_fleet
from tests.unit.test_forecast_predict import END, FLEET, a_history, history_of, predicted

DAY = 96
"""Steps of 15 min."""
NAMES = (("corp", "mail"), ("corp", "web"), ("other", "wiki"))


def a_shape(days=20, phase_h=0):
    """A day's cycle without noise, mean 100; the last step ends at END."""
    minute = np.arange(days * DAY)[::-1] * -15 + END.hour * 60
    return 100 + 60 * np.sin(2 * np.pi * (minute - phase_h * 60) / 1440)


def young(values, row, steps):
    values = np.array(values, dtype=float)
    values[row, :-steps] = np.nan
    return values


def completed(history, fleet, as_of=END):
    horizon = Horizon.of(history, as_of, 25, 120)
    span = (history.start, history.interval_min, horizon.length + horizon.steps)
    learnt = [
        effects(row[: horizon.fitted], causes_of(fleet, name, span), horizon.season, span[2] - horizon.fitted)
        for name, row in zip(history.applications, history.mbps, strict=True)
    ]
    return complete(history, fleet, horizon, learnt), horizon


def test_the_past_is_the_siblings_shape_at_the_own_level_and_what_was_measured_stays():
    values = young([a_shape(), 4 * a_shape()], 1, 2 * DAY)
    lent, _ = completed(history_of(values), FLEET)
    assert set(lent.loans) == {1}
    assert lent.loans[1].begun == 18 * DAY
    assert (lent.values[:, 18 * DAY :] == values[:, 18 * DAY :]).all()
    assert (lent.values[0] == values[0]).all()
    assert not np.isnan(lent.values).any()
    assert (lent.values[1, : 18 * DAY] / a_shape()[: 18 * DAY]).tolist() == pytest.approx([4.0] * 18 * DAY, rel=0.07)


def test_minutes_of_overlap_count_little_and_half_an_hour_counts_half():
    assert PRIOR_MIN == 30
    values = young([np.full(20 * DAY, 100.0), np.full(20 * DAY, 1000.0)], 1, 2)
    lent, horizon = completed(history_of(values), FLEET)
    assert horizon.length - horizon.fitted == 0
    assert lent.values[1, 0] == pytest.approx(550)


def test_who_is_in_the_same_vpn_lends_and_only_else_the_others():
    loads = [a_shape(), a_shape(), a_shape(phase_h=7)]
    fleet = a_fleet(NAMES)
    lent, _ = completed(history_of(young(loads, 1, DAY), names=NAMES), fleet)
    assert lent.loans[1].lenders == ("mail",)
    lent, _ = completed(history_of(young(loads, 2, DAY), names=NAMES), fleet)
    assert lent.loans[2].lenders == ("mail", "web")
    assert lent.loans[2].text == ", borrowed from mail, web"
    # One that began just before cannot lend either.
    both = young(young(loads, 1, DAY), 0, 2 * DAY)
    lent, _ = completed(history_of(both, names=NAMES), fleet)
    assert lent.loans[1].lenders == ("wiki",)


def test_another_zones_morning_is_another_moment():
    names = (("corp", "mail"), ("tokyo", "wiki"))
    fleet = a_fleet(names)
    zones = {"corp": "UTC", "tokyo": "Asia/Tokyo"}
    fleet = fleet.model_copy(
        update={"vpns": tuple(v.model_copy(update={"time_zone": zones[v.id]}) for v in fleet.vpns)}
    )
    morning = [a_shape(), a_shape(phase_h=-9)]
    lent, _ = completed(history_of(young(morning, 1, DAY), names=names), fleet)
    known = ~np.isnan(lent.values[1])
    assert known[7 * DAY :].all()
    assert lent.values[1][known] == pytest.approx(morning[1][known], rel=0.05)
    lent, _ = completed(history_of(young(morning, 0, DAY), names=names), fleet)
    known = ~np.isnan(lent.values[0])
    assert known[7 * DAY :].all()
    assert lent.values[0][known] == pytest.approx(morning[0][known], rel=0.05)


def test_a_lenders_campaign_is_not_borrowed():
    loads = np.array([a_shape(), a_shape()])
    burst = slice(15 * DAY, 15 * DAY + 16)
    loads[0, burst] *= 3
    start = END - timedelta(days=5)
    campaign = Event(id="sale", kind="sale", start=start, end=start + timedelta(hours=4), application="mail")
    history = history_of(young(loads, 1, DAY))
    lent, _ = completed(history, a_fleet(NAMES[:2], events=(campaign,)))
    assert (lent.values[1, burst] < 1.3 * a_shape()[burst]).all()
    assert (completed(history, FLEET)[0].values[1, burst] > 2.5 * a_shape()[burst]).all()


def test_what_the_mean_of_many_hides_widens_the_errors():
    rng = np.random.default_rng(3)
    names = tuple(("corp", f"app{i}") for i in range(6))
    loads = a_shape() * rng.uniform(0.6, 1.4, (6, 20 * DAY))
    fleet = a_fleet(names)
    many = completed(history_of(young(loads, 5, DAY), names=names), fleet)[0].loans[5].widening
    one = completed(history_of(young(loads[:2], 1, DAY), names=names[:2]), a_fleet(names[:2]))[0].loans[1].widening
    assert one == UNLIKE
    assert many > 1.1 * UNLIKE


def test_the_first_hour_knows_the_morning_that_comes():
    values = a_history(shared=0.8).mbps.copy()
    early = END - timedelta(hours=4)
    cut = history_of(young(values[:, :-16], 1, 4), end=early)
    item = predicted(cut, as_of=early, lead_min=120).applications[1]
    coming = values[1, -16:][8:17].max()
    assert "borrowed from mail" in item.model
    assert item.recent_peak_mbps < 0.8 * coming
    assert coming < item.window_p90_mbps < 1.8 * coming
    assert not item.calibrated
    assert item.coverage_permille == 0


def test_nothing_is_borrowed_after_the_days_that_models_learn_from():
    values = a_history().mbps
    assert "borrowed" in predicted(history_of(young(values, 1, 7 * DAY))).applications[1].model
    assert "borrowed" not in predicted(history_of(young(values, 1, 9 * DAY))).applications[1].model


def test_an_application_without_any_value_borrows_all_of_it():
    values = a_history().mbps.copy()
    values[1] = np.nan
    mail, web = predicted(history_of(values)).applications
    assert "borrowed from mail" in web.model
    assert (web.recent_peak_mbps, web.last_mbps, web.calibrated) == (0, 0, False)
    assert web.window_p50_mbps == pytest.approx(mail.window_p50_mbps, rel=0.2)
    assert web.window_p99_mbps - web.window_p50_mbps >= 1.1 * (mail.window_p99_mbps - mail.window_p50_mbps)


def test_idle_siblings_lend_nothing():
    values = np.zeros((2, 20 * DAY))
    values[1] = np.nan
    with pytest.raises(ForecastError) as caught:
        predicted(history_of(values))
    assert caught.value.applications == ("web",)


def test_one_predictor_through_the_first_days_gives_what_each_moment_gives_alone():
    history = history_of(young(a_history(days=20).mbps, 1, 52 * 4 + 1))
    shared = Predictor(history, FLEET, lead_min=25, hold_min=120)
    for quarters in (0, 1, 3, 9, 60, 130, 207, 208, 209, 230):
        as_of = END - timedelta(minutes=15 * quarters)
        cut = history_of(history.mbps[:, : history.mbps.shape[1] - quarters], end=as_of)
        assert canonical(shared.at(as_of)) == canonical(predicted(cut, as_of=as_of)), quarters


def test_a_young_series_is_fitted_again_every_hour_until_it_is_two_days_old():
    history = history_of(young(a_history(days=20).mbps, 1, 60 * 4))
    ages = {h: Horizon.of(history, END - timedelta(hours=h), 25, 120) for h in (0, 1, 12, 30, 59, 61)}
    assert {h: (o.refit - o.fitted) // 4 for h, o in ages.items()} == {0: 24, 1: 24, 12: 1, 30: 1, 59: 1, 61: 24}
