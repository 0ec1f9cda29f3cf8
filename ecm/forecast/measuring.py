"""What occurrences of events did to one load, and how well that can be told from its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.season import Season

FACTORS = (0.1, 20.0)
"""Bounds of a measured effect: beyond them the measurement is at fault."""
LEVEL_HOURS = (6, 24)
"""The level around an occurrence is taken over as long a time as it lasts, before it and, once past, after it, at least
six hours and at most a day, which sees every hour. Shorter times follow the load more closely, longer ones average out
more noise: on public request traces, with a level of six hours instead of a day what is found at four hours in which
nothing happened is between 15 % smaller and 9 % larger."""
LEVEL_REACH_DAYS = 7
"""Where other occurrences fill the time before, the level is older, at most this much."""
WEEKS = (1, 2, 3, 4)
DAYS = (1, 2, 3, 4, 5, 6, 7)
"""Usual load at a time: the median of the same times of the last weeks, or of the last days where no week is past.
A median, so that one burst among the earlier weeks does not count as usual."""
TRIALS = 28
"""A measurement is tried at the same time of day on as many days before, where nothing happened: what it finds there is
its error. Four weeks hold every weekday four times."""
ASSUMED_ERROR = 0.15
ASSUMED_TRIALS = 2.0
"""The error counts as if two trials had found 15 % before any was made: what is left without one."""
LEAST_SHARE = 0.5
"""Measured share of an occurrence, and of the time before it, below which its effect is not told."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Measurements:
    """Logarithms of the effects of occurrences; NaN where an effect cannot be told."""

    log: Values
    variance: Values
    """Of the error of the logarithm."""


@dataclass(frozen=True)
class Spans:
    """Spans of steps of one shape; `first` lies in the history, `after` is at most its end."""

    first: Steps
    after: Steps
    settled: Flags
    """Whether what follows a span, a day at most, may be used."""


@dataclass(frozen=True)
class _Sums:
    """Running sums over the steps where load and usual load are known; entry i covers the steps before i."""

    load: Values
    usual: Values
    count: Steps

    @classmethod
    def of(cls, values: Values, usual: Values, where: Flags) -> Self:
        known = where & np.isfinite(values) & np.isfinite(usual)
        start = np.zeros(1)
        return cls(
            np.concatenate([start, np.cumsum(np.where(known, values, 0.0))]),
            np.concatenate([start, np.cumsum(np.where(known, usual, 0.0))]),
            np.concatenate([start.astype(np.int64), np.cumsum(known)]),
        )


@dataclass(frozen=True)
class Gauge:
    """Measures occurrences in one load against a usual load."""

    alone: _Sums
    """Steps with one occurrence at most."""
    quiet: _Sums
    """Steps without any."""
    season: Season

    @classmethod
    def of(cls, values: Values, depth: Steps, season: Season, lags: tuple[int, ...]) -> Self:
        """Return the gauge of `values`, shape (history,), of which `depth` occurrences cover each step.

        The usual load is the median of the values `lags` steps before, occurrences left out.
        """
        usual = _usual(np.where(depth == 0, values, np.nan), lags)
        return cls(_Sums.of(values, usual, depth <= 1), _Sums.of(values, usual, depth == 0), season)

    @classmethod
    def by_week(cls, values: Values, depth: Steps, season: Season) -> Self:
        """Return the gauge whose usual load comes from the weeks before."""
        return cls.of(values, depth, season, tuple(w * season.week for w in WEEKS))

    @classmethod
    def by_day(cls, values: Values, depth: Steps, season: Season) -> Self:
        """Return the gauge whose usual load comes from the days before, whatever their weekday."""
        return cls.of(values, depth, season, tuple(d * season.day for d in DAYS))

    def measure(self, spans: Spans) -> Measurements:
        """Return the effects of the occurrences at `spans` and the error that the same measurement makes.

        An effect is the load over the usual load, over the same ratio around the occurrence. Its error is the root
        mean square of what it finds on quiet days before. Besides what was before, only steps of the spans and, where
        settled, of the day after them are used.
        """
        found = self._logs(self.alone, spans)
        back = self.season.day * np.arange(1, TRIALS + 1)
        trials = self._logs(
            self.quiet,
            Spans(spans.first[:, None] - back, spans.after[:, None] - back, spans.settled[:, None]),
        )
        made = np.isfinite(trials)
        squares = np.where(made, trials, 0.0) ** 2
        total = squares.sum(axis=1) + ASSUMED_TRIALS * ASSUMED_ERROR**2
        return Measurements(found, total / (made.sum(axis=1) + ASSUMED_TRIALS))

    def _logs(self, within: _Sums, spans: Spans) -> Values:
        """Return the logarithm of the effect of every span; NaN where it cannot be told."""
        end = len(self.quiet.count) - 1
        day = self.season.day
        first, after = np.clip(spans.first, 0, end), np.clip(spans.after, 0, end)
        enough = within.count[after] - within.count[first] >= LEAST_SHARE * np.maximum(spans.after - spans.first, 1)
        least, most = (h * day // 24 for h in LEVEL_HOURS)
        lengths = np.clip(spans.after - spans.first, least, most)
        wanted = self.quiet.count[first] - lengths
        before = np.searchsorted(self.quiet.count, np.maximum(wanted, 0), side="right") - 1
        before = np.clip(before, np.maximum(first - LEVEL_REACH_DAYS * day, 0), first)
        later = np.where(spans.settled, np.minimum(after + lengths, end), after)
        enough &= (spans.first >= 0) & (_between(self.quiet.count, before, first) >= LEAST_SHARE * lengths)
        load, usual = _between(within.load, first, after), _between(within.usual, first, after)
        around = _between(self.quiet.load, before, first) + _between(self.quiet.load, after, later)
        around_usual = _between(self.quiet.usual, before, first) + _between(self.quiet.usual, after, later)
        good = enough & (load > 0) & (usual > 0) & (around > 0) & (around_usual > 0)
        parts = [np.where(good, p, 1.0) for p in (load, usual, around, around_usual)]
        ratio = np.clip(parts[0] * parts[3] / (parts[1] * parts[2]), *FACTORS)
        return np.where(good, np.log(ratio), np.nan)


def _between(sums: Values | Steps, first: Steps, after: Steps) -> Values:
    found: Values = np.asarray(sums[after] - sums[first], dtype=np.float64)
    return found


def _usual(quiet: Values, lags: tuple[int, ...]) -> Values:
    """Return the median of the measured values `lags` before every step; NaN where there is none."""
    earlier = np.full((len(quiet), len(lags)), np.nan)
    for column, lag in enumerate(lags):
        earlier[lag:, column] = quiet[: max(len(quiet) - lag, 0)]
    earlier.sort(axis=1)
    count = np.isfinite(earlier).sum(axis=1)
    rows = np.arange(len(quiet))
    low, high = earlier[rows, np.maximum(count - 1, 0) // 2], earlier[rows, np.minimum(count // 2, len(lags) - 1)]
    middle: Values = (low + high) / 2
    return middle
