"""Wall clock time: where clocks change, days and weeks of people do not last 24 hours and seven days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.panel import PanelForecaster


@dataclass(frozen=True)
class WallClock:
    """Maps steps of the UTC grid to steps of one time zone's wall clock."""

    places: Steps
    """Place on the wall clock of every step of history and horizon; falls back where the clock does."""
    changes: bool
    """Whether the clock changes at all in between."""

    @classmethod
    def of(cls, zone: str, start: datetime, interval_min: int, steps: int) -> Self:
        """Return the map of `steps` steps from `start` (UTC) in the IANA time zone `zone`."""
        index = pd.date_range(pd.Timestamp(start), periods=steps, freq=f"{interval_min}min")
        local = index.tz_convert(zone).tz_localize(None)
        offsets = (local - index.tz_localize(None)).total_seconds().to_numpy() / 60
        shift = np.rint((offsets - offsets.min()) / interval_min).astype(np.int64)
        return cls(np.arange(steps) + shift, bool((shift != shift[0]).any()))

    def learn(self, forecaster: PanelForecaster, values: Values) -> object:
        """Return what `forecaster` learns from `values` (series, time) on the wall clock."""
        return forecaster.learn(self._shown(values))

    def paths(
        self, forecaster: PanelForecaster, values: Values, origins: Steps, steps: int, learnt: object = None
    ) -> Values:
        """Return `forecaster.paths` with seasons of the wall clock: (series, origins, steps) on the UTC grid."""
        if not self.changes:
            return forecaster.paths(values, origins, steps, learnt)
        ahead = self.places[origins[:, None] + np.arange(1, steps + 1)] - self.places[origins][:, None]
        ahead = np.maximum(ahead, 1)
        found = forecaster.paths(self._shown(values), self.places[origins], int(ahead.max()), learnt)
        return np.take_along_axis(found, np.broadcast_to(ahead - 1, (len(values), *ahead.shape)), axis=2)

    def _shown(self, values: Values) -> Values:
        """Return `values` on the wall clock.

        An hour that the clock skips is not measured on it; of one that it shows twice the first counts, so that nothing
        is seen before it was measured.
        """
        if not self.changes:
            return values
        here = self.places[: values.shape[1]]
        shown = np.full((len(values), int(here.max()) + 1), np.nan)
        places, firsts = np.unique(here, return_index=True)
        shown[:, places] = values[:, firsts]
        return shown
