"""One series from a plain `timestamp,value` file, on the regular grid that its stamps follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.plain import PlainImport, plain_values

MINUTE = np.timedelta64(1, "m")
JITTER = 0.25
"""A stamp may be off its place on the grid by this share of the step."""


@dataclass(frozen=True)
class PlainTrace:
    """Values of a file on their grid."""

    start: datetime
    """UTC; stamps without an offset are taken as UTC unless a time zone was stated."""
    aware: bool
    """Whether the file's stamps have an offset."""
    step_min: int
    values: npt.NDArray[np.float64]
    """NaN where the file has no value."""
    missing: int
    """Steps without a row."""
    repeated: int
    """Rows whose step had one already: the mean of both counts."""


def read_trace(source: Path, *, column: str | None = None, time_zone: str = "UTC") -> PlainTrace:
    """Return the series of `source`; `column` where there is more than one beside `timestamp`.

    TelemetryError for a file, column, stamp or value that cannot be read, a negative value, fewer than two rows, or
    stamps that follow no regular grid of 1 to 60 min.
    """
    how = PlainImport(vpn="trace", application="trace", factor=1, unit="unit", time_zone=time_zone, value_column=column)
    stamps, values, aware = plain_values(source, how)
    order = np.argsort(stamps, kind="stable")
    stamps, values = stamps[order], values[order]
    if (values < 0).any():
        raise TelemetryError(
            "a negative load",
            file=str(source),
            where=f"at {stamps[int(np.argmax(values < 0))]}",
            value=float(values[int(np.argmax(values < 0))]),
            remedy="leave the cell empty where nothing was measured",
        )
    step = _step(stamps, source)
    place = (stamps - stamps[0]) / (step * MINUTE)
    index = np.rint(place).astype(np.int64)
    off = np.abs(place - index) > JITTER
    if off.any():
        raise TelemetryError(
            f"not on the grid of {step} min that most rows follow",
            file=str(source),
            where=f"at {stamps[int(np.argmax(off))]}",
            remedy="resample the file to one step",
        )
    start = stamps[0].astype("datetime64[us]").item().replace(tzinfo=UTC)
    gridded, present = _gridded(index, values)
    return PlainTrace(start, aware, step, gridded, len(gridded) - present, len(index) - present)


def _step(stamps: npt.NDArray[np.datetime64], source: Path) -> int:
    differences = np.rint(np.diff(stamps) / MINUTE).astype(np.int64)
    steps, counts = np.unique(differences[differences > 0], return_counts=True)
    step = int(steps[np.argmax(counts)]) if steps.size else 0
    if not 1 <= step <= 60 or 1440 % step:
        raise TelemetryError(
            f"rows follow each other by {step} min" if step else "fewer than two stamps",
            file=str(source),
            remedy="a trace needs one step of 1 to 60 min that divides a day",
        )
    return step


def _gridded(index: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
    """Return the values by step, and how many steps have a row."""
    rows = int(index[-1]) + 1
    known = ~np.isnan(values)
    count = np.bincount(index, weights=known, minlength=rows)
    total = np.bincount(index, weights=np.where(known, values, 0.0), minlength=rows)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), len(np.unique(index))
