"""Generalized assignment instances, solved by the very function that `ecm plan` assigns with.

    python -m benchmarks.assignment [--quick] [--seconds S] [--no-peer] [FILE...]

FILE is in the OR-Library's form: `agents jobs`, the costs and then the weights (a row per agent), the capacities; costs
are minimised and every job is assigned. Without FILE: every instance of ../shared/data/gap with its best known cost,
and beside it plain HiGHS on the same problem with the same time. The last line is JSON:
{"instances": [{"name", "cost", "bound", "seconds"}]}.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.fleets import ROOT
from ecm.routing import Problem, Solution, solve
from ecm.routing.program import search_exactly
from ecm.routing.solve import SECONDS

DATA = ROOT.parent / "shared" / "data" / "gap"
QUICK_SECONDS = 8.0
QUICK = ("gap1-0", "gap4-2", "gap6-3", "a05100", "b05100")


def read(path: Path) -> Problem:
    """Return the instance in `path`; ValueError when it is not one."""
    numbers = np.array(path.read_text(encoding="utf-8").split(), dtype=np.int64)
    agents, jobs = (int(n) for n in numbers[:2])
    if len(numbers) != 2 + 2 * agents * jobs + agents:
        raise ValueError(f"{path}: {len(numbers)} numbers do not make an instance of {agents} agents and {jobs} jobs")
    cost, weight = numbers[2:-agents].reshape(2, agents, jobs)
    return Problem.dense(cost, weight, numbers[-agents:])


def best_known() -> dict[str, int]:
    """Return the best known cost by instance name; empty where the data is not there."""
    index = DATA / "index.csv"
    if not index.exists():
        return {}
    with index.open(encoding="utf-8") as file:
        return {row["instance"]: int(row["best_known_cost"]) for row in csv.DictReader(file)}


def measure(path: Path, seconds: float) -> tuple[Solution, float]:
    """Return the solution of `path` and the seconds it took, reading the file included."""
    started = time.perf_counter()
    found = solve(read(path), clock=time.perf_counter, seconds=seconds)
    return found, time.perf_counter() - started


def peer(path: Path, seconds: float) -> int | None:
    """Return what plain HiGHS reaches on `path` within `seconds`."""
    problem = read(path)
    found = search_exactly(problem, None, nodes=10**9, seconds=seconds)
    return problem.total(found.chosen) if found.chosen is not None else None


def _gap(cost: int | None, best: int | None) -> str:
    return "-" if cost is None or best is None else f"{100 * (cost / best - 1):.3f}"


def main() -> None:
    """Solve every instance and print the figures."""
    parser = argparse.ArgumentParser(description="Generalized assignment instances by the solver of `ecm plan`.")
    parser.add_argument("files", nargs="*", type=Path, help="instances; none: all of ../shared/data/gap")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, cut after {QUICK_SECONDS:g} s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="where the clock cuts an instance")
    parser.add_argument("--no-peer", action="store_true", help="leave plain HiGHS out")
    arguments = parser.parse_args()
    known = best_known()
    seconds = min(arguments.seconds, QUICK_SECONDS) if arguments.quick else arguments.seconds
    names = QUICK if arguments.quick else tuple(known)
    files = arguments.files or [DATA / f"{name}.txt" for name in names if name in known]
    if not files:
        print(f"skipped: {DATA} is not here; give instance files", file=sys.stderr)
    print(f"{'instance':<12}{'cost':>8}{'bound':>8}{'seconds':>9}{'gap %':>8}{'HiGHS':>8}{'gap %':>8}")
    rows = []
    for path in files:
        found, took = measure(path, seconds)
        plain = None if arguments.no_peer else peer(path, max(took, 1.0))
        best = known.get(path.stem)
        note = " cut by the clock" if found.cut else ""
        print(
            f"{path.stem:<12}{found.cost or '-':>8}{found.bound:>8}{took:>9.2f}{_gap(found.cost, best):>8}"
            f"{plain or '-':>8}{_gap(plain, best):>8}{note}",
            flush=True,
        )
        rows.append({"name": path.stem, "cost": found.cost, "bound": found.bound, "seconds": round(took, 2)})
    print(json.dumps({"instances": rows}))


if __name__ == "__main__":
    main()
