"""Accuracy on real request traces: each decision knows only what came before it."""

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pytest

from ecm.forecast import predict
from ecm.forecast.arrays import conformal, pinball, take
from ecm.forecast.horizon import Horizon
from ecm.forecast.models.naive_week import SeasonalNaive
from ecm.telemetry import read
from tests import traces

pytestmark = pytest.mark.skipif(not traces.available(), reason=f"no traces in {traces.FOLDER}")
LEAD, HOLD = 25, 120
DECISIONS = 60


class Case(NamedTuple):
    trace: traces.Trace
    weeks: int
    first_day: int
    """Decisions are made from this day of the trace on."""


CASES = {
    "application server": Case(traces.TRACES[0], 30, 70),
    "NASA": Case(traces.TRACES[1], 4, 15),
    "load balancer": Case(traces.TRACES[2], 2, 8),
    "taxi": Case(traces.TAXI, 28, 42),
}


class Score(NamedTuple):
    p90: float
    """Pinball loss at 0.9 of the window's maximum, over the mean load."""
    covered: float
    floored: float
    """Share within the P90 that a plan gets, with its reactive floor."""
    week: float
    """Pinball loss of seasonal-naive (a week) with its own past errors."""
    day: float
    """The same of seasonal-naive (a day)."""


@pytest.fixture(scope="module", params=CASES)
def scored(request, tmp_path_factory):
    return request.param, score(CASES[request.param], tmp_path_factory.mktemp("trace"))


def naive_quantile(values, horizon, period):
    """P90 of the window's maximum by seasonal-naive and the errors it made from the same past origins."""
    origins, last = horizon.origins(), horizon.length - 1
    paths = SeasonalNaive(season_steps=period).paths(values, np.append(origins, last), horizon.steps)[0]
    errors = take(values, origins[:, None] + np.arange(1, horizon.steps + 1))[0] - paths[:-1]
    errors = errors[~np.isnan(errors).any(axis=1)]
    return conformal(np.sort((paths[-1] + errors)[:, horizon.window_first :].max(axis=1)), 0.9)


def score(case, folder):
    fleet = traces.a_fleet(((case.trace.vpn, case.trace.application),))
    history = read(traces.write(folder, (case.trace,), weeks=case.weeks), fleet=fleet)
    values = history.mbps
    rng = np.random.default_rng(11)
    steps = np.sort(rng.choice(np.arange(case.first_day * 96, values.shape[1] - 10), DECISIONS, replace=False))
    rows = []
    for step in steps:
        as_of = history.start + timedelta(minutes=15 * int(step))
        forecast = predict(history, fleet, as_of=as_of, lead_min=LEAD, hold_min=HOLD)
        first = forecast.window_first_step
        window = values[0, step : step + forecast.scenarios.shape[2]][first:]
        if np.isnan(window).all():
            continue
        actual = np.nanmax(window)
        p90 = conformal(np.sort(forecast.scenarios[0, :, first:].max(axis=1)), 0.9)
        horizon = Horizon.of(history, as_of, LEAD, HOLD)
        week, day = (naive_quantile(values[:, :step], horizon, period) for period in (672, 96))
        floored = actual <= forecast.applications[0].window_p90_mbps
        losses = [pinball(0.9, actual, p) for p in (p90, week, day)]
        rows.append((losses[0], actual <= p90, floored, losses[1], losses[2]))
    mean = np.array(rows, dtype=float).mean(axis=0)
    scale = np.nanmean(values)
    return Score(mean[0] / scale, mean[1], mean[2], mean[3] / scale, mean[4] / scale)


def test_p90_covers_what_it_says(scored):
    """60 windows that overlap in part: the standard error of a true 0.90 is 0.04 and more."""
    name, result = scored
    assert 0.80 <= result.covered <= 1.0, (name, result)
    assert result.floored >= 0.83, (name, result)


def test_less_pinball_loss_than_seasonal_naive(scored):
    name, result = scored
    if name == "load balancer":
        pytest.skip("two weeks of it: too short for a weekly season to be judged")
    print(f"{name}: {result}")  # noqa: T201 - the figure of the report, shown with -s
    assert result.p90 < 0.9 * min(result.week, result.day), (name, result)
