"""How long traffic is lost when a node dies, in the lab: real packets, timed by the kernel where they arrive.

Nodes of every tier are killed in turn under traffic and come back. Between tiers the figure is the time from the first
lost packet to the last one over all flows that the node carried; a drill whose node carried none is not counted. At the
edge a client's outage is its flows' window; assisted clients probe their tunnel. The load balancer is a model, not AWS:
in `rehash` mode a flow whose target fails goes to another, in `pinned` mode it stays, and an unassisted client whose
flow is kept busy by its own retries does not come back while it is watched: then the figure is the watch's length, a
lower bound. Others publish: NetBird 6 s, Tailscale and Headscale 15 s, OPNsense 27 to 54 s, Firezone 50 s.

    python -m benchmarks.failover [--quick] [--samples FILE]

Needs root and the lab's tools. Every drill is a line of JSON in the samples file. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.fleets import ROOT
from ecm.lab import Drill, Flows, Folder, How, LabError, Options, Result, Watch, World, built_in, settle
from ecm.lab.flows import carried
from ecm.lab.kernel import missing
from ecm.lab.state import nodes

FULL: Final = (("2-2-2", 10), ("3-3-3", 10))
QUICK: Final = (("2-2-2", 1),)
"""Fleet and drills of each tier."""
FLOWS: Final = Flows(count=1000, packets_per_s=2.0, lifetime_s=20.0)
QUICK_FLOWS: Final = Flows(count=400, packets_per_s=2.0, lifetime_s=10.0)
CALM_S: Final = 6.0
"""Before a drill: an OSPF router announces a second change 5 s after the first at the earliest (RFC 2328)."""
INNER_S, EDGE_S = 7.0, 28.0
PINNED_S, QUICK_PINNED_S = 60.0, 30.0


class Run:
    """A lab of one fleet and the drills on it."""

    def __init__(self, fleet: str, flows: Flows) -> None:
        self.fleet = fleet
        self.world = World(Folder(Path(tempfile.mkdtemp(prefix="ecm-failover-"))))
        options = Options(templates=ROOT / "templates", flows=flows, clients=8, assisted=4)
        self.lab = self.world.up(built_in(fleet), options)
        self.drill = Drill(self.world, options.templates)
        settle(self.world.folder, self.lab)

    def drills(self, tier: str, count: int, after_s: float) -> Iterator[Result]:
        """Kill the tier's nodes in turn, `count` times; each comes back and is healthy before the next."""
        turn = 0
        for _ in range(count):
            time.sleep(CALM_S)
            keys = [key for key, (of, _) in nodes(self.lab.desired).items() if of == tier]
            loads = carried(self.world.folder, keys, 1.2)
            # A node that has only just come back may carry nothing yet: the next that does takes its turn.
            order = [keys[(turn + k) % len(keys)] for k in range(len(keys))]
            key = next((k for k in order if len(loads[k]) >= 10), order[0])
            turn = keys.index(key) + 1
            yield self.drill.run(How.KILL, key, Watch(after_s=after_s))
            self.drill.act(self.world.folder.read(), How.RETURN, key)
            settle(self.world.folder, self.world.folder.read())

    def pinned(self, after_s: float) -> Iterator[Result]:
        """One drill at the edge with a load balancer that keeps flows."""
        folder = self.world.folder
        folder.write(folder.read().model_copy(update={"mode": "pinned"}))
        yield from self.drills(self.tiers[0], 1, after_s)
        folder.write(folder.read().model_copy(update={"mode": "rehash"}))

    @property
    def tiers(self) -> tuple[str, ...]:
        """The chain's tiers."""
        return self.lab.desired.chains[0].tiers


def samples(profile: tuple[tuple[str, int], ...], flows: Flows, pinned_s: float) -> Iterator[tuple[str, Result]]:
    """Yield (fleet, result) of every drill."""
    for fleet, count in profile:
        run = Run(fleet, flows)
        try:
            for tier in run.tiers[1:]:
                yield from ((fleet, r) for r in run.drills(tier, count, INNER_S))
            yield from ((fleet, r) for r in run.drills(run.tiers[0], count, EDGE_S))
            yield from ((fleet, r) for r in run.pinned(pinned_s))
        finally:
            run.world.down()


def figures(results: list[Result], pinned_s: float) -> dict[str, Any]:
    """Return the benchmark's figures; none where no drill gave any."""
    inner = [r for r in results if r.role.value != "ingress" and r.carried]
    edge = [r for r in results if r.role.value == "ingress" and r.carried]
    rehash = [r for r in edge if r.mode == "rehash"]
    others = sum(r.other_sent for r in results)
    errors = [r.share_error_pct for r in inner if r.share_error_pct is not None]
    return {
        "inter_tier_p50_s": _percentile([r.loss_window_s for r in inner], 50),
        "inter_tier_p95_s": _percentile([r.loss_window_s for r in inner], 95),
        "edge_p95_s": _percentile([r.unassisted_s for r in rehash if r.unassisted_s is not None], 95),
        "edge_pinned_p95_s": _percentile(
            [r.unassisted_s for r in edge if r.mode == "pinned" and r.unassisted_s is not None], 95
        ),
        "edge_pinned_watched_s": pinned_s,
        "edge_assisted_p95_s": _percentile([r.assisted_s for r in edge if r.assisted_s is not None], 95),
        "drills": len(inner) + len(edge),
        "other_flows_lost_pct": round(100 * sum(r.other_lost for r in results) / others, 4) if others else None,
        "share_error_pct": max(errors, default=None),
        "load_balancer": "model, not AWS",
    }


def _percentile(values: list[float], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 3) if values else None


def main() -> None:
    """Run the drills and print the figures."""
    parser = argparse.ArgumentParser(description="Loss windows in the lab when nodes die.")
    parser.add_argument("--quick", action="store_true", help="one drill of each tier")
    parser.add_argument("--samples", type=Path, default=ROOT / ".ecm" / "failover.jsonl", help="every drill's result")
    arguments = parser.parse_args()
    if (lacking := missing()) and not os.environ.get("ECM_REQUIRE_TOOLS"):
        print(f"left out: {'; '.join(lacking)}")
        return
    profile, flows, pinned_s = (QUICK, QUICK_FLOWS, QUICK_PINNED_S) if arguments.quick else (FULL, FLOWS, PINNED_S)
    arguments.samples.parent.mkdir(parents=True, exist_ok=True)
    results = []
    try:
        with arguments.samples.open("w", encoding="utf-8") as file:
            for fleet, result in samples(profile, flows, pinned_s):
                results.append(result)
                file.write(json.dumps({"fleet": fleet} | result.model_dump(mode="json")) + "\n")
                file.flush()
                print(
                    f"{fleet} {result.node}: {result.carried} flows, lost for {result.loss_window_s} s "
                    f"(unassisted {result.unassisted_s}, assisted {result.assisted_s}, {result.mode}); "
                    f"others lost {result.other_lost} of {result.other_sent}",
                    flush=True,
                )
    except LabError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(figures(results, pinned_s)))


if __name__ == "__main__":
    main()
