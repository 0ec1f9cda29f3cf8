"""A scheduled run that finds nothing to do, against the least that would see it: preview with refresh, and a forecast.

The prod stack stands on an embedded AWS. In turns, each a process of its own as a scheduler starts it: `ecm reconcile`,
which also decides, runs the guardrails and writes the journal; and `pulumi preview --refresh` without them, then
`ecm forecast`. The kept fit of the first run serves both.

    python -m benchmarks.reconcile_noop [--repeats N]

The last line is JSON with reconcile_s, preview_refresh_s, forecast_s (medians) and noop_ratio (reconcile over the sum
of the other two; at most 1.3 is asked for).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fleets import ROOT, new_project
from ecm import intent
from ecm.engine import MissingPulumi, locate
from ecm.telemetry import generate, write_table
from tools.standin.embedded import EmbeddedAws

STACK = "prod"
REPEATS = 3
DONE, PLANNED = (0,), (10, 11)


def project(folder: Path) -> Path:
    """Make a work folder with today's prices and a load that ends now."""
    new_project(folder)
    catalog = folder / "policies" / "catalog.yaml"
    document = yaml.safe_load(catalog.read_text())
    catalog.write_text(yaml.safe_dump({**document, "as_of": _now().date().isoformat()}, sort_keys=False))
    load = folder / ".ecm" / "telemetry" / f"{STACK}.csv"
    load.parent.mkdir(parents=True)
    write_table(generate(intent.load(folder, STACK).fleet, end=_now(), days=28, interval_min=15), load)
    return folder


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - scheduled runs decide as of now, so the load must end now


class Bench:
    """Runs commands in the project and times them."""

    def __init__(self, folder: Path, env: Mapping[str, str], pulumi: Path) -> None:
        self._folder, self._env, self._pulumi = folder, dict(env), str(pulumi)

    def ecm(self, *words: str, allowed: Sequence[int] = DONE) -> float:
        """Run an `ecm` command and return its seconds."""
        return self._timed([sys.executable, "-m", "ecm.cli", "--stack", STACK, *words], allowed)

    def preview(self) -> float:
        """Run a bare `pulumi preview --refresh` and return its seconds."""
        return self._timed([self._pulumi, "preview", "--refresh", "--stack", STACK, "--non-interactive"], DONE)

    def _timed(self, argv: Sequence[str], allowed: Sequence[int]) -> float:
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=self._folder, env=self._env, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - began
        if done.returncode not in allowed:
            raise SystemExit(f"{' '.join(argv[1:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-4000:])
        return taken


def measure(bench: Bench, repeats: int) -> dict[str, Any]:
    """Bring the stack up, then take turns."""
    bench.ecm("plan", allowed=PLANNED)
    bench.ecm("approve", "--why", "benchmark")
    bench.ecm("up")
    bench.ecm("reconcile")
    times: dict[str, list[float]] = {"reconcile_s": [], "preview_refresh_s": [], "forecast_s": []}
    for number in range(repeats):
        turns = [
            ("reconcile_s", lambda: bench.ecm("reconcile")),
            ("preview_refresh_s", bench.preview),
            ("forecast_s", lambda: bench.ecm("forecast")),
        ]
        for name, command in turns if number % 2 == 0 else reversed(turns):
            times[name].append(command())
        print(", ".join(f"{name} {taken[-1]:.1f}" for name, taken in times.items()), flush=True)
    medians = {name: round(statistics.median(taken), 2) for name, taken in times.items()}
    ratio = medians["reconcile_s"] / (medians["preview_refresh_s"] + medians["forecast_s"])
    return {**medians, "noop_ratio": round(ratio, 3)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    repeats = parser.parse_args().repeats
    try:
        toolchain = locate(os.environ)
    except MissingPulumi as missing:
        raise SystemExit(str(missing)) from None
    with tempfile.TemporaryDirectory() as name, EmbeddedAws(Path(name) / "aws") as aws:
        folder = project(Path(name) / "project")
        env = {**os.environ, **aws.environment, "PYTHONPATH": str(ROOT), "PULUMI_HOME": str(Path(name) / "home")}
        env["ECM_PYTHON"] = sys.executable
        if toolchain.folder is not None:
            env["PATH"] = f"{toolchain.folder}{os.pathsep}{env['PATH']}"
        print(json.dumps(measure(Bench(folder, env, toolchain.cli), repeats)))


if __name__ == "__main__":
    main()
