"""Two days of quantiles for 100 to 10,000 generated series of eight weeks at 15 min, beside statsforecast's MSTL.

Each size runs in a process of its own, which works with as many processes as it may use processors. `seconds` is the
refit with its first forecast, `update_seconds` the forecast after one more step from the fit that was kept as bytes,
both without generating the panel; `peak_mb` is the highest resident memory of all processes together. MSTL has seasons
of a day and a week, its default trend forecaster and that one's intervals; gaps are interpolated, as it takes none. It
forecasts a sample of the same series in one warm process; its rate is taken to double with every processor.

    python -m benchmarks.forecast_scale [--quick]

The last line is JSON. `speedup_vs_mstl`: series per second over MSTL's; `pinball_ratio_vs_mstl`: mean pinball loss over
MSTL's at P50, P90 and P99 of the same steps, below 1 is better; `exceeded`: share of steps above each quantile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import psutil

from benchmarks.fleets import ROOT
from benchmarks.panels import END, INTERVAL_MIN, Panel, Values, next_step, panel
from ecm.forecast.outlook import OutlookPredictor
from ecm.pipeline.backends import Processes

SIZES = (100, 1000, 10_000)
QUICK_SIZES = (100, 1000)
SAMPLE, QUICK_SAMPLE = 40, 2
SEASONS = (96, 672)
WARM_STEPS = 2 * SEASONS[1] + 1
"""A first, short forecast compiles MSTL's parts."""
LEVELS = (80, 98)
"""Central intervals whose upper ends are P90 and P99."""


class Peak:
    """The highest resident memory of this process and its children while the block runs."""

    def __enter__(self) -> Peak:
        """Begin."""
        self._done = threading.Event()
        self.mb = 0.0
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.2):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.mb = max(self.mb, total / 2**20)


def measure(size: int, sample: int) -> dict[str, Any]:
    """Return the figures of one size; with a `sample`, those of MSTL on so many of its series too."""
    made = panel(size)
    with Peak() as peak, Processes() as backend:
        list(backend.map(_started, (), [()] * len(os.sched_getaffinity(0))))
        began = time.perf_counter()
        predictor = OutlookPredictor(made.history, made.fleet, backend=backend)
        outlook = predictor.at(END)
        fitted = time.perf_counter()
        later = OutlookPredictor(next_step(made), made.fleet, kept=predictor.kept, backend=backend)
        updating = time.perf_counter()
        later.at(END + timedelta(minutes=INTERVAL_MIN))
        ended = time.perf_counter()
    over = made.came[:, None] > outlook.mbps
    found: dict[str, Any] = {
        "seconds": round(fitted - began, 2),
        "update_seconds": round(ended - updating, 2),
        "peak_mb": round(peak.mb),
        "kept_mb": round(len(predictor.kept or b"") / 2**20, 1),
        "exceeded": {f"p{s / 10:g}": round(float(over[:, q].mean()), 4) for q, s in enumerate(outlook.permille)},
        "models": sorted({name for names in outlook.models for name in names.split(" + ")}),
    }
    if sample:
        found |= beside_mstl(made, outlook.mbps, sample, size / (fitted - began))
    return found


def _started() -> int:
    """Return after what a worker needs was loaded."""
    import ecm.forecast.outlook  # noqa: F401, PLC0415 - in the worker

    return os.getpid()


def beside_mstl(made: Panel, ours: Values, sample: int, rate: float) -> dict[str, Any]:
    """Return our series per second and pinball losses over MSTL's on a sample of the series."""
    rows = np.unique(np.linspace(0, len(ours) - 1, sample).astype(np.int64))
    theirs, seconds = mstl(made, rows)
    theirs_rate = len(rows) / seconds * len(os.sched_getaffinity(0))
    ratio = {}
    for place, share in enumerate((0.5, 0.9, 0.99)):
        mine, other = (_loss(share, made.came[rows], q) for q in (ours[rows, place], theirs[:, place]))
        ratio[f"p{100 * share:g}"] = round(mine / other, 4)
    return {
        "speedup_vs_mstl": round(rate / theirs_rate, 1),
        "pinball_ratio_vs_mstl": ratio,
        "mstl": {"series": len(rows), "seconds_per_series": round(seconds / len(rows), 3)},
    }


def mstl(made: Panel, rows: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Values, float]:
    """Return MSTL's P50, P90 and P99 (series, 3, steps) of the series `rows`, and its seconds when it is warm."""
    from statsforecast.models import MSTL  # noqa: PLC0415 - compiles when imported

    steps = made.came.shape[1]
    filled = pd.DataFrame(made.history.mbps[rows].T).interpolate(limit_direction="both").to_numpy().T
    model = MSTL(season_length=list(SEASONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.forecast(y=filled[0, -WARM_STEPS:], h=steps, level=list(LEVELS))
        began = time.perf_counter()
        told = [model.forecast(y=row, h=steps, level=list(LEVELS)) for row in filled]
        seconds = time.perf_counter() - began
    return np.stack([[t["mean"], *(t[f"hi-{level}"] for level in LEVELS)] for t in told]), seconds


def _loss(share: float, came: Values, told: Values) -> float:
    short = came - told
    return float(np.maximum(share * short, (share - 1) * short).mean())


def main() -> None:
    """Measure every size in a fresh process and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES} series and {QUICK_SAMPLE} of MSTL")
    parser.add_argument("--size", type=int, help="measure one size in this process")
    parser.add_argument("--sample", type=int, default=0, help="with --size: so many series of MSTL too")
    asked = parser.parse_args()
    if asked.size:
        print(json.dumps(measure(asked.size, asked.sample)))
        return
    sizes, sample = (QUICK_SIZES, QUICK_SAMPLE) if asked.quick else (SIZES, SAMPLE)
    found: dict[str, Any] = {}
    for size in sizes:
        more = ["--sample", str(sample)] if size == sizes[-1] else []
        command = [sys.executable, "-m", "benchmarks.forecast_scale", "--size", str(size), *more]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{size:>6} series: refit and 48 h {row['seconds']:>6.1f} s, update {row['update_seconds']:>5.1f} s, "
            f"{row['peak_mb']:>5} MB, above P50, P90, P99: "
            + ", ".join(f"{100 * share:.1f} %" for share in row["exceeded"].values())
        )
        for key in ("speedup_vs_mstl", "pinball_ratio_vs_mstl"):
            if key in row:
                found[key] = row.pop(key)
        found[f"seconds_{size}"], found[f"update_seconds_{size}"] = row["seconds"], row["update_seconds"]
        found["peak_mb"] = row["peak_mb"]
        found.setdefault("sizes", {})[str(size)] = row
    print(f"series per second over MSTL's: {found['speedup_vs_mstl']}; pinball loss: {found['pinball_ratio_vs_mstl']}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
