"""Outages, retry storms and new levels on generated loads: what is recognised, said, and left out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.forecast.incidents import Grid
from ecm.forecast.recognising import recognise
from ecm.forecast.season import Season

START = datetime(2026, 3, 2, tzinfo=UTC)
INTERVAL = 15
DAY = 1440 // INTERVAL
DAYS = 24


def a_load(seed=1, *, days=DAYS, noise=0.08, weekend=0.4):
    """Load of an office, quieter at the weekend; the first day is a Monday."""
    rng = np.random.default_rng(seed)
    step = np.arange(days * DAY)
    shape = 200 + 150 * np.sin(2 * np.pi * (step % DAY) / DAY - 2)
    shape *= np.where(step // DAY % 7 >= 5, weekend, 1.0)
    return shape * np.exp(noise * rng.standard_normal(step.size))


def recognised(load, *, explained=(), fitted=None):
    """What befell `load`; None: nothing."""
    flags = np.zeros((1, load.size), dtype=bool)
    for span in explained:
        flags[0, span] = True
    grid = Grid(START, Season(INTERVAL), load.size if fitted is None else fitted)
    return recognise(load[None], flags, grid).get(0)


def at(day, hour, hours):
    first = day * DAY + round(hour * 60 / INTERVAL)
    return slice(first, first + round(hours * 60 / INTERVAL))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.25])
def test_an_ordinary_load_falls_hardly_ever(seed, noise):
    """Bursts, weekends, gaps and a slow day are no falls; 4 sigma leaves single steps."""
    load = a_load(seed, noise=noise)
    load[at(15, 9, 3)] *= 6
    load[at(17, 0, 24)] *= 0.7
    load[at(18, 8, 5)] = np.nan
    found = recognised(load)
    assert found is None or found.fallen.sum() <= 3
    assert found is None or not found.storm.any()


@pytest.mark.parametrize("left", [0.0, 0.3])
@pytest.mark.parametrize("hours", [0.5, 6, 20])
def test_an_outage_is_left_out_and_its_storm(left, hours):
    load = a_load()
    outage, storm = at(20, 10, hours), at(20, 10 + hours, 0.5)
    load[outage] *= left
    load[storm] *= 2.5
    found = recognised(load)
    assert found.fallen[outage].all()
    assert found.left_out[outage].all()
    assert found.storm[storm].all()
    assert not found.unlearnt[: outage.start].any()
    # The hour after it is watched, not more.
    watched = np.flatnonzero(found.watched)
    assert (watched[0], watched[-1]) == (outage.stop, outage.stop + 60 // INTERVAL - 1)
    assert found.holds(outage.start)
    assert found.holds(outage.stop + 3)
    assert not found.holds(outage.stop + 4)


def test_what_is_said():
    load = a_load()
    outage = at(20, 10, 3)
    load[outage] *= 0.1
    load[at(20, 13, 0.5)] *= 2.5
    found = recognised(load)
    before, during, after, later = (found.texts(outage.start + s) for s in (-1, 5, 13, 40))
    assert before == ()
    assert during[0].startswith("fell at 2026-03-22 10:00 UTC to ")
    assert "nothing is scaled in until it comes back, an event says why, or a whole day" in during[0]
    assert after[0] == (
        "came back at 2026-03-22 13:00 UTC from an unexplained fall: nothing is scaled in until 14:00 UTC, "
        "as a retry storm may follow"
    )
    assert len(later) == 1
    assert later[0] == (
        "the unexplained fall of 2026-03-22 10:00 UTC, 180 min, and 30 min of a retry storm after it are left out "
        "of what models learn"
    )


def test_an_event_explains_a_fall_also_one_under_way():
    load = a_load()
    outage = at(20, 10, 8)
    load[outage] *= 0.1
    assert recognised(load, explained=[outage]) is None
    half = slice(outage.start + 8, outage.stop)
    found = recognised(load, explained=[half])
    assert found.fallen[outage.start : half.start].all()
    assert not found.fallen[half].any()


@pytest.mark.parametrize("hour", [1, 10, 20])
def test_a_fall_that_filled_a_day_is_a_level_within_two(hour):
    load = a_load()
    first = at(15, hour, 1).start
    load[first:] *= 0.3
    found = recognised(load[: first + DAY - 8], fitted=first // DAY * DAY)
    assert found.fallen[first:].all()
    found = recognised(load)
    assert not found.fallen[first + 2 * DAY :].any()
    assert not found.left_out[first + 2 * DAY :].any()
    assert found.texts(18 * DAY + 3)[-1].startswith("a new level: all of the last whole day (UTC) at 0.3")
    # From the new level it can fall again.
    load[at(20, 10, 2)] *= 0.1
    assert recognised(load).fallen[at(20, 10, 2)].all()


def test_zeros_of_days_are_forgotten_once_the_load_is_back():
    load = a_load()
    outage = at(15, 10, 60)
    load[outage] = 0.0
    during, after = recognised(load[: outage.stop]), recognised(load)
    assert not during.fallen[-DAY // 4 :].any()
    assert after.left_out[outage].all()
    assert not after.left_out[outage.stop + 2 :].any()


def test_a_level_shift_up_is_said_and_never_left_out():
    load = a_load()
    load[15 * DAY :] *= 3
    found = recognised(load[: 16 * DAY + 5], fitted=16 * DAY)
    assert found.texts(16 * DAY + 4)[0].startswith("a new level: all of the last whole day (UTC) at 3")
    assert not found.unlearnt.any()
    early = recognised(load[: 15 * DAY + 12], fitted=15 * DAY)
    assert np.flatnonzero(early.risen).tolist() == [15 * DAY + s for s in (7, 8, 9, 10, 11)]
    assert "well above the usual for 2 h at 2026-03-17 02:00 UTC and since, at " in early.texts(15 * DAY + 9)[0]
    assert recognised(load[: 15 * DAY + 5], fitted=15 * DAY) is None


def test_what_repeats_every_week_is_learnt_from_the_second_time():
    load = a_load()
    for day in (9, 16, 23):
        load[at(day, 9, 8)] *= 0.2
    found = recognised(load)
    assert found.left_out[at(9, 9, 8)].all()
    assert not found.left_out[at(16, 9, 8)].any()
    assert not found.left_out[at(23, 9, 8)].any()


def test_nothing_is_recognised_before_a_week_is_past():
    load = a_load(days=7)
    load[at(5, 9, 8)] = 0.0
    assert recognised(load) is None


@pytest.mark.parametrize("seed", range(12))
def test_what_comes_later_changes_nothing(seed):
    """Within the day after a refit every step is judged by what was measured up to it."""
    rng = np.random.default_rng(seed)
    load = a_load(seed)
    for _ in range(5):
        load[at(int(rng.integers(8, DAYS)), rng.uniform(0, 20), rng.uniform(0.3, 40))] *= rng.choice([0, 0.2, 3])
    until = int(rng.integers((DAYS - 1) * DAY + 1, DAYS * DAY))
    scrambled = load.copy()
    scrambled[until:] = rng.permutation(load[until:]) * 5
    fitted = (DAYS - 1) * DAY
    whole, other = recognised(load, fitted=fitted), recognised(scrambled, fitted=fitted)
    cut = recognised(load[:until], fitted=fitted)
    empty = np.zeros(until, dtype=bool)
    for name in ("fallen", "left_out", "watched", "storm"):
        seen = [empty if one is None else getattr(one, name)[:until] for one in (whole, other, cut)]
        assert (seen[0] == seen[1]).all()
        assert (seen[0] == seen[2]).all()
    assert whole is not None


def test_series_are_judged_one_by_one():
    loads = np.stack([a_load(1), a_load(2), a_load(3)])
    loads[1, at(20, 10, 3)] = 0
    loads[2, at(19, 10, 3)] = 0
    grid = Grid(START, Season(INTERVAL), loads.shape[1])
    found = recognise(loads, np.zeros(loads.shape, dtype=bool), grid)
    for row in (1, 2):
        assert (found[row].fallen == recognised(loads[row]).fallen).all()
    late = recognise(loads, np.zeros(loads.shape, dtype=bool), grid, cut=5 * DAY)
    assert late[1].fallen[at(20, 10, 3)].all()
    assert late[1].texts(20 * DAY + 44)[0] == found[1].texts(20 * DAY + 44)[0]


@pytest.mark.parametrize("interval", [1, 5, 60])
def test_any_grid_and_any_time_of_day_to_begin_at(interval):
    rng = np.random.default_rng(0)
    day = 1440 // interval
    load = (100 + 50 * np.sin(2 * np.pi * np.arange(18 * day) / day)) * np.exp(0.05 * rng.standard_normal(18 * day))
    load[16 * day : 16 * day + day // 8] = 0
    grid = Grid(START + timedelta(hours=5), Season(interval), 17 * day)
    found = recognise(load[None], np.zeros((1, load.size), dtype=bool), grid)[0]
    assert found.fallen[16 * day : 16 * day + day // 8].all()
    assert found.fallen.sum() <= day // 8 + 2
