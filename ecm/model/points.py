"""Measured points of many series: what sources give and the history keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.model.series import SeriesKey

MANIFEST: Final = "history.json"
"""The object that says which parts a history has; a folder that holds it is read through it alone."""


@dataclass(frozen=True)
class Points:
    """Points of several series, in any order; a later one replaces an earlier one of the same series and time."""

    series: tuple[SeriesKey, ...]
    index: npt.NDArray[np.int32]
    """Position in `series` of each point."""
    stamps: npt.NDArray[np.datetime64]
    """Starts of the intervals, UTC, microseconds."""
    mbps: npt.NDArray[np.float64]
    """Means over the intervals, Mbit/s; NaN: not measured."""
    saturated: npt.NDArray[np.bool_]
    """Measured while a tier was saturated: a lower bound of the demand."""

    def __len__(self) -> int:
        return len(self.index)

    def chosen(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Points:
        """Return the points that `which` (flags or positions) names."""
        return Points(self.series, self.index[which], self.stamps[which], self.mbps[which], self.saturated[which])

    def latest(self) -> Points:
        """Return one point for each series and time, the last of them, sorted by series and time."""
        if len(self) < 2:
            return self
        micro = self.stamps.astype(np.int64)
        rising = (np.diff(self.index) > 0) | ((np.diff(self.index) == 0) & (np.diff(micro) > 0))
        if rising.all():
            return self
        order = np.lexsort((micro, self.index))  # stable: what was given later stands later
        index, micro = self.index[order], micro[order]
        last = np.append((np.diff(index) != 0) | (np.diff(micro) != 0), True)
        return self.chosen(order[last])

    def named(self, series: tuple[SeriesKey, ...]) -> Points:
        """Return these points with positions in `series`, which holds every series of theirs."""
        position = {key: i for i, key in enumerate(series)}
        table = np.array([position[key] for key in self.series], dtype=np.int32)
        index = table[self.index] if len(table) else self.index
        return Points(series, index, self.stamps, self.mbps, self.saturated)


def joined(parts: Sequence[Points], series: tuple[SeriesKey, ...]) -> Points:
    """Return the points of `parts`, all named by `series`, one part after the other."""
    return Points(
        series,
        np.concatenate([np.zeros(0, np.int32), *(p.index for p in parts)]),
        np.concatenate([np.zeros(0, "datetime64[us]"), *(p.stamps for p in parts)]),
        np.concatenate([np.zeros(0), *(p.mbps for p in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(p.saturated for p in parts)]),
    )
