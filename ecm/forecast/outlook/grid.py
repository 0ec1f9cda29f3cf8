"""Which past origins, distances and groups of distances the forecast of two days is judged on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Self

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.horizon import ERROR_DAYS, LEARNING_DAYS, MAX_STALE_DAYS, stale
from ecm.forecast.season import Season
from ecm.model.demand import DemandHistory

HOURS = 48
BANDS_MIN = (15, 30, 60, 120, 240, 480, 960, 1440, 2160, 60 * HOURS)
"""Distances up to which errors count as alike; twice as far, the errors of most loads are some percent larger."""
CHOICES_MIN = (60, 480, 1440, 60 * HOURS)
"""Groups of bands with a choice of models of their own: what is best an hour ahead is rarely best tomorrow."""
LEADS_PER_BAND = 6
"""Distances of a band that are judged, evenly spread: neighbours of one origin have nearly the same error."""
ORIGIN_STRIDE_DAYS = 0.55
"""Distance of two origins, about: all times of day come up equally often in four weeks' 50."""
LEAST_ORIGINS = 12
RECENT_DAYS = 35
"""History behind this adds nothing to a forecast once models have learnt: five weeks of seasons. Whole
weeks, as models count the time of the week from the first step."""
SETTLED_DAYS = 2
"""A younger history is fitted again at every step, an older one every midnight UTC."""


@dataclass(frozen=True)
class Grid:
    """One fit's steps, counted from the start of the history."""

    start: datetime
    """Of the history."""
    season: Season
    fitted: int
    """Steps of history that had ended by the refit."""

    @classmethod
    def of(cls, history: DemandHistory, as_of: datetime) -> tuple[Self, int]:
        """Return the grid of the fit that serves a forecast at `as_of`, and how many steps had ended by then.

        ForecastError when nothing was measured before `as_of` or the last measurement is more than a week old.
        """
        interval = timedelta(minutes=history.interval_min)
        length = min(history.mbps.shape[1], int((as_of - history.start) // interval))
        stale(history, as_of, length)
        now = history.start + interval * length
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        fitted = int((midnight - history.start) // interval)
        season = Season(history.interval_min)
        return cls(history.start, season, fitted if fitted >= SETTLED_DAYS * season.day else length), length

    @property
    def steps(self) -> int:
        """Steps of two days."""
        return HOURS * 60 // self.season.interval_min

    @property
    def cut(self) -> int:
        """First step of the recent history."""
        return self._back(RECENT_DAYS)

    @property
    def used(self) -> int:
        """First step that past forecasts use; what is older counts for the effects of events alone."""
        return self._back(RECENT_DAYS + ERROR_DAYS)

    @property
    def ahead(self) -> int:
        """Steps after the refit that may be asked for: up to the next refit, a week of silence, and two days."""
        return (1 + MAX_STALE_DAYS) * self.season.day + self.steps

    def _back(self, days: int) -> int:
        """Return the last step that is whole weeks from the start and at least `days` before the refit."""
        first = max(0, self.fitted - days * self.season.day)
        return first // self.season.week * self.season.week

    @cached_property
    def origins(self) -> Steps:
        """Past origins, sorted; of the latest only the nearest distances had been measured."""
        day, last = self.season.day, self.fitted - 2
        first = max(min(LEARNING_DAYS * day, self.fitted // 3), self.fitted - ERROR_DAYS * day)
        stride = min(round(ORIGIN_STRIDE_DAYS * day), max(1, (last - first) // LEAST_ORIGINS))
        while math.gcd(stride, day) > 1:
            stride += 1
        return np.arange(last, first - 1, -stride)[::-1]

    @cached_property
    def edges(self) -> Steps:
        """Last distance of every band, steps."""
        return np.unique([max(1, minutes // self.season.interval_min) for minutes in BANDS_MIN])

    @cached_property
    def leads(self) -> Steps:
        """Distances that are judged, rising."""
        firsts = np.concatenate([[1], self.edges[:-1] + 1])
        spread = [np.linspace(a, b, min(LEADS_PER_BAND, b - a + 1)) for a, b in zip(firsts, self.edges, strict=True)]
        return np.unique(np.rint(np.concatenate(spread)).astype(np.int64))

    @cached_property
    def bands(self) -> tuple[slice, ...]:
        """Places in `leads` of every band."""
        ends = np.searchsorted(self.leads, self.edges, side="right")
        return tuple(slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True))

    @cached_property
    def groups(self) -> tuple[slice, ...]:
        """Places in `leads` of every group of bands that has a choice of its own."""
        ends = np.unique(np.searchsorted(self.leads, self._choice_edges, side="right"))
        return tuple(slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True))

    @property
    def _choice_edges(self) -> Steps:
        return np.unique([max(1, minutes // self.season.interval_min) for minutes in CHOICES_MIN])

    def group_of(self, steps: int) -> Steps:
        """Return the group of every distance 1 to `steps`."""
        edges = self.leads[[group.stop - 1 for group in self.groups]]
        return np.minimum(np.searchsorted(edges, np.arange(1, steps + 1)), len(edges) - 1)

    def between(self, tables: Values, steps: int) -> Values:
        """Return values of bands (..., bands) at every distance 1 to `steps`: linear in its logarithm, then level."""
        centres = np.array([np.log(self.leads[band]).mean() for band in self.bands])
        at = np.log(np.arange(1, steps + 1))
        after = np.clip(np.searchsorted(centres, at), 1, max(1, len(centres) - 1))
        after = np.minimum(after, len(centres) - 1)
        before = np.maximum(after - 1, 0)
        width = np.where(after > before, centres[after] - centres[before], 1.0)
        share = np.clip((at - centres[before]) / width, 0.0, 1.0)
        found: Values = tables[..., before] * (1 - share) + tables[..., after] * share
        return found
