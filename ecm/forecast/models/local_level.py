"""The level of the last minutes stays: what is best where nothing repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 38
SPAN_MIN = 40
"""Half of the weight lies within a third of this. On public request traces 20 to 80 min differ by some percent."""
MIN_SPAN = 3


class LocalLevel(PanelForecaster):
    """Every step is forecast as the mean of the values so far, weighted with (1 - 2 / (span + 1)) ** age.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.local_level import LocalLevel
    >>> load = pd.DataFrame({"web": [2.0, 2.0, 2.0]})
    >>> LocalLevel(span_steps=3).fit(load).predict(fh=[1, 2])["web"].tolist()
    [2.0, 2.0]

    """

    def __init__(self, span_steps: int = 3) -> None:
        self.span_steps = span_steps
        super().__init__()

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        del learnt
        level = pd.DataFrame(values.T).ewm(span=self.span_steps, ignore_na=True).mean().to_numpy().T
        return np.repeat(level[:, origins, None], steps, axis=2)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [{"span_steps": 3}, {"span_steps": 5}]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return LocalLevel(span_steps=max(MIN_SPAN, SPAN_MIN // season.interval_min))
