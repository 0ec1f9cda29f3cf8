"""Two days of quantiles: out of sample, whatever the series, the same however they are worked out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.forecast import ForecastError
from ecm.forecast.outlook import OutlookPredictor, outlook
from ecm.forecast.outlook.grid import Grid
from ecm.model.base import canonical
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Event
from tests.traces import a_fleet

END = datetime(2026, 3, 5, tzinfo=UTC)
INTERVAL_MIN = 60
DAY = 1440 // INTERVAL_MIN
STEPS = 48 * 60 // INTERVAL_MIN


def names(count):
    return tuple(("corp", f"a{n:03d}") for n in range(count))


def loads(count, *, days=42, seed=3):
    """Days and weeks of every series' own shape, with noise, and the two days that came after."""
    rng = np.random.default_rng(seed)
    steps = np.arange(days * DAY + STEPS)
    shape = 1 + rng.uniform(0.2, 0.8, (count, 1)) * np.sin(2 * np.pi * (steps / DAY + rng.random((count, 1))))
    weekend = np.where((steps // DAY) % 7 >= 5, rng.uniform(0.4, 1.0, (count, 1)), 1.0)
    noise = np.exp(0.1 * rng.standard_normal((count, len(steps))))
    return rng.uniform(20, 400, (count, 1)) * shape * weekend * noise


def history_of(values, end=END):
    return DemandHistory(
        interval_min=INTERVAL_MIN,
        start=end - timedelta(minutes=INTERVAL_MIN * values.shape[1]),
        applications=tuple(name for _, name in names(len(values))),
        vpns=("corp",) * len(values),
        mbps=values,
    )


def fleet_of(count, events=()):
    return a_fleet(names(count)).model_copy(update={"events": tuple(events)})


@pytest.fixture(scope="module")
def many():
    values = loads(60)
    history = history_of(values[:, :-STEPS])
    return values, outlook(history, fleet_of(60), as_of=END)


def test_form(many):
    _, made = many
    assert made.start == END
    assert made.permille == (500, 900, 990)
    assert made.mbps.shape == (60, 3, STEPS)
    assert (made.mbps >= 0).all()
    assert (np.diff(made.mbps, axis=1) >= 0).all()


def test_quantiles_hold_in_both_days(many):
    values, made = many
    came = values[:, -STEPS:]
    for half in (slice(0, STEPS // 2), slice(STEPS // 2, None)):
        over = [(came > made.mbps[:, place])[:, half].mean() for place in range(3)]
        assert over[0] == pytest.approx(0.5, abs=0.06)
        assert over[1] == pytest.approx(0.1, abs=0.03)
        assert over[2] == pytest.approx(0.01, abs=0.01)


def test_better_than_last_week(many):
    values, made = many
    came, week = values[:, -STEPS:], values[:, -STEPS - 7 * DAY : -7 * DAY]
    assert np.abs(came - made.mbps[:, 0]).mean() < 0.85 * np.abs(came - week).mean()


def test_series_do_not_depend_on_each_other_or_on_what_came():
    values = loads(4, days=21)
    history = history_of(values[:, :-STEPS])
    later = history_of(np.concatenate([values[:, :-STEPS], 1e4 * np.ones((4, 5))], axis=1), END + timedelta(hours=5))
    one, other = (outlook(h, fleet_of(4), as_of=END).mbps for h in (history, later))
    assert one.tobytes() == other.tobytes()


def test_fewer_hours_are_the_first_of_more():
    history = history_of(loads(3, days=21)[:, :-STEPS])
    more, fewer = (outlook(history, fleet_of(3), as_of=END, hours=hours) for hours in (48, 6))
    assert np.array_equal(more.mbps[:, :, :6], fewer.mbps)


def test_kept_fit_gives_the_same_and_is_left_where_it_does_not_serve(monkeypatch):
    values = loads(5, days=21)
    history = history_of(values[:, :-STEPS])
    first = OutlookPredictor(history, fleet_of(5))
    first.at(END)
    moment = END + timedelta(hours=7)
    later = history_of(values[:, : -STEPS + 7], moment)
    again = outlook(later, fleet_of(5), as_of=moment)
    with monkeypatch.context() as patch:
        patch.setattr("ecm.forecast.outlook.predicting.fit", lambda *_: pytest.fail("fitted again"))
        updated = OutlookPredictor(later, fleet_of(5), kept=first.kept).at(moment)
    assert canonical(updated) == canonical(again)
    changed = history_of(np.concatenate([values[:, :1] + 1, values[:, 1:-STEPS]], axis=1))
    for kept in (first.kept, b"", b"not a fit", first.kept[: len(first.kept) // 2]):
        found = OutlookPredictor(changed, fleet_of(5), kept=kept).at(END)
        assert found.mbps.tobytes() == outlook(changed, fleet_of(5), as_of=END).mbps.tobytes()


def test_dated_events_are_put_in_and_said():
    first = END + timedelta(hours=12)
    events = [
        Event(id=f"e{week}", kind="campaign", start=first - timedelta(weeks=week),
              end=first - timedelta(weeks=week) + timedelta(hours=5), application="a000")
        for week in range(5)
    ]  # fmt: skip
    values = loads(2, days=42)
    start = END - timedelta(days=42)
    for event in events:
        step = (event.start - start) // timedelta(minutes=INTERVAL_MIN)
        values[0, step : step + 5] *= 1.8
    history = history_of(values[:, :-STEPS])
    told = outlook(history, fleet_of(2, events), as_of=END)
    during = slice(12, 17)
    came = values[0, -STEPS:][during]
    assert np.abs(told.mbps[0, 0, during] / came - 1).mean() < 0.2
    assert any("e0" in line for line in told.event_effects[0])
    assert told.event_effects[1] == ()


@pytest.mark.parametrize(
    "series",
    [
        np.zeros(21 * DAY),
        np.full(21 * DAY, 7.0),
        np.where(np.arange(21 * DAY) % 37 == 0, 50.0, 0.0),
        np.exp(np.arange(21 * DAY) / 60),
        np.where(np.random.default_rng(1).random(21 * DAY) < 0.7, np.nan, 30.0),
        np.r_[np.full(21 * DAY - 2, np.nan), 4.0, 5.0],
        np.r_[np.full(20 * DAY, 9.0), np.full(DAY, np.nan)],
    ],
    ids=["zero", "constant", "intermittent", "exploding", "gaps", "two points", "silent"],
)
def test_odd_series(series):
    made = outlook(history_of(series[None]), fleet_of(1), as_of=END)
    assert np.isfinite(made.mbps).all()
    assert (made.mbps >= 0).all()
    assert (np.diff(made.mbps, axis=1) >= 0).all()
    assert made.mbps.max() <= 100 * max(1.0, float(np.nanmax(series)))


@pytest.mark.parametrize("steps", [1, 2, 5, 30, 60])
def test_short_histories(steps):
    made = outlook(history_of(np.linspace(5, 6, steps)[None]), fleet_of(1), as_of=END)
    assert np.isfinite(made.mbps).all()


def test_series_without_a_value_is_named():
    values = loads(2, days=14)[:, :-STEPS]
    values[1] = np.nan
    with pytest.raises(ForecastError) as caught:
        outlook(history_of(values), fleet_of(2), as_of=END)
    assert caught.value.applications == ("a001",)


@pytest.mark.parametrize("hours", [0, 49])
def test_hours_out_of_range(hours):
    with pytest.raises(ValueError, match="must be 1 to 48"):
        outlook(history_of(np.ones((1, 48))), fleet_of(1), as_of=END, hours=hours)


def test_grid_covers_all_times_of_day_and_every_distance():
    grid, _ = Grid.of(history_of(np.ones((1, 56 * DAY))), END)
    assert set(grid.origins % DAY) == set(range(DAY))
    assert grid.origins[-1] == grid.fitted - 2
    assert grid.leads[0] == 1
    assert grid.leads[-1] == grid.steps
    assert [band.stop for band in grid.bands][-1] == len(grid.leads) == [group.stop for group in grid.groups][-1]
