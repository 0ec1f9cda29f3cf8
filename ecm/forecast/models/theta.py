"""The Theta method: the deseasonalised load, smoothed, and half of its long-run drift."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean
from ecm.forecast.decomposition import first_measured, seasonal
from ecm.forecast.learning import blocks, lowest, parameters
from ecm.forecast.models.smoothed_residual import SMOOTHING, levels
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 36
LEARN_MIN = 60
"""The parameter is chosen by errors an hour ahead: between a lead time and the end of a sizing window."""
SERIES_AT_ONCE = 64


class Theta(PanelForecaster):
    """Seasons of day and week, plus simple exponential smoothing of the rest with half the drift of its trend line.

    Assimakopoulos and Nikolopoulos, The theta model (2000), in the form of Hyndman and Billah, Unmasking the Theta
    method (2003), eq. 6. Each series has the smoothing parameter with the least mean absolute error `learn_steps`
    ahead; the trend line is that of least squares over all that was measured by the origin.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.theta import Theta
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> Theta(day_steps=2, week_steps=4, learn_steps=1, reach=0).fit(load).predict(fh=[1, 2])["web"].round().tolist()
    [1.0, 9.0]

    """

    def __init__(self, day_steps: int = 96, week_steps: int = 672, learn_steps: int = 4, reach: int = 1) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.learn_steps = learn_steps
        self.reach = reach
        super().__init__()

    def learn(self, values: Values) -> Values:
        """Return the smoothing parameter of every series, shape (series, 1)."""
        return np.concatenate([self._learn(values[part]) for part in blocks(len(values), SERIES_AT_ONCE)])

    def _learn(self, values: Values) -> Values:
        later = min(self.learn_steps, values.shape[1])
        rest = self._rest(values, later)[1]
        drift = _drift(rest)[:, : values.shape[1] - later]
        losses = []
        for share in SMOOTHING:
            level = _smooth(rest, np.full(len(values), share))[:, : values.shape[1] - later]
            losses.append(mean(np.abs(rest[:, later:] - level - drift * (later - 1 + 1 / share) / 2)))
        return np.array(SMOOTHING)[lowest(np.stack(losses))][:, None]

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        share = parameters(self, values, origins, learnt)[:, 0]
        parts = [self._paths(values[p], origins, steps, share[p]) for p in blocks(len(values), SERIES_AT_ONCE)]
        return np.concatenate(parts)

    def _paths(self, values: Values, origins: Steps, steps: int, share: Values) -> Values:
        usual, rest = self._rest(values, steps)
        ahead = np.arange(1, steps + 1)
        # Smoothing lags 1 / share steps behind a drift; the sum of the geometric series ends near it within a day.
        drifted = _drift(rest)[:, origins, None] / 2 * (ahead - 1 + 1 / share[:, None, None])
        path = _smooth(rest, share)[:, origins, None] + drifted + usual[:, origins[:, None] + ahead]
        floored: Values = np.maximum(path, 0.0)
        return floored

    def _rest(self, values: Values, steps: int) -> tuple[Values, Values]:
        """Return the seasons, (series, time + steps), and what they leave of `values`."""
        usual = seasonal(values, (self.day_steps, self.week_steps), reach=self.reach, ahead=steps)
        return usual, values - usual[:, : values.shape[1]]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "learn_steps": 1, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "learn_steps": 2},
        ]


def _smooth(rest: Values, share: Values) -> Values:
    """Return the smoothed level after every step, from the first value on; NaN before it."""
    first = first_measured(rest)[:, None]
    return first + levels(rest - first, share)


def _drift(rest: Values) -> Values:
    """Return at every step the slope per step of the least-squares line through all that was measured by then.

    0 while less than two steps were.
    """
    first = first_measured(rest)[:, None]
    measured = ~np.isnan(rest)
    time = np.where(measured, np.arange(rest.shape[1], dtype=np.float64), 0.0)
    value = np.where(measured, rest - first, 0.0)
    count, times, sums = (np.cumsum(x, axis=1) for x in (measured, time, value))
    spread = np.cumsum(time**2, axis=1) * count - times**2
    joint = np.cumsum(time * value, axis=1) * count - times * sums
    slope: Values = np.where(spread > 0, joint / np.where(spread > 0, spread, 1.0), 0.0)
    return slope


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Theta(
        day_steps=season.day,
        week_steps=season.week,
        learn_steps=season.steps(LEARN_MIN),
        reach=15 // season.interval_min,
    )
