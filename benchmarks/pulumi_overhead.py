"""Preview and up with ECM against a bare program that declares the same resources directly, on one engine and one AWS.

ECM's program reads the approved plan, checks it, renders the configuration of every node and declares components. The
bare program (`benchmarks.bare_program`) is generated from what ECM's run declared: direct constructor calls in a
compiled module and the same stack outputs, without components, plan, gate and rendering. Each run gets a fresh backend
and a fresh embedded AWS; the two programs take turns in changing order, and the medians are compared. The time is the
engine command's, from its start to its end, with the start of Python in it.

    python -m benchmarks.pulumi_overhead [--quick]

The last line is JSON with prod_preview_ratio, prod_up_ratio, nodes200_preview_ratio and nodes200_up_ratio (ECM's time
over the bare time; at most 1.25 is asked for), and the seconds that they come from. Processor time stands beside the
clock's: on a machine that is busy with other things it is the steadier of the two, and it leaves out the embedded AWS.
`--quick` measures a smaller fleet under the same keys; `nodes` and `quick` say so.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.bare_program import program, resources, statements
from benchmarks.fleets import AS_OF, QUOTAS, ROOT, history_of, intent_of, new_project
from ecm import intent, signing
from ecm.engine import MissingPulumi, Outcome, Stack, Toolchain, locate
from ecm.model.fleet import Fleet
from ecm.model.plan import Plan
from ecm.pipeline import World, decide
from ecm.store import Signed, open_store
from tools.standin.embedded import EmbeddedAws

PROJECT = "endpoint-chain-manager"
PREVIEWS = 2
"""In each run: a preview leaves the stack as empty as it was."""
LOAD = 10
"""Of the node fleet, in multiples of the usual history: tiers of 3 to 14 nodes."""
FEWEST = 6
"""Nodes that each VPN of the node fleet has at least: two in each of its three tiers."""
BARE_MAIN = """import asyncio
import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).parent))


async def program():
    import fleet

    await asyncio.sleep(0)


pulumi.run(program)
"""
"""Without the pause the SDK finds no registration under way at the program's end, waits for outputs instead, and does
so in a time that is quadratic in their number. ECM's gate, which asks the engine first, does not meet that."""
RUNTIME = "runtime: {name: python, options: {toolchain: pip, virtualenv: .venv}}"


@dataclass(frozen=True)
class Program:
    """A Pulumi project on disk and the configuration of its stack."""

    name: str
    project: Path
    stack: str
    config: Mapping[str, str]


@dataclass
class Times:
    """What each command took, one entry for each run: (seconds by the clock, seconds of processor time)."""

    preview: list[tuple[float, float]] = field(default_factory=list)
    up: list[tuple[float, float]] = field(default_factory=list)
    destroy: list[tuple[float, float]] = field(default_factory=list)

    def medians(self, column: int) -> dict[str, float]:
        """Return the median of each command that was run: of the clock (0) or of processor time (1)."""
        return {
            name: round(statistics.median(taken[column] for taken in runs), 2)
            for name, runs in vars(self).items()
            if runs
        }


@dataclass(frozen=True)
class Case:
    """One fleet: how often it is measured, and whether destroy is too."""

    key: str
    plan: Plan
    root: Path
    """The project whose policies the plan was judged by."""
    repeats: int
    destroys: bool


class Bench:
    """Runs programs on fresh backends and fresh embedded clouds below one folder."""

    def __init__(self, toolchain: Toolchain, folder: Path) -> None:
        self._toolchain = toolchain
        self._folder = folder
        self._runs = 0

    def ecm(self, plan: Plan, root: Path) -> Program:
        """Keep a plan of the project in `root` in a store and approve it."""
        store = self._folder / "store"
        kept, key = open_store(str(store), stack=plan.stack, root=ROOT), signing.new_key()
        digest = kept.put_plan(plan)
        kept.set_manifest(Signed(plan=digest, serial=1), signing.sign_plan(plan, 1, key))
        approval = {
            f"{PROJECT}:approvedPlan": digest,
            f"{PROJECT}:store": str(store),
            f"{PROJECT}:signers": key.public,
        }
        return self._program(f"{plan.stack}-ecm", plan, {"main": str(root), **approval})

    def bare(self, plan: Plan, state: Mapping[str, Any]) -> Program:
        """Write the bare program of a deployed state; compiled, as a second run would find it."""
        made = self._program(f"{plan.stack}-bare", plan, {})
        (made.project / "__main__.py").write_text(BARE_MAIN)
        (made.project / "fleet.py").write_text(program(state))
        compileall.compile_dir(made.project, quiet=1)
        return made

    def _program(self, name: str, plan: Plan, settings: Mapping[str, str]) -> Program:
        project = self._folder / name
        project.mkdir()
        main = f"main: {settings['main']}\n" if "main" in settings else ""
        (project / "Pulumi.yaml").write_text(f"name: {PROJECT}\n{main}{RUNTIME}\n")
        config = {key: value for key, value in settings.items() if key != "main"}
        return Program(name, project, plan.stack, {"aws:region": plan.desired.region, **config})

    @contextmanager
    def stack(self, made: Program) -> Iterator[Stack]:
        """Make an empty stack on an empty AWS."""
        self._runs += 1
        with EmbeddedAws(self._folder / f"aws-{self._runs}") as aws:
            env = {**os.environ, **aws.environment, "PULUMI_HOME": str(self._folder / "home")}
            env.pop("PYTHONDONTWRITEBYTECODE", None)  # or both would compile pulumi-aws each time, which hides the rest
            stack = Stack(self._toolchain, made.project, made.stack, env)
            stack.select(create=True)
            for key, value in made.config.items():
                stack.set_config(key, value)
            yield stack

    def measure(self, made: Program, times: Times, *, destroys: bool) -> dict[str, Any]:
        """Time preview, up and, if asked, destroy; return the state after `up`."""
        with self.stack(made) as stack:
            times.preview += [_timed(made, stack.preview) for _ in range(PREVIEWS)]
            times.up.append(_timed(made, stack.up))
            state = stack.state()
            if destroys:
                times.destroy.append(_timed(made, stack.destroy))
        last = ", ".join(f"{name} {runs[-1][0]:.1f} s" for name, runs in vars(times).items() if runs)
        print(f"{made.name:>12}: {len(resources(state))} resources: {last}", flush=True)
        return state


def _timed(made: Program, command: Callable[[], Outcome]) -> tuple[float, float]:
    """Run a command; return its seconds by the clock, and the processor time of the engine, program and provider."""
    started, used = time.perf_counter(), _processor_s()
    outcome = command()
    taken = time.perf_counter() - started, _processor_s() - used
    if not outcome.ok:
        raise SystemExit(f"{made.name}: {outcome.command} failed:\n{outcome.output[-4000:]}")
    return taken


def _processor_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def compare(bench: Bench, case: Case) -> dict[str, Any]:
    """Measure one fleet with both programs in turns; return the ratios and the seconds."""
    ecm, first = bench.ecm(case.plan, case.root), Times()
    with bench.stack(ecm) as stack:
        _timed(ecm, stack.preview)  # compiles ECM's modules and warms the caches of both
    state = bench.measure(ecm, first, destroys=case.destroys)
    bare, second = bench.bare(case.plan, state), Times()
    _same(state, bench.measure(bare, second, destroys=case.destroys))
    for number in range(1, case.repeats):
        turns = ((bare, second), (ecm, first)) if number % 2 else ((ecm, first), (bare, second))
        for made, times in turns:
            bench.measure(made, times, destroys=case.destroys)
    ours, theirs = first.medians(0), second.medians(0)
    return {
        **{f"{case.key}_{name}_ratio": round(ours[name] / theirs[name], 3) for name in theirs},
        case.key: {
            "nodes": _nodes(case.plan),
            "resources": len(resources(state)),
            "repeats": case.repeats,
            "ecm_seconds": ours,
            "bare_seconds": theirs,
            "ecm_cpu_seconds": first.medians(1),
            "bare_cpu_seconds": second.medians(1),
        },
    }


def _same(ecm: Mapping[str, Any], bare: Mapping[str, Any]) -> None:
    """End with an error unless both states declare the same: each type as often, each resource with the same inputs."""
    kinds = [Counter(r["type"] for r in resources(state)) for state in (ecm, bare)]
    if kinds[0] != kinds[1]:
        raise SystemExit(f"the bare program declares something else: {kinds[0] - kinds[1]} {kinds[1] - kinds[0]}")
    differing = set(statements(ecm)) ^ set(statements(bare))
    if differing:
        raise SystemExit("the bare program declares something else:\n" + "\n".join(sorted(differing)[:10]))


def _nodes(plan: Plan) -> int:
    return sum(tier.nodes_after for tier in plan.tiers)


def with_stack(project: Path, fleet: Fleet) -> Path:
    """Give a project one more stack, with a budget and quotas that do not bind."""
    limits = project / "policies" / "limits.yaml"
    document = yaml.safe_load(limits.read_text())
    document["stacks"][fleet.stack] = {"budget_usd_per_hour": 10**7, "quotas": QUOTAS}
    limits.write_text(yaml.safe_dump(document, sort_keys=False))
    (project / "stacks" / f"{fleet.stack}.fleet.yaml").write_text(fleet.model_dump_json())
    return project


def plan_of(root: Path, stack: str, load: float = 1.0) -> Plan:
    """Plan a stack of the project in `root` from nothing under a generated history, `load` times its usual level."""
    asked = intent.load(root, stack)
    world = World(
        as_of=AS_OF, templates=root / "templates", guardrails=intent.pack_digest(root), libraries=intent.libraries()
    )
    outcome = decide(asked, history_of(asked.fleet, load), world)
    if outcome.plan is None:
        raise SystemExit("; ".join(i.message() for i in outcome.infeasible))
    return outcome.plan


def plan_with(nodes: int, folder: Path) -> tuple[Plan, Path]:
    """Plan the smallest fleet of benchmarks.fleets that needs at least `nodes` nodes under a heavy load."""

    @cache
    def planned(vpns: int) -> tuple[Plan, Path]:
        root = with_stack(new_project(folder / f"vpns-{vpns}"), intent_of(2 * vpns).fleet)
        return plan_of(root, "bench", LOAD), root

    low, high = 1, -(-nodes // FEWEST)  # VPNs
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _nodes(planned(middle)[0]) >= nodes else (middle + 1, high)
    return planned(low)


def main() -> None:
    """Measure both fleets and print the figures."""
    parser = argparse.ArgumentParser(description="Preview and up of ECM against a bare Pulumi program.")
    parser.add_argument("--quick", action="store_true", help="a small node fleet, few repeats, no destroy")
    parser.add_argument("--nodes", type=int, help="nodes of the node fleet (200; 40 with --quick)")
    parser.add_argument("--repeats", type=int, help="runs of each program (3; 1 with --quick)")
    arguments = parser.parse_args()
    quick = arguments.quick
    nodes = arguments.nodes or (40 if quick else 200)
    repeats = arguments.repeats or (1 if quick else 3)
    try:
        toolchain = locate(os.environ)
    except MissingPulumi as missing:
        raise SystemExit(str(missing)) from None
    figures: dict[str, Any] = {"quick": quick}
    with tempfile.TemporaryDirectory(prefix="ecm-bench-") as name:
        folder = Path(name)
        usual = new_project(folder / "usual")
        cases = [("prod", plan_of(usual, "prod"), usual), ("nodes200", *plan_with(nodes, folder))]
        bench = Bench(toolchain, folder)
        for key, plan, root in cases:
            figures |= compare(bench, Case(key, plan, root, repeats, destroys=not quick))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
