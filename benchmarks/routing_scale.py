"""Assignment of 10,000 applications to 1,000 chains: time, gap, what a change of load moves, and two simpler ways.

    python -m benchmarks.routing_scale [--quick]

The fleet and its forecasts are generated (see `benchmarks.estates`); the assignment is the one of `ecm plan`. First all
is assigned from nothing; then the load of every application changes by a factor of its own, 5 % in the mean, and all is
assigned again over what stands. Beside it, on the first forecast:
- greedy: the applications by falling load, each to the chain that meets its requirements and adds the least to the true
  cost, ties to the one whose tiers are fullest;
- random: each to any of the chains that people allow it.

`seconds` is the slower of the two assignments, `processor_s` what it used of a processor, forecast not included;
`gap_pct` the larger of their costs over the proven bound of all VPNs together; `moved_pct` the share of applications
whose chain is another one after the change (`moved_mbps_pct`: of their expected load). The last line is JSON:
{"seconds", "processor_s", "gap_pct", "moved_pct", "moved_mbps_pct", "greedy_cost_ratio", "random_cost_ratio",
"greedy_violations", "random_violations", "cost_usd_per_hour"}.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from benchmarks import estates
from benchmarks.fleets import AS_OF
from ecm import plan, routing
from ecm.intent import Intent
from ecm.model.demand import Forecast
from ecm.model.plan import Plan
from ecm.model.refusal import Infeasible
from ecm.model.sizing import TierSizing
from ecm.pipeline import World
from ecm.pipeline.decision import Outcome, _Study

FULL = (250, 1000, 10_000)
QUICK = (25, 100, 600)
"""VPNs, chains and applications."""
CHANGE = 0.05


class _Placing:
    """Applications that are put on chains one by one, at the study's true cost."""

    def __init__(self, study: _Study) -> None:
        self.study = study
        self.load: dict[str, frozenset[str]] = defaultdict(frozenset)
        self.cost: dict[str, int] = defaultdict(int)
        self.own = 0
        self.violations = 0
        self.tiers = {c.id: c.tiers for c in study.intent.fleet.chains}
        self.prices = {
            pair: price for vpn in study.intent.fleet.vpns for pair, price in study.traffic_prices(vpn.id).items()
        }

    def cheapest(self, application: str, chains: list[str]) -> str | None:
        """Return the chain of `chains` that adds the least, of equals the one whose tiers carry the most."""
        tiers = {tier for chain in chains for tier in self.tiers[chain]}
        after = {tier: self.study.costing(tier, self.load[tier] | {application}) for tier in tiers}
        more = {tier: cost - self.cost[tier] for tier, cost in after.items() if not isinstance(cost, Infeasible)}
        fitting = [chain for chain in chains if all(tier in more for tier in self.tiers[chain])]

        def worth(chain: str) -> tuple[int, int, str]:
            nodes = sum(more[tier] for tier in self.tiers[chain])
            return nodes + self.prices[application, chain], -sum(len(self.load[t]) for t in self.tiers[chain]), chain

        return min(fitting, key=worth, default=None)

    def put(self, application: str, chain: str) -> None:
        """Put `application` on `chain`, whether or not it fits."""
        for tier in self.tiers[chain]:
            self.load[tier] |= {application}
            cost = self.study.costing(tier, self.load[tier])
            self.cost[tier] = self.cost[tier] if isinstance(cost, Infeasible) else cost
        self.own += self.prices[application, chain]

    def priced(self) -> int:
        """Return the cost of what was put, and count the tiers that cannot be had."""
        total = self.own
        for tier, applications in self.load.items():
            cost = self.study.costing(tier, applications)
            if isinstance(cost, Infeasible):
                self.violations += 1
            else:
                total += cost
        return total


def greedy(study: _Study) -> tuple[int, int]:
    """Return (cost, violations) of best fit by falling load."""
    placing = _Placing(study)
    rows = {a.application: a.window_p99_mbps for a in study.predicted.applications}
    for application in sorted(study.applications.values(), key=lambda a: (-rows[a.id], a.id)):
        chains = routing.candidates(study.intent.fleet, application)
        meeting = [c.id for c in chains if study.fits(application.id, c.id)]
        best = placing.cheapest(application.id, meeting)
        if best is None:
            placing.violations += 1
        else:
            placing.put(application.id, best)
    return placing.priced(), placing.violations


def at_random(study: _Study) -> tuple[int, int]:
    """Return (cost, violations) of a chain at random out of those that people allow."""
    placing, random = _Placing(study), np.random.default_rng(estates.SEED)
    for application in study.applications.values():
        chains = routing.candidates(study.intent.fleet, application)
        chain = chains[int(random.integers(len(chains)))]
        placing.violations += not study.fits(application.id, chain.id)
        placing.put(application.id, chain.id)
    return placing.priced(), placing.violations


def assigned(study: _Study) -> list[routing.Assignment]:
    """Return what `ecm plan` assigns; ends the run where it refuses."""
    found = study.assignments()
    if isinstance(found, Outcome):
        raise SystemExit("; ".join(i.message() for i in found.infeasible))
    return found


class Took(NamedTuple):
    """How long an assignment took; on a machine that does other work, the second tells more."""

    seconds: float
    processor_s: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.processor_s:.1f} s of processor)"


def timed(intent: Intent, forecast: Forecast, world: World) -> tuple[_Study, list[routing.Assignment], Took]:
    """Return the assignment of all applications and the seconds that it took."""
    wall, processor = time.perf_counter(), time.process_time()
    study = _Study(intent, forecast, world)
    found = assigned(study)
    return study, found, Took(time.perf_counter() - wall, time.process_time() - processor)


def standing(study: _Study, chains: dict[str, str]) -> World:
    """Return the world in which the assignment is applied."""
    sizings = {tier: s for tier, s in study.sized(chains).items() if isinstance(s, TierSizing)}
    desired = plan.desired_state(study.plan_inputs(chains, sizings))
    return World(as_of=AS_OF, previous=Plan.model_construct(desired=desired))


def _gap(found: list[routing.Assignment]) -> float:
    cost, bound = sum(a.cost_usd_micro for a in found), sum(a.bound_usd_micro for a in found)
    return 100 * (cost / bound - 1)


def _chains(found: list[routing.Assignment]) -> dict[str, str]:
    return {application: chain for a in found for application, chain in a.chains}


def main() -> None:
    """Assign, change the load, assign again, compare, and print the figures."""
    parser = argparse.ArgumentParser(description="Assignment of thousands of applications.")
    parser.add_argument("--quick", action="store_true", help=f"VPNs, chains, applications: {QUICK} instead of {FULL}")
    sizes = QUICK if parser.parse_args().quick else FULL
    intent = estates.intent_of(*sizes)
    forecast = estates.forecast_of(intent.fleet)
    study, first, took = timed(intent, forecast, World(as_of=AS_OF))
    before = _chains(first)
    largest = max(first, key=lambda a: len(a.chains))
    print(f"{sizes[0]} VPNs, {sizes[1]} chains, {sizes[2]} applications, the largest VPN {len(largest.chains)}")
    print(f"assigned in {took}, gap {_gap(first):.2f} %, of the largest VPN {_gap([largest]):.2f} %")
    cost = sum(a.cost_usd_micro for a in first)
    rows = {"greedy": greedy(study), "random": at_random(study)}
    for name, (other, violations) in rows.items():
        print(f"{name}: {other / cost:.3f} times the cost, {violations} violations")
    changed = estates.forecast_of(intent.fleet, changed=CHANGE)
    _, second, took_again = timed(intent, changed, standing(study, before))
    after = _chains(second)
    moved = [a for a, chain in after.items() if before[a] != chain]
    mbps = {a.application: a.window_p50_mbps for a in changed.applications}
    moved_mbps = sum(mbps[a] for a in moved) / sum(mbps.values())
    print(f"load {CHANGE:+.0%}: again in {took_again}, gap {_gap(second):.2f} %, {len(moved)} moved")
    figures = {
        "seconds": round(max(took.seconds, took_again.seconds), 1),
        "processor_s": round(max(took.processor_s, took_again.processor_s), 1),
        "gap_pct": round(max(_gap(first), _gap(second)), 3),
        "moved_pct": round(100 * len(moved) / len(after), 2),
        "moved_mbps_pct": round(100 * moved_mbps, 2),
        **{f"{name}_cost_ratio": round(other / cost, 3) for name, (other, _) in rows.items()},
        **{f"{name}_violations": violations for name, (_, violations) in rows.items()},
        "cost_usd_per_hour": round(cost / 10**6, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
