"""The seam of all models: sktime forecasters of a panel that forecast from many origins at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.rolling import quantiles


class PanelForecaster(BaseForecaster):  # type: ignore[misc]  # sktime has no types
    """An sktime forecaster of a wide frame: one column per series, one row per step of a common grid.

    A panel on one grid is handled natively, all columns in one pass of numpy; missing values are left out. `paths`
    gives in one call what `fit(y[:origin + 1]).predict(1..steps)` gives for every origin: `predict` itself is `paths`
    from the last row. Where a model needs more history than there is, `predict` holds the last measured value (0 where
    there is none) and `paths` says NaN, so that nobody evaluates a model that did not forecast.

    `predict_quantiles` and what follows from it (`predict_interval`, `predict_var`) rest on the errors per horizon of
    forecasts from earlier origins, with parameters learnt before the first of them: see `ecm.forecast.rolling`.
    """

    _tags: ClassVar[dict[str, Any]] = {
        "y_inner_mtype": "pd.DataFrame",
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "requires-fh-in-fit": False,
    }

    def learn(self, values: Values) -> object:
        """Return what the model estimates from `values` (series, time), to be given to `paths`; None: nothing.

        Only a model with parameters of its own needs it. Rows of the result belong to rows of `values`.
        """
        del values
        return None

    @abstractmethod
    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return forecasts of shape (series, origins, steps) from `values` of shape (series, time).

        A forecast from origin o uses `values[:, :o + 1]` and `learnt` alone, and does not depend on the other origins.
        Without `learnt` a model learns from what precedes all of the origins. NaN where the history is too short.
        """

    def _fit(self, y: pd.DataFrame, X: object, fh: object) -> PanelForecaster:  # noqa: ARG002, N803 - sktime's names
        self._values = y.to_numpy(dtype=np.float64).T
        self._learnt = self.learn(self._values)
        return self

    def _predict(self, fh: ForecastingHorizon, X: object) -> pd.DataFrame:  # noqa: ARG002, N803 - sktime's names
        ahead = self._ahead(fh)
        path = self._path(int(ahead.max()))[:, ahead - 1]
        names = self._get_columns(method="predict")
        return pd.DataFrame(path.T, index=fh.to_absolute_index(self.cutoff), columns=names)

    def _predict_quantiles(
        self,
        fh: ForecastingHorizon,
        X: object,  # noqa: ARG002, N803 - sktime's names
        alpha: list[float],
    ) -> pd.DataFrame:
        ahead = self._ahead(fh)
        steps = int(ahead.max())
        found = quantiles(self._values, self._path(steps), lambda o: self._held_where_none(o, steps), np.array(alpha))
        names = self._get_columns(method="predict_quantiles", alpha=alpha)
        columns = np.moveaxis(found[:, :, ahead - 1], 1, 0).reshape(len(names), len(ahead))
        return pd.DataFrame(columns.T, index=fh.to_absolute_index(self.cutoff), columns=names)

    def _ahead(self, fh: ForecastingHorizon) -> Steps:
        ahead: Steps = fh.to_relative(self.cutoff).to_numpy().astype(np.int64)
        return ahead

    def _path(self, steps: int) -> Values:
        """Return the forecast from the last row, (series, steps)."""
        return self._held_where_none(np.array([self._values.shape[1] - 1]), steps, self._learnt)[:, 0]

    def _held_where_none(self, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return `paths` of the fitted values, and the last measured value where the model has no forecast."""
        path = self.paths(self._values, origins, steps, learnt)
        return np.where(np.isnan(path), held(self._values, origins)[:, :, None], path)


def held(values: Values, origins: Steps) -> Values:
    """Return the latest measured value at every origin, shape (series, origins); 0 where nothing was measured yet."""
    steps = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    latest = np.maximum.accumulate(steps, axis=1)[:, origins]
    return np.where(latest >= 0, np.take_along_axis(values, np.maximum(latest, 0), axis=1), 0.0)
