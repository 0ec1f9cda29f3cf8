"""Outages, retry storms and new levels of one load, step by step, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.season import Season

Flags = npt.NDArray[np.bool_]

WHOLE_DAY = 0.9
"""A fall that fills so much of a day (UTC: models are fitted again at its end) has been seen at the same hours as the
load that it is compared with, office hours and night: it is a new level, between one and two days after it began."""
LONG_MIN = 15
"""Shorter falls are single odd values: they are left out, and no retry storm is waited for."""
STORM_MIN = 60
"""Clients that retry with exponential backoff cap it at some minutes (AWS Architecture Blog, Exponential Backoff and
Jitter, 2015), and WireGuard starts again with the next packet: within an hour all are back."""
RISEN_MIN = 120
"""A load above the usual for two hours is no burst: until a day of it is known the band of its forecast is too narrow,
as its errors are those of another level."""
CHANGED = 0.5**0.5
"""A level is new below this share of the usual one, or above its inverse: half-way, in ratios, to half or double."""
TOLD_DAYS = 7
TOLD = 3
"""A forecast tells of the last three falls of a week."""


@dataclass(frozen=True)
class Grid:
    """Where days and refits lie on the grid of a history."""

    start: datetime
    season: Season
    fitted: int
    """Steps that had ended by the last refit."""

    @property
    def midnight(self) -> int:
        """The first step that begins at midnight UTC."""
        minutes = (self.start - self.start.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(minutes=1)
        return -int(minutes // self.season.interval_min) % self.season.day

    def after(self, cut: int) -> Grid:
        """Return the grid without its first `cut` steps."""
        return Grid(self.time(cut), self.season, self.fitted - cut)

    def time(self, step: int) -> datetime:
        """Return when a step begins."""
        return self.start + timedelta(minutes=self.season.interval_min * step)


@dataclass(frozen=True)
class Incidents:
    """What befell one series; arrays have a value for every step of the history."""

    grid: Grid
    fallen: Flags
    """In a fall that nothing explains and that is no new level."""
    left_out: Flags
    """In a fall that counts as not measured."""
    watched: Flags
    """Within an hour after a fall."""
    storm: Flags
    """Above the usual within that hour; counts as not measured."""
    risen: Flags
    """Above the usual for two hours, and for less than a day."""
    ratio: Values
    """Load over usual load; NaN where either is unknown."""

    @property
    def unlearnt(self) -> Flags:
        """Steps that count as not measured."""
        return self.left_out | self.storm

    def preceded(self, grid: Grid, steps: int) -> Incidents:
        """Return the same on the whole `grid`, before whose step `steps` nothing befell."""
        nothing = np.zeros(steps, dtype=np.bool_)
        fallen, left_out, watched, storm, risen = (
            np.concatenate([nothing, one]) for one in (self.fallen, self.left_out, self.watched, self.storm, self.risen)
        )
        ratio = np.concatenate([np.full(steps, np.nan), self.ratio])
        return Incidents(grid, fallen, left_out, watched, storm, risen, ratio)

    def holds(self, step: int) -> bool:
        """Return whether nothing is scaled in on what was measured up to `step`."""
        return bool(self.fallen[step] or self.watched[step])

    def texts(self, step: int) -> tuple[str, ...]:
        """Return for people what was recognised up to `step`, latest first."""
        firsts, afters = _runs(self.left_out[: step + 1])
        past = list(zip(firsts.tolist(), afters.tolist(), strict=True))
        said: tuple[str, ...] = ()
        if self.fallen[step]:
            said = (self._under_way(past[-1][0], step),)
            past = past[:-1]
        elif self.watched[step]:
            said = (self._came_back(int(np.flatnonzero(self.fallen[: step + 1])[-1]) + 1),)
        if self.risen[step]:
            said = (*said, self._up(step))
        since = step - TOLD_DAYS * self.grid.season.day
        told = [run for run in past if run[1] > since and (run[1] - run[0]) * self.grid.season.interval_min >= LONG_MIN]
        return (*said, *(self._over(first, after, step) for first, after in reversed(told[-TOLD:])), *self._level(step))

    def _under_way(self, first: int, step: int) -> str:
        share = 100 * float(np.nanmin(self.ratio[first : step + 1]))
        return (
            f"fell at {self.grid.time(first):%Y-%m-%d %H:%M} UTC to {share:.0f} % of the usual and nothing "
            "explains it: the load before it counts and nothing is scaled in until it comes back, an event says why, "
            "or a whole day (UTC) was like this"
        )

    def _came_back(self, after: int) -> str:
        until = self.grid.time(after) + timedelta(minutes=STORM_MIN)
        return (
            f"came back at {self.grid.time(after):%Y-%m-%d %H:%M} UTC from an unexplained fall: nothing is scaled in "
            f"until {until:%H:%M} UTC, as a retry storm may follow"
        )

    def _up(self, step: int) -> str:
        first = int(np.flatnonzero(self.risen[: step + 1] & ~np.append(False, self.risen[:step]))[-1])
        recent = self.ratio[max(first - self.grid.season.steps(RISEN_MIN), 0) : step + 1]
        when = f"{self.grid.time(first + 1):%Y-%m-%d %H:%M} UTC"
        return (
            f"well above the usual for {RISEN_MIN // 60} h at {when} and since, "
            f"at {float(np.nanmedian(recent)):.2g} times it: until a day of it is known its band does not count"
        )

    def _over(self, first: int, after: int, step: int) -> str:
        interval = self.grid.season.interval_min
        storm = int(self.storm[after : min(after + self.grid.season.steps(STORM_MIN), step + 1)].sum())
        with_storm = f" and {storm * interval} min of a retry storm after it are" if storm else " is"
        return (
            f"the unexplained fall of {self.grid.time(first):%Y-%m-%d %H:%M} UTC, {(after - first) * interval} min,"
            f"{with_storm} left out of what models learn"
        )

    def _level(self, step: int) -> tuple[str, ...]:
        """Return a line where the load of the last whole day was at another level than usual."""
        day = self.grid.season.day
        days = (step + 1 - self.grid.midnight) // day
        if days < 1:
            return ()
        yesterday = slice(self.grid.midnight + (days - 1) * day, self.grid.midnight + days * day)
        known = self.ratio[yesterday][np.isfinite(self.ratio[yesterday]) & ~self.left_out[yesterday]]
        if len(known) < WHOLE_DAY * day:
            return ()
        low, middle, high = (float(q) for q in np.quantile(known, (1 - WHOLE_DAY, 0.5, WHOLE_DAY)))
        if high > CHANGED and low < 1 / CHANGED:
            return ()
        return (f"a new level: all of the last whole day (UTC) at {middle:.2g} times the usual",)


def _runs(flags: Flags) -> tuple[Steps, Steps]:
    """Return the first step of every run of true flags, and the first after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]
