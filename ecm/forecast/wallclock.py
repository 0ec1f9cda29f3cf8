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

    def paths(self, forecaster: PanelForecaster, values: Values, origins: Steps, steps: int) -> Values:
        """Return `forecaster.paths` with seasons of the wall clock: (series, origins, steps) on the UTC grid.

        An hour that the clock skips is not measured on it; one that it shows twice is the mean of both.
        """
        if not self.changes:
            return forecaster.paths(values, origins, steps)
        here = self.places[: values.shape[1]]
        total = np.zeros((len(values), int(here.max()) + 1))
        count = np.zeros_like(total)
        measured = ~np.isnan(values)
        for row in range(len(values)):
            np.add.at(total[row], here, np.where(measured[row], values[row], 0.0))
            np.add.at(count[row], here, measured[row])
        wall = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        ahead = self.places[origins[:, None] + np.arange(1, steps + 1)] - self.places[origins][:, None]
        ahead = np.maximum(ahead, 1)
        found = forecaster.paths(wall, self.places[origins], int(ahead.max()))
        return np.take_along_axis(found, np.broadcast_to(ahead - 1, (len(values), *ahead.shape)), axis=2)
