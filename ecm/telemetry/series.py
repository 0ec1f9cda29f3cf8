"""One application's samples: regular interval, duplicates, gaps, and values that cannot be a load."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from ecm.model.demand import Severity, TelemetryFinding
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.rows import Rows
from ecm.telemetry.stamps import Stamps

ABSURD_FACTOR = 1000.0
"""A value above this many times the median of the positive values ..."""
ABSURD_OVER_P99 = 10.0
"""... and above this many times their 99th percentile is no load: traffic that bursts often has a high P99."""
BOUND_MBPS = 10_000_000.0
"""10 Tbit/s: the largest load that a plan can hold, beyond any tier of 16 nodes."""
RESET_FACTOR = 10.0
"""A negative value this many times the median in size is a counter that began again, not noise around zero."""
FLAT_STEPS = 12
FLAT_MINUTES = 180
"""A run of equal values is reported from both bounds on: measured traffic does not stand still for three hours."""
STUCK_SHARE = 0.5
STUCK_RESOLUTION = 100.0
"""Runs of one value are an exporter that is stuck where most of the load varies, in steps of at most 1 % of it: not a
constant load, and not one that rounding holds still."""
COUNTER_STEPS = 48
COUNTER_SHARE = 0.97
"""This share of rising steps over at least COUNTER_STEPS: a counter was exported in place of its rate."""
MINUTE = 60_000_000
"""Microseconds."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Samples of one application in time order on its own regular grid."""

    vpn: str
    application: str
    interval_min: int
    start_min: int
    """Start of the first interval, minutes since 1970 in UTC, a multiple of the interval."""
    mbps: Values
    saturated: npt.NDArray[np.bool_]
    """Where `mbps` is a lower bound."""
    findings: tuple[TelemetryFinding, ...] = field(default=())

    def found(self, kind: str, severity: Severity, at: npt.NDArray[np.bool_], detail: str) -> Series:
        """Return this series with a finding for the intervals `at`; unchanged where there are none."""
        if not at.any():
            return self
        first = minute_time(self.start_min + int(np.flatnonzero(at)[0]) * self.interval_min)
        finding = TelemetryFinding(
            vpn=self.vpn,
            application=self.application,
            kind=kind,
            severity=severity,
            count=int(at.sum()),
            first=first,
            detail=detail,
        )
        return replace(self, findings=(*self.findings, finding))


def minute_time(minute: int) -> datetime:
    """Return the instant `minute` minutes after 1970 began, in UTC."""
    return datetime.fromtimestamp(minute * 60, tz=UTC)


def regular(name: tuple[str, str], stamps: Stamps, mbps: Values, rows: tuple[Rows, npt.NDArray[np.int64]]) -> Series:
    """Return the samples of (vpn, application) on their inferred grid, duplicates reported.

    `rows` is the table and the row of each sample, for messages. The result does not depend on the samples' order.
    TelemetryError where the samples are not regular or their interval does not divide an hour.
    """
    table, origin = rows
    order = np.lexsort((origin, np.nan_to_num(mbps, nan=-np.inf), stamps.astype(np.int64)))
    micro, values, origin = stamps.astype(np.int64)[order], mbps[order], origin[order]
    last = np.append(micro[1:] != micro[:-1], True)
    instants = micro[last]
    interval = _interval(name, instants, table.place(int(origin[0])))
    step = interval * MINUTE
    phases, counts = np.unique(instants % step, return_counts=True)
    phase = int(phases[np.argmax(counts)])
    off = np.flatnonzero(micro % step != phase)
    if off.size:
        file, row = table.place(int(origin[off[0]]))
        raise TelemetryError(
            f"not on the regular grid of {interval} min that most samples of {name[0]}/{name[1]} follow",
            file=file,
            where=f"{row}, column timestamp",
            value=str(micro[off[0] : off[0] + 1].astype("datetime64[us]")[0]),
            remedy="resample the export to one regular interval of 1 to 60 min that divides an hour",
        )
    start = int(instants[0] - phase) // MINUTE
    position = (instants - instants[0]) // step
    grid = np.full(int(position[-1]) + 1, np.nan)
    grid[position] = values[last]
    saturated = np.zeros(len(grid), dtype=np.bool_)
    saturated[position[np.searchsorted(instants, micro[table.saturated[origin]])]] = True
    series = Series(name[0], name[1], interval, start, grid, saturated)
    series = _duplicates(series, (micro, values, last), (position, instants))
    if phase:
        every = np.ones(len(grid), dtype=bool)
        series = series.found(
            "offset", Severity.INFO, every, f"stamps lie {phase / MINUTE:g} min after the grid; read as its intervals"
        )
    return series


def _interval(name: tuple[str, str], instants: npt.NDArray[np.int64], place: tuple[str, str]) -> int:
    file, row = place
    if len(instants) < 2:
        raise TelemetryError(
            f"{name[0]}/{name[1]} has one sample: its interval cannot be told",
            file=file,
            where=row,
            remedy="give at least two intervals of every application, or leave the application out",
        )
    steps, counts = np.unique(np.diff(instants), return_counts=True)
    step = int(steps[np.argmax(counts)])
    minutes, rest = divmod(step, MINUTE)
    if rest or not 1 <= minutes <= 60 or 60 % minutes:
        raise TelemetryError(
            f"samples of {name[0]}/{name[1]} are mostly {step / MINUTE:g} min apart",
            file=file,
            where="column timestamp",
            value=f"{step / MINUTE:g} min",
            remedy="resample to a regular interval of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60 min",
        )
    return minutes


def _duplicates(
    series: Series,
    samples: tuple[npt.NDArray[np.int64], Values, npt.NDArray[np.bool_]],
    grid: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> Series:
    micro, values, last = samples
    position, instants = grid
    extra = micro[~last]
    if not extra.size:
        return series
    at = np.zeros(len(series.mbps), dtype=bool)
    at[position[np.searchsorted(instants, extra)]] = True
    kept = values[last][np.searchsorted(instants, micro)]
    unequal = np.unique(micro[~((values == kept) | (np.isnan(values) & np.isnan(kept)))])
    detail = f"{extra.size} rows for an interval that has one already"
    if unequal.size:
        detail += f"; {unequal.size} intervals with unequal values, the largest is kept"
    return series.found("duplicate", Severity.WARNING, at, detail)


def examined(series: Series, bound_mbps: float = BOUND_MBPS) -> Series:
    """Return `series` with its findings; negative and absurd values are NaN in it, and the finding says so."""
    series = _counter(series)
    values = series.mbps.copy()
    negative = values < 0
    positive = values[values > 0]
    if positive.size:
        median = float(np.median(positive))
        high = float(np.quantile(positive, 0.99, method="lower"))
        limit = min(max(ABSURD_FACTOR * median, ABSURD_OVER_P99 * high), bound_mbps)
    else:
        median, limit = 0.0, bound_mbps
    reset = negative & (values < -RESET_FACTOR * median) & (median > 0)
    absurd = values > limit
    largest = float(values[absurd].max()) if absurd.any() else 0.0
    values[negative | absurd] = np.nan
    left_out = "left out as not measured"
    series = series.found(
        "reset", Severity.WARNING, reset, f"negative by far more than the load: a counter began again; {left_out}"
    )
    series = series.found("negative", Severity.WARNING, negative & ~reset, f"below zero; {left_out}")
    detail = f"up to {largest:.6g} Mbit/s where the median is {median:.6g} and the limit {limit:.6g}; {left_out}"
    series = series.found("absurd", Severity.WARNING, absurd, detail)
    bounds = series.saturated & ~np.isnan(values)
    detail = "measured while a tier was saturated: taken as a lower bound of the demand"
    series = replace(series, saturated=bounds).found("saturated", Severity.INFO, bounds, detail)
    # Gaps are what the file lacks; what is left out above and below has a finding of its own.
    gaps = np.isnan(series.mbps)
    longest = int(_run_lengths(gaps).max(initial=0)) * series.interval_min
    series, stuck = _flat(series)
    series = series.found("gap", Severity.WARNING, gaps, f"intervals without a value, the longest run is {longest} min")
    return replace(series, mbps=np.where(stuck, np.nan, values))


def _counter(series: Series) -> Series:
    steps = np.diff(series.mbps[~np.isnan(series.mbps)])
    if steps.size < COUNTER_STEPS or (steps > 0).mean() < COUNTER_SHARE:
        return series
    falls = np.append(False, np.diff(np.nan_to_num(series.mbps)) < 0)
    at = falls if falls.any() else np.arange(len(series.mbps)) == 0
    detail = (
        f"{(steps > 0).mean():.0%} of all steps rise: this looks like a counter, "
        f"with {int(falls.sum())} resets, not like its rate; export the rate"
    )
    return series.found("counter", Severity.ERROR, at, detail)


def _flat(series: Series) -> tuple[Series, npt.NDArray[np.bool_]]:
    """Return the series with what stands still reported, and which of it is not to be trusted."""
    values = series.mbps
    same = np.append(False, values[1:] == values[:-1])
    need = max(FLAT_STEPS, FLAT_MINUTES // series.interval_min)
    lengths = _run_lengths(same)
    long = lengths >= need - 1
    zero = long & (values == 0)
    flat = long & ~zero
    stuck = _stuck(series, flat)
    standing = f"runs of one value for at least {need * series.interval_min} min"
    left_out = f"{standing} where the load varies: an exporter was stuck; left out as not measured"
    series = series.found("stuck", Severity.WARNING, stuck, left_out)
    series = series.found("flat", Severity.WARNING, flat & ~stuck, f"{standing}: is the exporter stuck?")
    return series.found("zero", Severity.INFO, zero, f"{standing}, at zero: idle or not measured"), stuck


def _stuck(series: Series, flat: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which of the values that stand still are no load: neither the first of a run nor a lower bound."""
    known = np.isfinite(series.mbps)
    levels = np.unique(series.mbps[known])
    if len(levels) < 2 or flat.sum() >= STUCK_SHARE * known.sum():
        return np.zeros(len(flat), dtype=np.bool_)
    found: npt.NDArray[np.bool_] = flat & ~series.saturated & (series.mbps >= STUCK_RESOLUTION * np.diff(levels).min())
    return found


def _run_lengths(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return for every position the length of the run of true flags that it is in, 0 outside runs."""
    lengths = np.zeros(len(flags), dtype=np.int64)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        lengths[start:end] = end - start
    return lengths
