"""The same time last week: the floor that every model has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values, take
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 40
SEASONS_BACK = 4
"""Where the last season was not measured, the one before it counts, and so on."""


class SeasonalNaive(PanelForecaster):
    """Every step is forecast as the value one season before, as sktime's NaiveForecaster(sp) does, for all origins.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.naive_week import SeasonalNaive
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> SeasonalNaive(season_steps=2).fit(load).predict(fh=[1, 2])["web"].tolist()
    [1.0, 9.0]

    """

    def __init__(self, season_steps: int = 7) -> None:
        self.season_steps = season_steps
        super().__init__()

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        del learnt
        ahead = np.arange(1, steps + 1)
        past = origins[:, None] + ahead - self.season_steps * -(-ahead // self.season_steps)
        found = take(values, past)
        for back in range(1, SEASONS_BACK):
            found = np.where(np.isnan(found), take(values, past - back * self.season_steps), found)
        return found

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [{"season_steps": 3}, {"season_steps": 1}]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return SeasonalNaive(season_steps=season.week)
