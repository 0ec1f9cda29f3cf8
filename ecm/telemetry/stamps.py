"""Timestamps: from text to UTC, with daylight saving found and said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecm.telemetry.errors import TelemetryError

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?")
"""ISO 8601 date and time to the minute or finer, with or without an offset; `01/02/03` is nobody's guess."""

Stamps = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parsed:
    """Timestamps of one file in its row order."""

    stamps: Stamps
    """Microseconds: UTC where `aware`, else the wall clock that the file shows."""
    aware: Flags


@dataclass(frozen=True)
class Placed:
    """Wall clock readings of one time zone, placed in UTC."""

    stamps: Stamps
    ambiguous: Flags
    """Hours that the clock showed twice: read as the first of the two (daylight saving time)."""
    nonexistent: Flags
    """Hours that the clock never showed: `stamps` is NaT."""


def parse(column: pd.Series[Any], *, file: str) -> Parsed:
    """Return the timestamps of `column`, text or a typed Parquet column; TelemetryError names the first bad row."""
    dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return Parsed(_micro(column.dt.tz_convert("UTC").dt.tz_localize(None)), np.ones(len(column), dtype=bool))
    if pd.api.types.is_datetime64_dtype(dtype):
        return Parsed(_micro(column), np.zeros(len(column), dtype=bool))
    codes, texts = pd.factorize(column.astype(str))
    matches = [_ISO.fullmatch(text) for text in texts]
    aware = np.array([m is not None and m.group(1) is not None for m in matches], dtype=bool)
    bad = np.array([m is None for m in matches], dtype=bool)
    stamps = np.full(len(texts), np.datetime64("NaT", "us"), dtype="datetime64[us]")
    for kind in (True, False):
        chosen = (aware == kind) & ~bad
        if chosen.any():
            read = pd.to_datetime(pd.Series(texts)[chosen], format="ISO8601", utc=kind, errors="coerce")
            stamps[chosen] = _micro(read.dt.tz_localize(None) if kind else read)
    bad |= np.isnat(stamps)
    if bad.any():
        row = int(np.flatnonzero(bad[codes])[0])
        raise TelemetryError(
            "not a date and time",
            file=file,
            where=f"row {row + 1}, column timestamp",
            value=texts[codes[row]],
            remedy="write ISO 8601 with an offset, such as 2026-03-02T09:15:00Z or 2026-03-02T10:15:00+01:00",
        )
    return Parsed(stamps[codes], aware[codes])


def _micro(column: pd.Series[Any]) -> Stamps:
    return column.to_numpy().astype("datetime64[us]")


def place(wall: Stamps, zone: str) -> Placed:
    """Return the UTC instants of the wall clock readings `wall` in the IANA time zone `zone`."""
    index = pd.DatetimeIndex(wall)
    first = index.tz_localize(zone, ambiguous=np.ones(len(index), dtype=bool), nonexistent="NaT")
    sure = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    nonexistent = np.asarray(first.isna(), dtype=bool)
    ambiguous = np.asarray(sure.isna(), dtype=bool) & ~nonexistent
    utc = first.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
    return Placed(utc, ambiguous, nonexistent)
