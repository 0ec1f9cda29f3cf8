"""Reads CSV and Parquet files of telemetry into one table of rows, each with the place it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecm.model.fleet import Fleet
from ecm.model.points import MANIFEST
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.stamps import Flags, Stamps, parse

REQUIRED = ("timestamp", "vpn", "application", "mbps")
NUMBERS = ("peak_mbps", "sessions")
SATURATED = "saturated"
OPTIONAL = (*NUMBERS, SATURATED)
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no", "")
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Rows:
    """Rows of all files in the order in which they stand; `place(i)` says where row i came from."""

    files: tuple[str, ...]
    file: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    stamps: Stamps
    aware: Flags
    application: npt.NDArray[np.int64]
    """Index into the sorted applications of the fleet."""
    mbps: npt.NDArray[np.float64]
    saturated: Flags
    """Measured while a tier was saturated: a lower bound; false where a file does not say."""

    def place(self, row: int) -> tuple[str, str]:
        """Return the file of `row` and the row's number in it."""
        return self.files[self.file[row]], f"row {self.line[row] + 1}"


class Table(NamedTuple):
    """Telemetry that is no file: a frame of the columns that a file has, and what messages call it."""

    name: str
    frame: pd.DataFrame


Source = Path | Table


def read_rows(source: Source, fleet: Fleet) -> Rows:
    """Return the rows of a table, of a file, or of every CSV and Parquet file below a folder."""
    read = [source] if isinstance(source, Table) else [Table(str(p), read_table(p)) for p in _files(source)]
    frames = [_checked(table) for table in read]
    names = tuple(table.name for table in read)
    tables = [(frame, name) for frame, name in zip(frames, names, strict=True) if len(frame)]
    if not tables:
        raise TelemetryError(
            "holds no rows", file=called(source), remedy=f"write one row per interval: {', '.join(REQUIRED)}"
        )
    parsed = [parse(frame["timestamp"], file=name) for frame, name in tables]
    for frame, name in tables:
        for column in NUMBERS:
            if column in frame:
                _numbers(frame[column], column, name)
    return Rows(
        files=names,
        file=np.concatenate([np.full(len(frame), names.index(name)) for frame, name in tables]),
        line=np.concatenate([np.arange(len(frame)) for frame, _ in tables]),
        stamps=np.concatenate([p.stamps for p in parsed]),
        aware=np.concatenate([p.aware for p in parsed]),
        application=np.concatenate([_applications(frame, name, fleet) for frame, name in tables]),
        mbps=np.concatenate([_numbers(frame["mbps"], "mbps", name) for frame, name in tables]),
        saturated=np.concatenate([_flags(frame, name) for frame, name in tables]),
    )


def called(source: Source) -> str:
    """Return what messages call `source`."""
    return source.name if isinstance(source, Table) else str(source)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        kept = next(path.rglob(MANIFEST), None)
        if kept is not None:
            raise TelemetryError(
                "holds a history, whose parts are no telemetry one by one",
                file=str(path),
                remedy=f"name the folder {kept.parent} itself, or leave --telemetry out",
            )
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise TelemetryError("no .csv or .parquet file in this folder", file=str(path), remedy="put telemetry here")
        return found
    if not path.is_file():
        raise TelemetryError("no such file or folder", file=str(path), remedy="name a CSV or Parquet file or a folder")
    if path.suffix.lower() not in SUFFIXES:
        raise TelemetryError(
            "neither .csv nor .parquet", file=str(path), remedy="name it by what it is: .csv or .parquet"
        )
    return [path]


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in `path`, CSV columns as text; TelemetryError where it is not one."""
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=[""], index_col=False, encoding="utf-8-sig"
        )
    except pd.errors.EmptyDataError as error:
        raise TelemetryError("the file is empty", file=str(path), remedy="export it again") from error
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TelemetryError(
            f"cannot be read: {first_line}", file=str(path), remedy="check that the file is whole"
        ) from error


def _checked(table: Table) -> pd.DataFrame:
    path, frame = table
    columns = [str(c) for c in frame.columns]
    for column in REQUIRED:
        if column not in columns:
            raise TelemetryError(
                f"column {column!r} is missing",
                file=path,
                where="header",
                value=",".join(columns),
                remedy=f"the columns are {', '.join(REQUIRED)}, optional {', '.join(OPTIONAL)}; "
                "a plain timestamp,value file goes through `ecm telemetry import`",
            )
    for column in columns:
        if column not in REQUIRED + OPTIONAL:
            raise TelemetryError(
                "unknown column",
                file=path,
                where="header",
                value=column,
                remedy=f"rename or drop it; known are {', '.join(REQUIRED + OPTIONAL)}",
            )
    if len(set(columns)) != len(columns):
        raise TelemetryError(
            "a column stands twice", file=path, where="header", value=",".join(columns), remedy="drop one"
        )
    return frame


def _numbers(column: pd.Series[str], name: str, file: str) -> npt.NDArray[np.float64]:
    """Return the column as floats, empty cells as NaN; infinity and text are errors."""
    numbers: npt.NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan, copy=True
    )
    if not pd.api.types.is_numeric_dtype(column):
        # pandas parses text to within one unit in the last place; the same number in CSV and Parquet is to be the same
        parsed = ~np.isnan(numbers)
        numbers[parsed] = column.to_numpy(dtype=object)[parsed].astype(np.float64)
    bad = (np.isnan(numbers) & column.notna().to_numpy(dtype=bool)) | np.isinf(numbers)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TelemetryError(
            "not a finite number",
            file=file,
            where=f"row {row + 1}, column {name}",
            value=column.iloc[row],
            remedy="write Mbit/s as a decimal number with a point; leave the cell empty where nothing was measured"
            if name != "sessions"
            else "write the number of sessions; leave the cell empty where nothing was measured",
        )
    return numbers


def _flags(frame: pd.DataFrame, file: str) -> Flags:
    """Return the column `saturated`; an empty cell and a missing column say no."""
    if SATURATED not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    words = frame[SATURATED].astype(object).where(frame[SATURATED].notna(), "").astype(str).str.strip().str.lower()
    words = words.str.removesuffix(".0")
    unknown = np.flatnonzero(~words.isin((*_YES, *_NO)).to_numpy(dtype=bool))
    if unknown.size:
        raise TelemetryError(
            "neither true nor false",
            file=file,
            where=f"row {int(unknown[0]) + 1}, column {SATURATED}",
            value=frame[SATURATED].iloc[int(unknown[0])],
            remedy="write true where a tier was saturated, so that the load is a lower bound; else false or nothing",
        )
    return words.isin(_YES).to_numpy(dtype=np.bool_)


def _applications(frame: pd.DataFrame, file: str, fleet: Fleet) -> npt.NDArray[np.int64]:
    vpn_of = {a.id: a.vpn for a in fleet.applications}
    position = {name: i for i, name in enumerate(sorted(vpn_of))}
    vpns, vpn_names = pd.factorize(frame["vpn"].fillna("").astype(str))
    apps, app_names = pd.factorize(frame["application"].fillna("").astype(str))
    pairs, first = np.unique(vpns * len(app_names) + apps, return_index=True)
    for pair, row in sorted(zip(pairs.tolist(), first.tolist(), strict=True), key=lambda p: p[1]):
        vpn, application = str(vpn_names[pair // len(app_names)]), str(app_names[pair % len(app_names)])
        _check_pair(vpn, application, vpn_of, (file, f"row {row + 1}"))
    return np.array([position[str(name)] for name in app_names], dtype=np.int64)[apps]


def _check_pair(vpn: str, application: str, vpn_of: dict[str, str], place: tuple[str, str]) -> None:
    file, row = place
    vpns = sorted(set(vpn_of.values()))
    if vpn not in vpns:
        raise TelemetryError(
            "the fleet has no such VPN",
            file=file,
            where=f"{row}, column vpn",
            value=vpn,
            remedy=f"known VPNs with applications: {', '.join(vpns)}; add it to the fleet file or drop its rows",
        )
    if application not in vpn_of:
        raise TelemetryError(
            "the fleet has no such application",
            file=file,
            where=f"{row}, column application",
            value=application,
            remedy=f"known: {', '.join(sorted(vpn_of))}; add it to the fleet file or drop its rows",
        )
    if vpn_of[application] != vpn:
        raise TelemetryError(
            f"application {application!r} belongs to VPN {vpn_of[application]!r}",
            file=file,
            where=f"{row}, column vpn",
            value=vpn,
            remedy="correct the row or the fleet file",
        )
