"""What events and holidays do to the series of a block, as runs of steps: most steps of most series have no event."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.causes import Cause
from ecm.forecast.effects import Effects, effects, text_of
from ecm.forecast.season import Season


class Occurrences(NamedTuple):
    """Runs of steps with the same factors, and what is said of them."""

    place: Steps
    """(runs, 3): row, first step, first step after."""
    factors: Values
    """(runs, 3): measured, expected, standard deviation of the logarithm of the expected one; see `Effects`."""
    said: tuple[tuple[int, int, int, str], ...]
    """Row, first step, first step after, and the line for people."""

    def spread(self, rows: int, first: int, after: int) -> tuple[Values, Values, Values]:
        """Return measured and expected factors and sigmas of the steps [first, after), (rows, steps) each."""
        found = [np.full((rows, after - first), value) for value in (1.0, 1.0, 0.0)]
        for (row, begin, end), factors in zip(self.place, self.factors, strict=True):
            steps = slice(max(int(begin) - first, 0), max(int(end) - first, 0))
            for one, value in zip(found, factors, strict=True):
                one[row, steps] = value
        return found[0], found[1], found[2]

    def texts(self, rows: int, first: int, after: int) -> tuple[tuple[str, ...], ...]:
        """Return for every row what is said of the occurrences within [first, after)."""
        found: list[list[str]] = [[] for _ in range(rows)]
        for row, begin, end, text in self.said:
            if begin < after and end > first:
                found[row].append(text)
        return tuple(tuple(lines) for lines in found)


def occurrences(values: Values, causes: tuple[tuple[Cause, ...], ...], season: Season, ahead: int) -> Occurrences:
    """Return what `causes` of every row do over `values` (series, history) and `ahead` steps more."""
    places, factors, said = [], [], []
    for row, mine in enumerate(causes):
        if not mine:
            continue
        found = effects(values[row], mine, season, ahead)
        place, factor = _runs(found, values.shape[1])
        places.append(np.insert(place, 0, row, axis=1))
        factors.append(factor)
        said += [(row, c.first, c.after, text_of(c, e)) for c, e in found.causes]
    if not places:
        return Occurrences(np.empty((0, 3), dtype=np.int64), np.empty((0, 3)), ())
    return Occurrences(np.concatenate(places), np.concatenate(factors), tuple(said))


def _runs(found: Effects, length: int) -> tuple[Steps, Values]:
    measured = np.concatenate([found.measured, found.expected[length:]])
    all_three = np.stack([measured, found.expected, found.sigma], axis=1)
    changes = np.flatnonzero((np.diff(all_three, axis=0) != 0).any(axis=1)) + 1
    edges = np.concatenate([[0], changes, [len(all_three)]])
    factors = all_three[edges[:-1]]
    eventful = (factors != (1.0, 1.0, 0.0)).any(axis=1)
    return np.stack([edges[:-1], edges[1:]], axis=1)[eventful], factors[eventful]
