"""The history of measured load, in the peer's company: DuckDB over plain Parquet files of the same points.

One year of 1,000 series (generated) as a stack's retention leaves it: the last 8 weeks as points of one minute and as
means over 15 minutes, the weeks before as means alone. Then, on two cores: the append of the newest 15 minutes; 8 weeks
of every series at 15 minutes, read into arrays sorted by series and time, in a process of its own; and the same by
DuckDB from plain Parquet of the same minutes, one file a day, averaged as it reads. Sizes are of the 8 weeks as
measured: the history's parts, the same as plain Parquet (pandas' own settings), and as CSV (one day's, times the days).

    python -m benchmarks.history [--quick]

The last line is JSON: append_s (median of 7 appends; at most 2 is asked for), read_s (median of 3; at most 5), peak_mb
(of the reading process; at most 2048), duckdb_read_ratio (read_s over the peer's), duckdb_means_ratio (read_s over the
peer's where it too reads means made beforehand), size_vs_csv, size_vs_parquet. --quick: 200 series, 14 days, 10 of them
read.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.store.folder import FolderObjects
from ecm.store.history import History, Retention

END = datetime(2026, 3, 2, tzinfo=UTC)
APPENDS, READS, CORES = 7, 3, 2
MINUTES = 1440


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    series: int
    days: int
    read_days: int


FULL, QUICK = Size(1000, 365, 56), Size(200, 14, 10)


def points(size: Size, start: datetime, minutes: int, step: int = 1) -> Points:
    """Return the load of every series from `start`: a day's wave, noise, Mbit/s to three decimals."""
    steps = minutes // step
    keys = tuple(
        SeriesKey(vpn=f"vpn-{i // 20}", application=f"app-{i}", node=f"node-{i % 16}") for i in range(size.series)
    )
    first = np.datetime64(start.replace(tzinfo=None), "us")
    stamps = first + np.arange(steps) * np.timedelta64(step, "m")
    noise = np.random.default_rng(int(start.timestamp()))
    wave = 1.2 + np.sin(np.arange(steps) * step * 2 * np.pi / MINUTES)
    level = np.random.default_rng(7).gamma(2.0, 50.0, size.series)
    mbps = np.round(level[:, None] * wave * noise.normal(1.0, 0.05, (size.series, steps)), 3)
    index = np.repeat(np.arange(size.series, dtype=np.int32), steps)
    return Points(keys, index, np.tile(stamps, size.series), mbps.ravel(), np.zeros(len(index), np.bool_))


def frame(made: Points) -> pd.DataFrame:
    """Return `made` as a table of the form that telemetry has in files."""
    names = np.array([key.application for key in made.series])[made.index]
    vpns = np.array([key.vpn for key in made.series])[made.index]
    nodes = np.array([key.node for key in made.series])[made.index]
    columns = {"timestamp": made.stamps, "vpn": vpns, "application": names, "node": nodes, "mbps": made.mbps}
    return pd.DataFrame({**columns, "saturated": made.saturated})


def fill(folder: Path, size: Size) -> dict[str, float]:
    """Write the history and the peer's files; return the bytes of the days that are read, by form."""
    history = History(FolderObjects(folder / "history"))
    plain, means = folder / "plain", folder / "means"
    plain.mkdir()
    means.mkdir()
    csv = 0
    for number in range(size.days):
        day = END - timedelta(days=size.days - number)
        made = points(size, day, MINUTES, 1 if number >= size.days - size.read_days else 15)
        history.append(made)
        # As a stack's scheduled runs do it: the day that is over is compacted, the oldest is kept as means.
        history.compact(day + timedelta(days=1), Retention(raw_days=size.read_days))
        if number >= size.days - size.read_days:
            table = frame(made)
            table.to_parquet(plain / f"{day:%Y-%m-%d}.parquet", index=False)
            if number == size.days - 1:
                csv = len(table.to_csv(index=False)) * size.read_days
            averaged = history.read(day, day + timedelta(days=1), means=True)
            frame(averaged).to_parquet(means / f"{day:%Y-%m-%d}.parquet", index=False)
        print(f"\r{number + 1} of {size.days} days", end="", file=sys.stderr)
    print(file=sys.stderr)
    raw = sum((folder / "history" / part.name).stat().st_size for day in history.manifest().days for part in day.raw)
    return {"history": raw, "parquet": sum(p.stat().st_size for p in plain.iterdir()), "csv": csv}


def append(folder: Path, size: Size) -> float:
    """Return the median seconds of appending the newest 15 minutes, points already in memory."""
    taken = []
    for number in range(APPENDS):
        made = points(size, END + timedelta(minutes=15 * number), 15)
        began = time.perf_counter()
        History(FolderObjects(folder / "history")).append(made)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def read(folder: Path, size: Size) -> int:
    """Read the last days as means by the history; return the points."""
    history = History(FolderObjects(folder / "history"))
    return len(history.read(END - timedelta(days=size.read_days), END, means=True))


def peer(folder: Path, *, means: bool) -> int:
    """Read the same by DuckDB; return the points."""
    source = f"read_parquet('{folder / ('means' if means else 'plain')}/*.parquet')"
    keys = "vpn, application, node"
    query = f"select {keys}, timestamp, mbps, saturated from {source} order by {keys}, timestamp"  # noqa: S608 - own paths
    if not means:
        slot = "time_bucket(interval '15 minutes', timestamp)"
        query = (
            f"select {keys}, {slot} as slot, avg(mbps) as mbps, bool_or(saturated) as saturated "  # noqa: S608 - own paths
            f"from {source} group by all order by {keys}, slot"
        )
    with duckdb.connect(config={"threads": CORES}) as connection:
        return len(connection.execute(query).fetchnumpy()["mbps"])


READERS = {
    "history": read,
    "plain": lambda folder, _: peer(folder, means=False),
    "means": lambda folder, _: peer(folder, means=True),
}


def alone(what: str, folder: Path, size: Size) -> tuple[float, float, int]:
    """Return the median seconds, the peak MB and the points of a reader, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.history", "--reader", what, "--folder", str(folder)]
    flag = ["--quick"] if size == QUICK else []
    said = json.loads(subprocess.run([*command, *flag], check=True, capture_output=True, text=True).stdout)
    return said["seconds"], said["peak_mb"], said["points"]


def reader(what: str, folder: Path, size: Size) -> None:
    """Print what `alone` returns."""
    taken, found = [], 0
    for _ in range(READS):
        began = time.perf_counter()
        found = READERS[what](folder, size)
        taken.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": statistics.median(taken), "peak_mb": peak, "points": found}))


def measure(size: Size) -> dict[str, float]:
    """Return the figures."""
    with tempfile.TemporaryDirectory(prefix="ecm-history-") as name:
        folder = Path(name)
        bytes_of = fill(folder, size)
        append_s = append(folder, size)
        mine, plain, means = (alone(what, folder, size) for what in READERS)
    if not mine[2] == plain[2] == means[2] == size.series * size.read_days * MINUTES // 15:
        raise AssertionError(f"the readers found {mine[2]}, {plain[2]} and {means[2]} points")
    return {
        "append_s": round(append_s, 3),
        "read_s": round(mine[0], 3),
        "peak_mb": round(mine[1]),
        "duckdb_read_ratio": round(mine[0] / plain[0], 3),
        "duckdb_means_ratio": round(mine[0] / means[0], 3),
        "duckdb_peak_mb": round(plain[1]),
        "size_vs_csv": round(bytes_of["history"] / bytes_of["csv"], 3),
        "size_vs_parquet": round(bytes_of["history"] / bytes_of["parquet"], 3),
    }


def main() -> None:
    """Run the benchmark, or one of its readers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the size that CI runs")
    parser.add_argument("--reader", choices=sorted(READERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    if given.reader:
        reader(given.reader, given.folder, size)
        return
    print(
        f"{size.series} series, {size.days} days (generated), the last {size.read_days} of minutes and read at 15 min"
    )
    figures = measure(size)
    for name, value in figures.items():
        print(f"  {name:20} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
