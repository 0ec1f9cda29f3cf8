"""What occurrences did to a load and what is expected of the next: measured on loads whose effects are known."""

import math
import re

import numpy as np
import pytest

from ecm.forecast.causes import Cause
from ecm.forecast.effects import effects
from ecm.forecast.season import Season
from tests import traces

SEASON = Season(15)
DAY = SEASON.day
WEEKS = 6


def a_load(days=7 * WEEKS, noise=0.05, seed=7, season=SEASON):
    """A load with a day and a week, noise that remembers for about an hour, and a level that wanders slowly."""
    rng = np.random.default_rng(seed)
    step = np.arange(days * season.day)
    day = 1 + 0.6 * np.sin(2 * math.pi * step / season.day)
    week = np.where(step // season.day % 7 >= 5, 0.6, 1.0)
    memory = math.exp(-season.interval_min / 60)
    white = rng.standard_normal(len(step)) * math.sqrt(1 - memory**2)
    red = np.zeros(len(step))
    for i in range(1, len(step)):
        red[i] = memory * red[i - 1] + white[i]
    level = np.exp(np.cumsum(rng.normal(0, 0.02 / math.sqrt(season.day), len(step))))
    return 100 * day * week * level * np.exp(noise * red)


def occurrence(day, hour=10.0, hours=4.0, *, kind="sale", stated=None, season=SEASON):
    first = round((day + hour / 24) * season.day)
    return Cause(f"{kind}-{day}", kind, first, first + round(hours / 24 * season.day), stated, f"on day {day}")


def with_effects(values, causes, factors):
    load = values.copy()
    for cause, factor in zip(causes, factors, strict=True):
        load[max(cause.first, 0) : cause.after] *= factor
    return load


@pytest.mark.parametrize("hours", [1, 2, 6, 24, 72])
@pytest.mark.parametrize("factor", [0.5, 1.5, 4.0])
def test_an_effect_is_measured_whatever_its_length(hours, factor):
    for minutes in (5, 15):
        season = Season(minutes)
        cause = occurrence(20, hour=0 if hours >= 24 else 10, hours=hours, season=season)
        load = with_effects(a_load(35, season=season), [cause], [factor])
        found = effects(load, (cause,), season, DAY)
        assert found.measured[cause.first] == pytest.approx(factor, rel=0.10)
        outside = np.delete(found.measured, np.arange(cause.first, cause.after))
        assert (outside == 1).all()


def test_an_effect_is_measured_in_the_first_week_from_the_days_before():
    cause = occurrence(3)
    load = with_effects(a_load(5), [cause], [1.6])
    assert effects(load, (cause,), SEASON, DAY).measured[cause.first] == pytest.approx(1.6, rel=0.1)
    # On the first day there is nothing to compare with.
    first = occurrence(0)
    assert effects(load, (first,), SEASON, DAY).measured[first.first] == 1


def test_a_growing_level_is_not_taken_for_an_effect():
    """A level that rises by half in a week: the days before and after an occurrence say how high it is."""
    step = np.arange(30 * DAY)
    load = a_load(30) * np.exp(np.maximum(step - 18 * DAY, 0) / DAY * 0.06)
    cause = occurrence(22, hour=0, hours=24)
    found = effects(with_effects(load, [cause], [1.4]), (cause,), SEASON, DAY)
    assert found.measured[cause.first] == pytest.approx(1.4, rel=0.06)


def test_a_burst_among_the_earlier_weeks_does_not_spoil_the_usual_load():
    cause = occurrence(27)
    load = a_load(30)
    load[cause.first - 7 * DAY : cause.after - 7 * DAY] *= 8
    found = effects(with_effects(load, [cause], [1.5]), (cause,), SEASON, DAY)
    assert found.measured[cause.first] == pytest.approx(1.5, rel=0.12)


def test_an_impossible_measurement_is_bounded_and_an_empty_one_is_none():
    cause = occurrence(20, stated=2.0)
    for factor, bound in ((1e-3, 0.1), (500.0, 20.0)):
        found = effects(with_effects(a_load(30), [cause], [factor]), (cause,), SEASON, DAY)
        assert found.measured[cause.first] == pytest.approx(bound)
    for silence in (0.0, np.nan):
        found = effects(with_effects(a_load(30), [cause], [silence]), (cause,), SEASON, DAY)
        assert found.measured[cause.first] == pytest.approx(2.0)


def test_a_long_occurrence_is_measured_where_it_is_alone():
    season_sale, launch = occurrence(21, hour=0, hours=48, kind="season"), occurrence(22, hours=4, kind="launch")
    load = with_effects(a_load(30), [season_sale, launch], [1.5, 2.0])
    found = effects(load, (season_sale, launch), SEASON, DAY)
    assert found.measured[season_sale.first] == pytest.approx(1.5, rel=0.08)
    # What of the launch cannot be told apart is not learnt.
    again = occurrence(31, kind="launch")
    assert effects(load, (season_sale, launch, again), SEASON, 3 * DAY).causes[2][1].basis == ""


def test_the_next_occurrence_is_expected_to_do_what_those_before_did():
    causes = tuple(occurrence(d) for d in (10, 16, 23, 29, 33))
    load = with_effects(a_load(), causes, [1.3, 1.5, 1.4, 1.45, 1.35])[: 32 * DAY]
    found = effects(load, causes, SEASON, 3 * DAY)
    basis = [e.basis for _, e in found.causes]
    assert basis == ["", *(f"learnt from {n} occurrence{'s' if n > 1 else ''}" for n in (1, 2, 3, 4))]
    coming = causes[-1]
    assert found.expected[coming.first] == pytest.approx(1.41, rel=0.06)
    low, high = found.causes[-1][1].interval80
    assert low < 1.3
    assert 1.5 < high < 2.0
    assert (found.sigma[coming.first : coming.after] == found.causes[-1][1].sigma).all()
    during = np.zeros(len(found.sigma), dtype=bool)
    for cause in causes:
        during[cause.first : cause.after] = True
    assert (found.sigma[during] > 0).all()
    assert (found.sigma[~during] == 0).all()
    assert (found.expected[~during] == 1).all()


def test_kinds_are_learnt_apart():
    sale, launch = occurrence(15), occurrence(20, kind="launch")
    coming = occurrence(30), occurrence(30, hour=18, kind="launch")
    load = with_effects(a_load(), [sale, launch], [1.5, 0.6])[: 29 * DAY]
    found = effects(load, (sale, launch, *coming), SEASON, 2 * DAY)
    assert found.expected[coming[0].first] == pytest.approx(1.5, rel=0.1)
    assert found.expected[coming[1].first] == pytest.approx(0.6**0.5, rel=0.1)
    assert found.may_lower(coming[1].first, coming[1].after)
    assert not found.may_lower(coming[0].first, coming[0].after)


def test_an_occurrence_under_way_is_measured_as_far_as_it_went():
    causes = (occurrence(12), occurrence(19), occurrence(30, hours=8))
    load = with_effects(a_load(), causes, [1.3, 1.3, 2.2])
    running = causes[-1]
    factors = []
    for until in (running.first, running.first + 4, running.first + 16, running.after - 1):
        found = effects(load[:until], causes, SEASON, 2 * DAY)
        factors.append(found.expected[running.after - 1])
        if until > running.first:
            # What was expected before it began stays as it was; what is past of it counts as measured.
            assert found.expected[until - 1] == pytest.approx(factors[0])
            assert found.measured[running.first] == pytest.approx(factors[-1])
            assert found.causes[-1][1].basis == "learnt from 2 occurrences and what was measured of it"
    assert factors[0] == pytest.approx(1.3, rel=0.1)
    assert factors == sorted(factors)
    assert factors[-1] == pytest.approx(2.2, rel=0.12)


def test_an_unknown_occurrence_under_way_is_no_longer_unknown():
    cause = occurrence(30, hours=8)
    load = with_effects(a_load(), [cause], [1.8])[: cause.first + 8]
    found = effects(load, (cause,), SEASON, DAY)
    assert found.expected[len(load)] == pytest.approx(1.7, rel=0.15)
    (text,) = found.texts(len(load), len(load) + 4)
    assert text.startswith("sale-30 adds ")
    assert text.endswith(" on day 30 (measured so far)")


def test_texts_name_effect_interval_time_and_basis():
    past = tuple(occurrence(d) for d in (14, 21, 28))
    causes = (*past, occurrence(35), occurrence(35, hour=16, kind="quiet", stated=0.8), occurrence(36, kind="new"))
    # Without noise three equal effects and the assumed error leave a reach of 1.482 sqrt(0.0248 (1 + 1 / 2.74)).
    load = with_effects(np.tile(a_load(7), WEEKS), past, [1.38] * 3)[: 34 * DAY]
    found = effects(load, causes, SEASON, 4 * DAY)
    known, quiet, unknown = found.texts(34 * DAY, 38 * DAY)
    adds = re.fullmatch(r"sale-35 adds (\d+) % \((-?\d+) to (\d+) %\) on day 35 \(learnt from 3 occurrences\)", known)
    assert adds
    percent, low, high = (int(n) for n in adds.groups())
    assert low < percent < high
    assert abs(percent - 38) <= 3
    assert quiet == "quiet-35 takes 20 % (-27 to 50 %) on day 35 (prior from fleet file)"
    assert unknown == "new-36 on day 36: effect unknown, none assumed"
    assert found.texts(34 * DAY, 35 * DAY) == ()


def test_without_causes_and_without_history_nothing_is_changed():
    none = effects(a_load(3), (), SEASON, 10)
    assert (none.measured == 1).all()
    assert (none.expected == 1).all()
    assert (none.sigma == 0).all()
    cause = occurrence(0, stated=1.5)
    short = effects(np.array([1.0, np.nan]), (cause,), SEASON, DAY)
    assert short.expected[cause.first] == pytest.approx(1.5)
    assert len(short.expected) == 2 + DAY


def test_eight_in_ten_measured_occurrences_lie_in_the_interval():
    """25 loads with ten occurrences each, every one with an effect of its own around its kind's."""
    inside = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        days = np.sort(rng.choice(np.arange(8, 41), 10, replace=False))
        causes = tuple(occurrence(int(d), hour=float(rng.uniform(6, 18))) for d in days)
        true = np.exp(rng.normal(rng.uniform(0.1, 0.7), 0.17, 10))
        found = effects(with_effects(a_load(noise=0.1, seed=seed), causes, true), causes, SEASON, DAY)
        for (_, belief), factor in list(zip(found.causes, true, strict=True))[2:]:
            inside.append(belief.interval80[0] <= factor <= belief.interval80[1])
    assert len(inside) == 200
    assert 0.70 <= np.mean(inside) <= 0.95


@pytest.mark.skipif(not traces.available(), reason="../shared/data is absent")
@pytest.mark.parametrize("shared", [True, False])
def test_campaigns_in_a_public_trace_lie_in_the_interval(shared):
    """Ten campaigns of four hours in four weeks of the NASA trace, one effect for all or one each, in [1.2, 2]."""
    table = np.genfromtxt(traces.FOLDER / "nasa_requests_5min_july.csv", delimiter=",", skip_header=1, usecols=1)
    season = Season(5)
    inside = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        days = np.sort(rng.choice(np.arange(2, 27), 10, replace=False))
        causes = tuple(occurrence(int(d), hour=float(rng.uniform(8, 19)), season=season) for d in days)
        true = np.full(10, rng.uniform(1.2, 2)) if shared else rng.uniform(1.2, 2, 10)
        found = effects(with_effects(table, causes, true), causes, season, season.day)
        for (_, belief), factor in list(zip(found.causes, true, strict=True))[2:]:
            inside.append(belief.interval80[0] <= factor <= belief.interval80[1])
    assert np.mean(inside) >= 0.8
