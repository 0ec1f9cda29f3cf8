"""The usual time of the week at the present level, which fades back to the usual one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean, take
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.profile import profile
from ecm.forecast.season import Season

RANK = 20
RECENT_MIN = 60
"""The present level is that of the last hour ..."""
FADE_MIN = 240
"""... and its distance from the usual one falls to 1/e in four hours. On public request traces (web servers, taxi
rides, a load balancer) 120 to 480 min lie within some percent of each other in pinball loss; 240 is best overall."""
LEVELS = (0.1, 10.0)
"""Bounds of present level over usual level: what lies outside is a fault of measurement, not a level."""


class SeasonalLevel(PanelForecaster):
    """Profile of day and week times 1 + (level - 1) exp(-steps / fade).

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.seasonal_level import SeasonalLevel
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> SeasonalLevel(day_steps=2, week_steps=4, recent_steps=1, reach=0).fit(load).predict(fh=[1, 2])["web"].tolist()
    [1.0, 9.0]

    """

    def __init__(
        self,
        day_steps: int = 96,
        week_steps: int = 672,
        recent_steps: int = 4,
        fade_steps: float = 16.0,
        reach: int = 1,
    ) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.recent_steps = recent_steps
        self.fade_steps = fade_steps
        self.reach = reach
        super().__init__()

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        del learnt
        seasons = (self.day_steps, self.week_steps)
        ahead = np.arange(1, steps + 1)
        coming = profile(values, origins[:, None] + ahead, seasons, reach=self.reach, ahead=steps).week
        recent = origins[:, None] - np.arange(self.recent_steps)
        usual = profile(values, recent, seasons, reach=self.reach, ahead=steps).week
        measured = take(values, recent)
        both = np.where(np.isnan(measured) | np.isnan(usual), np.nan, 1.0)
        below = mean(usual * both)
        level = np.where(below > 0, mean(measured * both) / np.where(below > 0, below, 1.0), 1.0)
        level = np.where(np.isnan(level), 1.0, np.clip(level, *LEVELS))
        path: Values = coming * (1 + (level[..., None] - 1) * np.exp(-ahead / self.fade_steps))
        return path

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "recent_steps": 1, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "recent_steps": 2, "fade_steps": 2.0},
        ]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return SeasonalLevel(
        day_steps=season.day,
        week_steps=season.week,
        recent_steps=season.steps(RECENT_MIN),
        fade_steps=FADE_MIN / season.interval_min,
        reach=15 // season.interval_min,
    )
