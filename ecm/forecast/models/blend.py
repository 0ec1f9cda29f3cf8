"""The mean of level and regression: they err in different ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.models import residual_regression, seasonal_level
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 10


class Blend(PanelForecaster):
    """The mean of several panel forecasters; NaN where any of them does not forecast.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.blend import Blend
    >>> from ecm.forecast.models.last_value import LastValue
    >>> from ecm.forecast.models.naive_week import SeasonalNaive
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> Blend((LastValue(), SeasonalNaive(season_steps=2))).fit(load).predict(fh=[1, 2])["web"].tolist()
    [5.0, 9.0]

    """

    def __init__(self, parts: tuple[PanelForecaster, ...]) -> None:
        self.parts = parts
        super().__init__()

    def learn(self, values: Values) -> tuple[object, ...]:
        """Return what the parts learn, in their order."""
        return tuple(part.learn(values) for part in self.parts)

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        known = learnt if isinstance(learnt, tuple) else (None,) * len(self.parts)
        each = [part.paths(values, origins, steps, one) for part, one in zip(self.parts, known, strict=True)]
        paths: Values = np.mean(each, axis=0)
        return paths

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        level = seasonal_level.SeasonalLevel.get_test_params(parameter_set)
        slope = residual_regression.ResidualRegression.get_test_params(parameter_set)
        both = zip(level, slope, strict=True)
        return [
            {"parts": (seasonal_level.SeasonalLevel(**one), residual_regression.ResidualRegression(**other))}
            for one, other in both
        ]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Blend((seasonal_level.forecaster(season), residual_regression.forecaster(season)))
