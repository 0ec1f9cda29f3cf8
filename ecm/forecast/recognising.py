"""Recognises outages, retry storms and new levels: what no model is to learn, and on what nothing is scaled in.

A load that falls to less than half of the usual, by more than its noise explains, while no event or holiday may lower
it, is an unexplained fall. While it lasts the load counts as not measured, so that models expect what they expected
before. It is over when the load comes back, or when it has filled a whole day: then it is a new level, unless that goes
within a week; then it was an outage after all. Where the load was as low a week before, that is what it does at this
time of the week. Load above the usual within the hour after a fall is a retry storm. Every step is judged by what was
measured up to it; what is a level, and how restless a load is, by what was measured up to the refit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean, take
from ecm.forecast.incidents import CHANGED, LONG_MIN, RISEN_MIN, STORM_MIN, WHOLE_DAY, Flags, Grid, Incidents
from ecm.forecast.season import Season

MOST = 0.5
"""A fall leaves at most half of the usual load: models follow what is smaller, as they follow a quiet day."""
NOISES = 5.0
"""It is at least so many standard deviations of the ratio's logarithm deep: loads have heavier tails than the normal
distribution. On seven public traces 0.2 % of the steps are then in falls for which no holiday or storm is known, a
quarter of what 4 leaves, and none of those that are known is missed."""
LOW_TENTH = 1.2816
"""Standard deviations between median and P10 of the normal distribution: outages of two days in four weeks do not move
these."""
NOISE_DAYS = 28
NOISE_STEPS = 96
"""What is usual noise is judged from four weeks, from so many steps at least: before there is no fall."""
USUAL_WEEKS = (1, 2, 3, 4)
"""Usual is the lower median of the same time in the last weeks: one burst among them does not make what is ordinary
look like a fall, and a first Saturday is none."""
REACH_MIN = 15
"""Usual loads are means over as much before and after."""
AGAIN_MIN = 30
"""What repeats every week may be so much earlier or later."""
RELAPSE_DAYS = 7
"""A new level that ends within a week was an outage: what it taught is forgotten before the same hours come again."""
ROWS_AT_ONCE = 1 << 20
"""Bounds memory: values at a time."""


def recognise(values: Values, explained: Flags, grid: Grid, cut: int = 0) -> dict[int, Incidents]:
    """Return what befell the series of `values` (series, time) by row; rows that nothing befell are left out.

    `values` are loads without what events were expected to do to them, `explained` (series, time) are the steps at
    which an event or holiday may lower them. Nothing is looked for before the step `cut`.
    """
    if cut:
        later = recognise(values[:, cut:], explained[:, cut:], grid.after(cut))
        return {row: one.preceded(grid, cut) for row, one in later.items()}
    at_once = max(1, ROWS_AT_ONCE // max(values.shape[1], 1))
    found: dict[int, Incidents] = {}
    for first in range(0, len(values), at_once):
        part = slice(first, first + at_once)
        found |= {first + row: one for row, one in _part(values[part], explained[part], grid).items()}
    return found


def _part(values: Values, explained: Flags, grid: Grid) -> dict[int, Incidents]:
    length = values.shape[1]
    usual = _usual(values, np.arange(length), grid.season)
    ratio = _ratio(values, usual)
    least = _least(ratio, grid)
    low = _share(ratio[:, max(grid.fitted - grid.season.day, 0) : grid.fitted], 1 - WHOLE_DAY)
    risen = np.isfinite(low) & (low > 1 / CHANGED)
    late = ratio[:, max(grid.fitted - grid.season.day, 0) :]
    risen |= _risen(late, least[:, None], grid.season).any(axis=1)
    suspect = np.flatnonzero(((values < least[:, None] * usual) & ~explained).any(axis=1) | risen)
    if not len(suspect):
        return {}
    watch = _Watch(values[suspect], usual[suspect], explained[suspect], least[suspect], grid)
    edges = [0, *range(grid.midnight or grid.season.day, length, grid.season.day), length]
    for first, after in pairwise(edges):
        watch.day(first, after)
    return {int(row): watch.found(place) for place, row in enumerate(suspect) if watch.fell[place] or risen[row]}


class _Watch:
    """Goes through suspect series day by day: what is usual on a day is known without what befell those before it."""

    def __init__(self, values: Values, usual: Values, explained: Flags, least: Values, grid: Grid) -> None:
        self._values, self._usual, self._explained = values, usual, explained
        self._least, self._back = least[:, None], np.sqrt(least)[:, None]
        self._grid = grid
        self._seen = values.copy()
        self._low = values < self._least * usual
        self._fallen = np.zeros(values.shape, dtype=np.bool_)
        self._left_out, self._watched, self._storm = (self._fallen.copy() for _ in range(3))
        self.fell = np.zeros(len(values), dtype=np.bool_)
        self._level = np.ones((len(values), 1))
        """At most 1: where a load was above its usual, its usual is no fall."""
        self._levels: dict[int, int] = {}
        """By row: the first step of a fall that became a level within the last week."""

    def day(self, first: int, after: int) -> None:
        """Judge the steps [first, after); `first` is the start or a midnight."""
        if first:
            self._learn(slice(max(first - self._grid.season.day, 0), first))
        steps = slice(first, after)
        touched = np.flatnonzero((self._left_out | self._storm)[:, :first].any(axis=1))
        if len(touched):
            self._usual[touched, steps] = _usual(self._seen[touched], np.arange(first, after), self._grid.season)
        load = self._values[:, steps]
        self._low[:, steps] = load < self._least * self._usual[:, steps]
        explained = self._explained[:, steps] | self._lower_last_week(first, after)
        expected = self._usual[:, steps] * self._level
        low = (load < self._least * expected) & ~explained
        over = (load >= self._back * expected) | explained
        before = self._fallen[:, first - 1] if first else np.zeros(len(load), dtype=np.bool_)
        self._fallen[:, steps] = _latched(low, over, before)
        self._left_out[:, steps] = self._fallen[:, steps]
        self.fell |= self._fallen[:, steps].any(axis=1)
        self._look_after(first, after)
        self._forget(steps)

    def _learn(self, yesterday: slice) -> None:
        """Take yesterday's level; a fall that filled it is one, and what was one is not where the load came back."""
        day, first = self._grid.season.day, yesterday.stop
        ratio = _ratio(self._values[:, yesterday], self._usual[:, yesterday])
        count = np.isfinite(ratio).sum(axis=1)
        whole = count >= WHOLE_DAY * day
        self._level = np.where(whole, np.minimum(_share(ratio, WHOLE_DAY), 1.0), self._level[:, 0])[:, None]
        filled = (self._fallen[:, yesterday] & np.isfinite(ratio)).sum(axis=1) >= WHOLE_DAY * count
        for row in np.flatnonzero(whole & filled & self._fallen[:, first - 1]).tolist():
            began = int(np.max(np.flatnonzero(~self._fallen[row, :first]), initial=-1)) + 1
            self._levels[row] = began
            self._fallen[row, began:first] = self._left_out[row, began:first] = False
            self._seen[row, began:first] = self._values[row, began:first]
        came_back = whole & (_share(ratio, 0.5) >= self._back[:, 0])
        for row, began in list(self._levels.items()):
            if came_back[row]:
                low = self._values[row, began:first] < self._back[row] * self._usual[row, began:first]
                self._left_out[row, began : began + int(np.max(np.flatnonzero(low), initial=-1)) + 1] = True
                self._forget(slice(began, first))
            if came_back[row] or first - began > RELAPSE_DAYS * day:
                del self._levels[row]

    def _lower_last_week(self, first: int, after: int) -> Flags:
        reach = self._grid.season.steps(AGAIN_MIN)
        then = np.arange(first, after)[:, None] - self._grid.season.week + np.arange(-reach, reach + 1)
        found: Flags = np.asarray((self._low[:, np.maximum(then, 0)] & (then >= 0)).any(axis=2))
        return found

    def _forget(self, steps: slice) -> None:
        self._seen[:, steps][self._left_out[:, steps] | self._storm[:, steps]] = np.nan

    def _look_after(self, first: int, after: int) -> None:
        """Flag the hour after each fall, and what is above the usual in it."""
        long, reach = (self._grid.season.steps(minutes) for minutes in (LONG_MIN, STORM_MIN))
        begin = max(first - reach - long, 0)
        fallen = self._fallen[:, begin:after]
        place = np.arange(fallen.shape[1])
        up = np.maximum.accumulate(np.where(fallen, -1, place), axis=1)
        last = np.maximum.accumulate(np.where(fallen & (place - up >= long), place, -1), axis=1)
        watched = (~fallen & (last >= 0) & (place - last <= reach))[:, first - begin :]
        self._watched[:, first:after] = watched
        above = self._values[:, first:after] * self._back > self._usual[:, first:after]
        self._storm[:, first:after] = watched & above

    def found(self, row: int) -> Incidents:
        """Return what befell one series."""
        ratio = _ratio(self._values[row], self._usual[row])
        return Incidents(
            grid=self._grid,
            fallen=self._fallen[row],
            left_out=self._left_out[row],
            watched=self._watched[row],
            storm=self._storm[row],
            risen=_risen(ratio[None], self._least[row], self._grid.season)[0],
            ratio=ratio,
        )


def _usual(values: Values, steps: Steps, season: Season) -> Values:
    """Return the usual load at `steps`, (series, steps), from steps before each; NaN where nothing tells."""
    reach = REACH_MIN // season.interval_min
    around = steps[:, None] + np.arange(-reach, reach + 1)
    weeks = np.stack([mean(take(values, around - week * season.week)) for week in USUAL_WEEKS])
    for week, one in zip(USUAL_WEEKS, weeks, strict=True):
        one[:, steps < week * season.week] = np.nan
    weeks.sort(axis=0)
    count = np.isfinite(weeks).sum(axis=0)
    usual: Values = np.take_along_axis(weeks, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return usual


def _ratio(values: Values, usual: Values) -> Values:
    known = usual > 0
    found: Values = np.where(known, values / np.where(known, usual, 1.0), np.nan)
    return found


def _risen(ratio: Values, least: Values, season: Season) -> Flags:
    """Return where the load was above the usual for two hours, and less than a day."""
    place = np.arange(ratio.shape[1])
    high = (ratio * np.sqrt(least) > 1) & (least > 0)
    since = place - np.maximum.accumulate(np.where(high, -1, place), axis=1)
    found: Flags = np.asarray((since >= season.steps(RISEN_MIN)) & (since < season.day))
    return found


def _share(values: Values, share: float) -> Values:
    """Return the value below which `share` of the known ones of each row lie; infinite where there is none."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    if not ordered.shape[1]:
        return np.full(len(values), np.inf)
    found: Values = ordered[np.arange(len(values)), np.maximum(np.ceil(share * count).astype(np.int64) - 1, 0)]
    return found


def _least(ratio: Values, grid: Grid) -> Values:
    """Return the ratio to the usual below which a load has fallen, (series); 0: never.

    Its noise is that within days: a new level is none.
    """
    day = grid.season.day
    days = min(grid.fitted // day, NOISE_DAYS)
    if not days:
        return np.zeros(len(ratio))
    recent = ratio[:, grid.fitted - days * day : grid.fitted].reshape(-1, day)
    middles = _share(recent, 0.5)[:, None]
    recent = np.where(middles > 0, recent / np.where(middles > 0, middles, 1.0), np.nan).reshape(len(ratio), -1)
    low, middle = _share(recent, 0.1), _share(recent, 0.5)
    good = (np.isfinite(recent).sum(axis=1) >= NOISE_STEPS) & (low > 0)
    spread = np.log(np.where(good, middle, 1.0) / np.where(good, low, 1.0)) / LOW_TENTH
    # Rounded: machines differ in the last bits of a logarithm.
    least: Values = np.where(good, np.minimum(MOST, np.exp(-NOISES * spread)), 0.0)
    return np.round(least, 9)


def _latched(on: Flags, off: Flags, before: Flags) -> Flags:
    """Return a state that `on` sets, `off` clears and all else leaves as it is, from `before` on."""
    place = np.arange(on.shape[1])
    decided = np.maximum.accumulate(np.where(on | off, place, -1), axis=1)
    state = np.take_along_axis(on, np.maximum(decided, 0), axis=1)
    found: Flags = np.where(decided >= 0, state, before[:, None])
    return found
