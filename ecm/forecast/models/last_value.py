"""The last value stays: the least that any history allows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.panel import PanelForecaster, held
from ecm.forecast.season import Season

RANK = 60


class LastValue(PanelForecaster):
    """Every step is forecast as the latest measured value.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.last_value import LastValue
    >>> load = pd.DataFrame({"web": [1.0, 9.0]})
    >>> LastValue().fit(load).predict(fh=[1, 2])["web"].tolist()
    [9.0, 9.0]

    """

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        del learnt
        return np.repeat(held(values, origins)[:, :, None], steps, axis=2)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [{}]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    del season
    return LastValue()
