"""Time and memory of one decision for 10, 100 and 1,000 chains: forecast, size, assign, plan, render, guard.

Each size runs in a process of its own. The bound is linear growth from the smallest size of the same run: `growth` is
the time per chain over the time per chain of the smallest size, so 1 is linear and less is better.

    python -m benchmarks.plan_scale [--quick]

The last line is JSON: {"chains": {"10": {"seconds", "peak_mb", "nodes", "stages"}, ...}, "growth": {"10": 1, ...}}.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from benchmarks.fleets import AS_OF, ROOT, history_of, intent_of
from ecm import forecast
from ecm.pipeline import World, decide_from

SIZES = (10, 100, 1000)
QUICK_SIZES = (10, 40, 100)


def measure(chains: int) -> dict[str, object]:
    """Return seconds by stage, the process's peak memory in MB and the planned nodes for one fleet."""
    intent = intent_of(chains)
    history = history_of(intent.fleet)
    started = time.perf_counter()
    limits = intent.limits
    predicted = forecast.predict(history, intent.fleet, as_of=AS_OF, lead_min=limits.lead_min, hold_min=limits.hold_min)
    forecasted = time.perf_counter()
    outcome = decide_from(intent, history, predicted, World(as_of=AS_OF, templates=ROOT / "templates"))
    ended = time.perf_counter()
    if outcome.plan is None:
        raise SystemExit(f"{chains} chains: " + "; ".join(i.message() for i in outcome.infeasible))
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": round(ended - started, 2),
        "peak_mb": round(peak_kb / 1024),
        "nodes": sum(t.nodes_after for t in outcome.plan.tiers),
        "stages": {"forecast": round(forecasted - started, 2), "decide": round(ended - forecasted, 2)},
    }


def main() -> None:
    """Measure every size in a fresh process and print the figures."""
    parser = argparse.ArgumentParser(description="Time and memory of one decision by number of chains.")
    parser.add_argument("--quick", action="store_true", help=f"sizes {QUICK_SIZES} instead of {SIZES}")
    parser.add_argument("--size", type=int, help="measure one size in this process")
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(arguments.size)))
        return
    figures: dict[str, dict[str, float]] = {}
    for size in QUICK_SIZES if arguments.quick else SIZES:
        command = [sys.executable, "-m", "benchmarks.plan_scale", "--size", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        figures[str(size)] = json.loads(done.stdout.splitlines()[-1])
        row = figures[str(size)]
        cost = f"{row['seconds']:>7.2f} s, {row['peak_mb']:>5} MB"
        print(f"{size:>5} chains {row['nodes']:>5} nodes: {cost}, {row['stages']}")
    first = min(figures, key=int)
    per_chain = {size: row["seconds"] / int(size) for size, row in figures.items()}
    growth = {size: round(value / per_chain[first], 2) for size, value in per_chain.items()}
    print(json.dumps({"chains": figures, "growth": growth}))


if __name__ == "__main__":
    main()
