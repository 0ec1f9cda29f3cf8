"""Exponential smoothing of level, trend and seasons of day and week: what all of them are drifts with time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean
from ecm.forecast.learning import blocks, lowest, parameters
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season
from ecm.forecast.smoothing import Panel, Rates, begun, smooth

RANK = 32
LEVELS = (0.1, 0.02, 0.05, 0.2, 0.35, 0.6, 0.9)
TRENDS = ((0.0, 0.0), (0.1, 0.9), (-0.8, 0.9), (-0.8, 0.97))
"""Trend over level rate and damping per 15 min. Below 0: that share of a jump of the level is taken back in the end."""
SEASONS = ((0.1, 0.2), (0.03, 0.1), (0.03, 0.4), (0.1, 0.4), (0.3, 0.2))
"""Rates of day and week."""
SHIFT = 0.1
"""Proportional seasons are additive ones of log(load / mean + SHIFT): a night without load is not minus infinity."""
LEARNT_DAYS = 35
"""Parameters are chosen on this last part of the history: how a load behaves changes, and learning stays bounded."""
LEARN_MIN = 60
"""Errors that choose parameters are those an hour ahead: between a lead time and the end of a sizing window."""
LEAST_UNIT = 1e-9
MOST_LOG = 10.0
"""No load is more than 22,000 times the mean."""
LEARN_AT_ONCE = 32
FORECAST_AT_ONCE = 512
"""Series in one pass of learning (many parameter sets) and of forecasting."""


class Ets(PanelForecaster):
    """Holt-Winters smoothing with two seasons and damped trend, additive or proportional to the load.

    Every series has the parameters with the least mean absolute error `learn_steps` ahead, from a small grid: first
    level and trend, then the two seasons. `quarter_steps` are the steps (may be a part of one) in 15 min.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.ets import Ets
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> Ets(day_steps=2, week_steps=4, learn_steps=1).fit(load).predict(fh=[1, 2])["web"].round(6).tolist()
    [1.0, 9.0]

    """

    def __init__(
        self, day_steps: int = 96, week_steps: int = 672, learn_steps: int = 4, quarter_steps: float = 1.0
    ) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.learn_steps = learn_steps
        self.quarter_steps = quarter_steps
        super().__init__()

    def learn(self, values: Values) -> Values:
        """Return level, trend, damping, day, week rate and unit (0: additive) of every series: (series, 6)."""
        recent = values[:, -LEARNT_DAYS * self.day_steps :]
        return np.concatenate([self._learn(recent[part]) for part in blocks(len(values), LEARN_AT_ONCE)])

    def _learn(self, values: Values) -> Values:
        mean_load = np.maximum(np.nan_to_num(mean(np.abs(values))), LEAST_UNIT)
        # Both ways at once: a pass costs about the same for twice as many series.
        both, unit = np.concatenate([values, values]), np.concatenate([np.zeros(len(values)), mean_load])
        rows = np.arange(len(both))
        moves, seasons = self._moves(len(both)), np.array(SEASONS).T[:, :, None]
        usual = np.broadcast_to(seasons[:, :1], (2, moves.shape[1], len(both)))
        chosen = moves[:, lowest(self._losses(both, unit, np.concatenate([moves, usual]))), rows]
        others = np.broadcast_to(chosen[:, None], (3, seasons.shape[1], len(both)))
        sets = np.concatenate([others, np.broadcast_to(seasons, (2, *others.shape[1:]))])
        loss = self._losses(both, unit, sets)
        best = lowest(loss)
        found = np.concatenate([sets[:, best, rows], unit[None]]).T.reshape(2, len(values), -1)
        way = lowest(loss[best, rows].reshape(2, -1))
        chosen_way: Values = found[way, np.arange(len(values))]
        return chosen_way

    def _moves(self, series: int) -> Values:
        """Return the tried level, trend and damping, shape (3, sets, series)."""
        sets = []
        for level in LEVELS:
            for share, damping in TRENDS:
                damped = damping ** (1 / self.quarter_steps)
                # A jump moves the level by level * error; the trend sums up to trend * error * damped / (1 - damped).
                sets.append((level, share * level * (1 - damped) / damped if damped else 0.0, damped))
        return np.repeat(np.array(sets).T[:, :, None], series, axis=2)

    def _losses(self, values: Values, unit: Values, sets: Values) -> Values:
        """Return the mean absolute error `learn_steps` ahead of every parameter set, (sets, series)."""
        length = values.shape[1]
        expected = np.full((length, *sets.shape[1:]), np.nan)
        for state in smooth(Panel(_scaled(values, unit), (self.day_steps, self.week_steps)), Rates(*sets)):
            if state.step + self.learn_steps < length:
                expected[state.step + self.learn_steps] = state.one_ahead(self.learn_steps)
        wrong = np.abs(values.T[:, None] - _load(expected, unit))
        # Errors count from the second day on, or from the second third of the history where that is later.
        first = np.maximum(begun(values) + self.day_steps, length // 3) + self.learn_steps
        wrong[np.broadcast_to(np.arange(length)[:, None, None] < first, wrong.shape)] = np.nan
        return mean(wrong, axis=0)

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        known = parameters(self, values, origins, learnt)
        parts = [self._paths(values[p], origins, steps, known[p]) for p in blocks(len(values), FORECAST_AT_ONCE)]
        return np.concatenate(parts)

    def _paths(self, values: Values, origins: Steps, steps: int, known: Values) -> Values:
        rates, unit = Rates(*known.T[:5].copy()), known[:, 5]
        order = np.argsort(origins, kind="stable")
        out = np.full((len(values), len(origins), steps), np.nan)
        place = 0
        for state in smooth(Panel(_scaled(values, unit), (self.day_steps, self.week_steps)), rates):
            while place < len(order) and origins[order[place]] == state.step:
                out[:, order[place]] = _load(state.ahead(steps), unit).T
                place += 1
            if place == len(order):
                break
        young = origins < begun(values)[:, None] + self.day_steps - 1
        out[young] = np.nan
        floored: Values = np.maximum(out, 0.0)
        return floored

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "learn_steps": 1},
            {"day_steps": 3, "week_steps": 6, "learn_steps": 2, "quarter_steps": 0.5},
        ]


def _scaled(values: Values, unit: Values) -> Values:
    """Return what is smoothed: the load itself, or its logarithm where a unit is given."""
    share = np.maximum(values, 0.0) / np.where(unit > 0, unit, 1.0)[:, None]
    scaled: Values = np.where(unit[:, None] > 0, np.log(share + SHIFT), values)
    return scaled


def _load(scaled: Values, unit: Values) -> Values:
    """Return the load of what was smoothed, series on the last axis: the inverse of `_scaled`."""
    proportional = unit > 0
    if not proportional.any():
        return scaled
    grown = unit * (np.exp(np.minimum(np.where(proportional, scaled, 0.0), MOST_LOG)) - SHIFT)
    load: Values = np.where(proportional, grown, scaled)
    return load


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Ets(
        day_steps=season.day,
        week_steps=season.week,
        learn_steps=season.steps(LEARN_MIN),
        quarter_steps=15 / season.interval_min,
    )
