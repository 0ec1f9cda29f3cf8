"""Turns a plain `timestamp,value` file into telemetry with a stated factor."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ecm import files
from ecm.model.base import Frozen, Name, Text
from ecm.model.fleet import TimeZone
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.rows import REQUIRED, read_table
from ecm.telemetry.stamps import Stamps, parse, place


class PlainImport(Frozen):
    """What a plain file's values are to stand for; all of it is stated again in the result."""

    vpn: Name
    application: Name
    factor: float = Field(gt=0, allow_inf_nan=False)
    """Mbit/s per unit of the file."""
    unit: Text
    """What the file counts, such as `requests per 5 min`."""
    time_zone: TimeZone | None = None
    """Time zone of stamps without an offset; none: such stamps are refused."""
    shift_weeks: int = 0
    """Whole weeks by which the stamps are moved, later when positive: day and weekday stay what they were."""
    value_column: Text | None = None
    """None: the one column beside `timestamp`."""


class Imported(Frozen):
    """What an import made, for people to read."""

    rows: int
    statement: Text


def import_plain(source: Path, target: Path, how: PlainImport) -> Imported:
    """Write `source` to `target` (.csv or .parquet) in long form and return what was done, factor and shift stated.

    Empty values stay empty. TelemetryError for a file, column, stamp or value that cannot be read.
    """
    table = plain_table(source, how)
    write_table(table, target)
    moved = f", moved by {how.shift_weeks} whole weeks" if how.shift_weeks else ""
    statement = (
        f"{source.name} as {how.vpn}/{how.application}: 1 {how.unit} stated as {how.factor:g} Mbit/s{moved}; "
        "scaled, not measured"
    )
    return Imported(rows=len(table), statement=statement)


def plain_table(source: Path, how: PlainImport) -> pd.DataFrame:
    """Return the long form of `source`: timestamp (text, UTC), vpn, application, mbps."""
    stamps, numbers, _ = plain_values(source, how)
    text = pd.Series(np.datetime_as_string(stamps, unit="s"), dtype=str) + "Z"
    return pd.DataFrame(
        {
            "timestamp": text.to_numpy(),
            "vpn": how.vpn,
            "application": how.application,
            "mbps": np.round(numbers * how.factor, 6),
        }
    )


def plain_values(source: Path, how: PlainImport) -> tuple[Stamps, npt.NDArray[np.float64], bool]:
    """Return stamps (UTC, shifted) and values (in the file's unit; NaN where empty) of `source` in its row order.

    The last value says whether every stamp has an offset. TelemetryError as `import_plain`.
    """
    frame = read_table(source)
    column = _value_column(frame, source, how.value_column)
    if frame.empty:
        raise TelemetryError("holds no rows", file=str(source), remedy="export it again")
    numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = (np.isnan(numbers) & frame[column].notna().to_numpy(dtype=bool)) | np.isinf(numbers)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TelemetryError(
            "not a finite number",
            file=str(source),
            where=f"row {row + 1}, column {column}",
            value=frame[column].iloc[row],
            remedy="write a decimal number with a point; leave the cell empty where nothing was measured",
        )
    placed, aware = _stamps(frame, source, how)
    stamps = placed + np.timedelta64(timedelta(weeks=how.shift_weeks))
    known = ~np.isnat(stamps)
    return stamps[known], numbers[known], aware


def _value_column(frame: pd.DataFrame, source: Path, named: str | None) -> str:
    others = [str(c) for c in frame.columns if c != "timestamp"]
    if "timestamp" not in frame.columns or (named is not None and named not in others) or not others:
        raise TelemetryError(
            "needs the columns timestamp and " + (named or "one of values"),
            file=str(source),
            where="header",
            value=",".join(str(c) for c in frame.columns),
            remedy="name the columns so, or name the value column of the import",
        )
    if named is None and len(others) > 1:
        raise TelemetryError(
            "more than one column beside timestamp",
            file=str(source),
            where="header",
            value=",".join(others),
            remedy="name the value column of the import",
        )
    return named or others[0]


def _stamps(frame: pd.DataFrame, source: Path, how: PlainImport) -> tuple[Stamps, bool]:
    parsed = parse(frame["timestamp"], file=str(source))
    stamps = parsed.stamps.copy()
    naive = np.flatnonzero(~parsed.aware)
    if naive.size and how.time_zone is None:
        raise TelemetryError(
            "no offset, and nothing says which time zone this is",
            file=str(source),
            where=f"row {int(naive[0]) + 1}, column timestamp",
            value=str(stamps[naive[0]]),
            remedy="state the time zone of the import, such as Europe/Athens or UTC",
        )
    if naive.size and how.time_zone is not None:
        stamps[naive] = place(stamps[naive], how.time_zone).stamps
    return stamps, not naive.size


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table with the columns `timestamp, vpn, application, mbps` to a .csv or .parquet file."""
    table = table[[*REQUIRED]]
    if target.suffix == ".parquet":
        files.write(target, table.to_parquet(index=False))
    elif target.suffix == ".csv":
        files.write(target, table.to_csv(index=False, lineterminator="\n"))
    else:
        raise TelemetryError(
            "neither .csv nor .parquet", file=str(target), remedy="name the target by what it is to be"
        )
