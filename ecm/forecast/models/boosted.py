"""One gradient-boosted quantile model of all series: what their past has in common, whatever its form."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.features import TIME_OF_WEEK, Asked, Known, at, rows
from ecm.forecast.learning import between, blocks
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season
from ecm.forecast.usual import Usual

RANK = 32
REFIT_DAYS = 7
LEAST_SERIES = 8
"""Trees need what several series have in common: on single public traces they were no better than the regression on
residuals, at five times its time."""

EXAMPLES = 20_000
"""Past forecasts to learn from, over all series: bounds the time of learning whatever the size of the panel."""
EXAMPLES_PER_STEP = 4
"""... and at most so many per step: a target seen from many origins is still one target."""
TEACHERS = 200
"""At most so many series teach, evenly spread over the panel."""
DAYS_BACK = 56
"""... with their last eight weeks."""
LEAST_DAYS = 14
LEAST_EXAMPLES = 200
"""With less there is nothing to learn."""
REACH_DAYS = 2
"""Horizons up to two days are learnt, short ones more often; a longer one is forecast like the longest learnt."""
SEED = 4
TREES = 60
LEAVES = 8
LEARNING_RATE = 0.1
LEAF_SHARE = 0.01
"""A leaf holds at least this share of the examples: traffic is noisy, and examples of one day resemble each other."""
LEAST_LEAF = 10
WEEKDAY_WEEKS = 4
"""Time of week is a feature from so many weeks on: in fewer it would name single days and learn them by heart."""
KNOTS = (1, 2, 3, 4, 6, 8, 12)
"""Horizons that are forecast, and every full hour; those between are interpolated."""
ROWS_AT_ONCE = 1 << 18
"""Bounds memory."""


def _one_thread() -> AbstractContextManager[object]:
    """Threads that wait for each other on busy cores made these small trees more than ten times slower."""
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="openmp")
    return limits


class Boosted(PanelForecaster):
    """Usual load plus what gradient-boosted trees, learnt from all series together, expect on top of it.

    They give a quantile (pinball loss; the median unless told otherwise) of (load - usual) / mean load from residuals
    and loads at the origin, at the target's time one day and one week before, daily and weekly profile, horizon, and
    time of day and week, which are counted from the first column: histories given to `learn` and `paths` must begin at
    the same time of the week.
    Friedman, Greedy Function Approximation (2001); direct forecasts, the horizon being a feature.

    The same bits with any number of threads: gradients of the pinball loss are two constants of 24 bits, so that sums
    of them in double precision are exact in any order.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.boosted import Boosted
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 100})
    >>> Boosted(day_steps=2, week_steps=4, recent_steps=1, reach=0).fit(load).predict(fh=[1, 2])["web"].tolist()
    [1.0, 9.0]

    """

    def __init__(
        self,
        day_steps: int = 96,
        week_steps: int = 672,
        recent_steps: int = 4,
        reach: int = 1,
        quantile: float = 0.5,
    ) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.recent_steps = recent_steps
        self.reach = reach
        self.quantile = quantile
        super().__init__()

    def learn(self, values: Values) -> HistGradientBoostingRegressor | None:
        """Return the trees of all series; None where there are too few examples."""
        if values.shape[1] < LEAST_DAYS * self.day_steps:
            return None
        features, target = self._examples(values)
        if len(target) < LEAST_EXAMPLES:
            return None
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=self.quantile,
            max_iter=TREES,
            max_leaf_nodes=LEAVES,
            learning_rate=LEARNING_RATE,
            min_samples_leaf=max(LEAST_LEAF, round(LEAF_SHARE * len(target))),
            early_stopping=False,
            random_state=SEED,
        )
        with _one_thread():
            return model.fit(features, target)

    def _examples(self, values: Values) -> tuple[Values, Values]:
        """Return features (examples, features) and targets (examples) of forecasts whose outcome was measured."""
        chosen = np.unique(np.linspace(0, len(values) - 1, min(TEACHERS, len(values))).astype(np.int64))
        reach = REACH_DAYS * self.day_steps
        known = self._known(values[chosen], reach)
        length = values.shape[1]
        first = max(0, length - DAYS_BACK * self.day_steps)
        rng = np.random.default_rng(SEED)
        count = min(EXAMPLES, EXAMPLES_PER_STEP * len(chosen) * (length - first))
        series = rng.integers(0, len(chosen), count)
        origin = rng.integers(first, length - 1, count)
        ahead = np.minimum(np.exp(rng.random(count) * np.log(reach + 1)).astype(np.int64), reach)
        asked = Asked(series, origin, ahead)
        target = (at(known.values, series, origin + ahead) - known.base(asked)) / known.usual.unit[series, origin]
        usable = np.isfinite(target)
        asked = Asked(series[usable], origin[usable], ahead[usable])
        features = rows(known, asked, self.week_steps)
        # No tree splits a constant; scikit-learn finds no bins in a column without any value.
        features[:, np.isnan(features).all(axis=0)] = 0.0
        if length - first < WEEKDAY_WEEKS * self.week_steps:
            features[:, list(TIME_OF_WEEK)] = 0.0
        return features, target[usable]

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        model = self.learn(values[:, : int(origins.min()) + 1]) if learnt is None else learnt
        out = np.full((len(values), len(origins), steps), np.nan)
        if not isinstance(model, HistGradientBoostingRegressor):
            return out
        each = len(origins) * len(self._knots(steps)) + values.shape[1]
        for part in blocks(len(values), max(1, ROWS_AT_ONCE // each)):
            out[part] = self._paths(model, self._known(values[part], steps), origins, steps)
        return out

    def _paths(self, model: HistGradientBoostingRegressor, known: Known, origins: Steps, steps: int) -> Values:
        knots = self._knots(steps)
        asked = _all(len(known.values), origins, knots)
        features = rows(known, Asked(*(a.ravel() for a in asked)), self.week_steps)
        with _one_thread():
            excess = model.predict(features).reshape(asked.ahead.shape)
        base = known.base(_all(len(known.values), origins, np.arange(1, steps + 1)))
        path: Values = np.maximum(base + between(excess, knots, steps) * known.usual.unit[:, origins, None], 0.0)
        return path

    def _knots(self, steps: int) -> Steps:
        every = np.arange(1, steps + 1)
        knots: Steps = every[np.isin(every, KNOTS) | (every % self.recent_steps == 0) | (every == steps)]
        return knots

    def _known(self, values: Values, ahead: int) -> Known:
        usual = Usual.of(values, (self.day_steps, self.week_steps), reach=self.reach, ahead=ahead)
        return Known.of(values, usual, self.recent_steps)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "recent_steps": 1, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "recent_steps": 2},
        ]


def _all(series: int, origins: Steps, ahead: Steps) -> Asked:
    """Return every combination, (series, origins, ahead)."""
    shape = (series, len(origins), len(ahead))
    return Asked(
        np.broadcast_to(np.arange(series)[:, None, None], shape),
        np.broadcast_to(origins[:, None], shape),
        np.broadcast_to(ahead, shape),
    )


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Boosted(
        day_steps=season.day, week_steps=season.week, recent_steps=season.steps(60), reach=15 // season.interval_min
    )
