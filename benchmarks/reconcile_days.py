"""Thirty simulated days of scheduled runs, every 15 minutes, on real traces; then the real engine on their plans.

Every run is `ecm reconcile` itself: recovery, observation, telemetry, forecast, plan, guard, approval within the
limits, apply, verify, journal. Outside of it are a simulated clock and a recorded engine: a plan is made so at once,
and its nodes serve after the lead of `policies/limits.yaml`. What the limits do not let through a person approves
before the next run. Afterwards the real Pulumi engine applies the changed plans in their order on an embedded AWS, and
what runs is compared with each.

    python -m benchmarks.reconcile_days [--quick] [--days N] [--real N] [--twice]

The traces are requests, scaled to Mbit/s by stated factors. The last line is JSON: runs by outcome, applies, nodes
launched and removed, violated_min (load above what the ready nodes carry at full utilisation, summed over tiers),
node_hours_of_static_peak (the share of what the most nodes of each tier, all the time, would take), usd against the
budget, unexplained (changes of nodes, chains or routes that no change of the plan names: 0 is asked for), same_journal
(with --twice), real_applied.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fleets import ROOT, new_project
from benchmarks.recorded import Account
from ecm import intent, telemetry
from ecm.cli.approval import approve_plan
from ecm.cli.reconciling import reconcile
from ecm.cli.runlog import RunLog
from ecm.cli.session import Session, make_session
from ecm.cli.settings import write_approved
from ecm.cli.standing import ask_stack
from ecm.engine import MissingPulumi, Stack, locate
from ecm.model.base import MICRO
from ecm.model.plan import Plan
from ecm.model.run import RunOutcome
from ecm.pipeline.rehearsal import Step, outcomes
from ecm.store import Store
from ecm.telemetry import PlainImport, write_table
from ecm.telemetry.plain import plain_table
from tools.standin.embedded import EmbeddedAws

STACK = "staging"
EVERY_MIN = 15
END = datetime(2026, 3, 5, tzinfo=UTC)
"""Where the traces end, after they were moved by whole weeks."""
HISTORY_DAYS = 28
"""Whole days, as a retention deletes them."""
DATA = ROOT.parent / "shared" / "data" / "telemetry"
TRACES = (
    ("intranet", "appserver_requests_1h_2015_2017.csv", "request per h", 0.006, 60),
    ("updates", "nab_nyc_taxi_30min.csv", "passenger per 30 min", 0.04, 30),
)
"""Application, file, its unit, Mbit/s for one, minutes between its rows."""


@dataclass(frozen=True)
class Span:
    """What is simulated: `days` before END."""

    days: float
    real: int
    """Changed plans that the real engine applies, at most."""

    def times(self) -> list[datetime]:
        """Return the moments of the runs."""
        count = round(self.days * 1440 / EVERY_MIN)
        return [END - timedelta(minutes=EVERY_MIN * (count - k)) for k in range(count)]


@dataclass(frozen=True)
class Result:
    """What came of the runs."""

    steps: tuple[Step, ...]
    outcomes: Counter[str]
    approved_by_people: int
    journal: bytes
    account: Account
    seconds: float


def traces() -> pd.DataFrame:
    """Return both traces on one grid as telemetry in long form; a coarser value holds for its quarters of an hour."""
    parts = []
    for application, file, unit, factor, step_min in TRACES:
        how = PlainImport(vpn="corp", application=application, factor=factor, unit=unit, time_zone="UTC")
        table = plain_table(DATA / file, how)
        stamps = pd.to_datetime(table["timestamp"], utc=True)
        moved = stamps + pd.Timedelta(weeks=int(-((stamps.iloc[-1] - END) // timedelta(weeks=1))))
        series = pd.Series(table["mbps"].to_numpy(), index=pd.DatetimeIndex(moved))
        whole = pd.date_range(series.index[0], END, freq=f"{EVERY_MIN}min", inclusive="left")
        values = series.reindex(whole, method="ffill", limit=step_min // EVERY_MIN - 1)
        print(f"{application}: {file}, 1 {unit} stated as {factor:g} Mbit/s", flush=True)
        parts.append(
            pd.DataFrame({"timestamp": whole, "vpn": "corp", "application": application, "mbps": values.to_numpy()})
        )
    return pd.concat(parts, ignore_index=True)


def project(folder: Path) -> Path:
    """Make a work folder whose limits let scheduled runs scale out and in by themselves."""
    new_project(folder)
    edit(folder / "policies/catalog.yaml", as_of=(END - timedelta(days=60)).date().isoformat())
    approval = {"additive_automatic": True, "draining_automatic": True, "automatic_budget_step_usd_per_hour": 50.0}
    edit(folder / "policies/limits.yaml", approval=approval, stacks={STACK: {"budget_usd_per_hour": 150}})
    return folder


def edit(path: Path, **values: object) -> None:
    """Change fields of a YAML file."""
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**document, **values}, sort_keys=False))


def simulate(folder: Path, table: pd.DataFrame, times: list[datetime], *, show: bool = True) -> Result:
    """Run every scheduled run of `times` in the project at `folder`."""
    began = time.perf_counter()
    session = make_session(folder, STACK, as_json=True)
    account = Account(folder, STACK, intent.load(folder, STACK).limits, times[0])
    session = replace(session, edges=account.edges, env={**session.env, "GITHUB_ACTOR": "simulation"})
    load = folder / ".ecm" / "telemetry" / f"{STACK}.parquet"
    load.parent.mkdir(parents=True, exist_ok=True)
    steps, found, people = [], Counter[str](), 0
    for at in track(times, "scheduled runs", console=Console(stderr=True), disable=not show):
        account.at = at
        first = at.replace(hour=0, minute=0) - timedelta(days=HISTORY_DAYS)
        write_table(table[(table["timestamp"] >= first) & (table["timestamp"] < at)], load)
        with redirect_stderr(io.StringIO()) as said:
            run = reconcile(session, RunLog(session, as_json=True), None)
        found[run.outcome.value] += 1
        if run.outcome is RunOutcome.FAILED:
            raise SystemExit(f"the run of {at.isoformat()} failed: {run.reason}\n{said.getvalue()[-2000:]}")
        if run.outcome is RunOutcome.NEEDS_REVIEW and run.plan:
            people += _approve(session, session.store(), run.plan)
        steps.append(Step(at, account.applied, account.applied))
    journal = (folder / ".ecm" / "store" / STACK / "journal.jsonl").read_bytes()
    return Result(tuple(steps), found, people, journal, account, time.perf_counter() - began)


def _approve(session: Session, store: Store, digest: str) -> int:
    """Approve what a run left, as a person would before the next one."""
    with redirect_stderr(io.StringIO()):
        approve_plan(session, store, ask_stack(session, store), (digest, "a person", "reviewed"))
    return 1


# what came of it


def unexplained(store: Store, account: Account) -> list[str]:
    """Return what differs between plans that were applied one after the other and that no change of the later names."""
    plans = [store.plan(digest) for _, digest in account.ups]
    found = []
    for before, after in pairwise(plans):
        named = {change.subject for change in after.changes}
        old, new = _parts(before), _parts(after)
        different = {part for part in old.keys() | new.keys() if old.get(part) != new.get(part)}
        found += [f"plan {after.serial}: {part}" for part in sorted(different - named)]
        found += [f"plan {after.serial}: no reason for {c.subject}" for c in after.changes if not c.detail]
    return found


def _parts(plan: Plan) -> dict[str, object]:
    """Return everything of a plan that carries traffic, by the name that a change calls it."""
    slots = {
        f"slot {s.id}": [(n.generation, n.shape, n.state) for n in s.nodes] for t in plan.desired.tiers for s in t.slots
    }
    applications = {f"application {a.application}": a.chain for a in plan.desired.applications}
    chains = {f"chain {c.id}": c.tiers for c in plan.desired.chains}
    return {**slots, **applications, **chains}


def churn(store: Store, account: Account) -> tuple[int, int]:
    """Return how many nodes were launched and how many removed after the first plan."""
    held = [
        {(s.id, n.generation) for t in store.plan(d).desired.tiers for s in t.slots for n in s.nodes}
        for _, d in account.ups
    ]
    pairs = list(pairwise(held))
    return sum(len(b - a) for a, b in pairs), sum(len(a - b) for a, b in pairs)


def spent(steps: tuple[Step, ...]) -> float:
    """Return USD over the span, everything that the plans price included."""
    return sum(s.stands.cost.after for s in steps if s.stands) / MICRO * EVERY_MIN / 60


def figures(folder: Path, table: pd.DataFrame, ran: Result, days: float) -> dict[str, Any]:
    """Return the figures of the simulated runs."""
    wanted = intent.load(folder, STACK)
    full = folder / "whole.parquet"
    write_table(table, full)
    history = telemetry.read(full, fleet=wanted.fleet)
    lead = wanted.limits.lead
    first = ran.account.ups[0][0] + timedelta(minutes=lead.up_min + lead.boot_to_healthy_min + 2 * EVERY_MIN)
    served = tuple(step for step in ran.steps if step.as_of >= first)  # before that nothing could serve
    tiers = outcomes(served, history, wanted, EVERY_MIN)
    store = make_session(folder, STACK, as_json=True).store()
    launched, removed = churn(store, ran.account)
    hours = sum(t.node_hours for t in tiers)
    odd = unexplained(store, ran.account)
    for line in odd[:10]:
        print(line, file=sys.stderr)
    return {
        "days": days,
        "runs": len(ran.steps),
        "outcomes": dict(sorted(ran.outcomes.items())),
        "approved_by_people": ran.approved_by_people,
        "applies": len(ran.account.ups),
        "nodes_launched": launched,
        "nodes_removed": removed,
        "violated_min": sum(t.violated_min for t in tiers),
        "measured_min": sum(t.measured_min for t in tiers),
        "node_hours": round(hours, 1),
        "node_hours_of_static_peak": round(hours / _static_peak(served), 3),
        "usd": round(spent(ran.steps), 2),
        "budget_usd": round(wanted.limits.budget_usd_per_hour / MICRO * days * 24, 2),
        "unexplained": len(odd),
        "seconds_per_run": round(ran.seconds / len(ran.steps), 2),
    }


def _static_peak(steps: tuple[Step, ...]) -> float:
    """Return the node-hours of whoever keeps each tier at its largest size all the time."""
    most: Counter[str] = Counter()
    for step in steps:
        for tier in step.stands.desired.tiers if step.stands else ():
            most[tier.id] = max(most[tier.id], sum(len(s.nodes) for s in tier.slots))
    return most.total() * len(steps) * EVERY_MIN / 60


# the real engine


@contextmanager
def real_stack(folder: Path) -> Iterator[tuple[Stack, EmbeddedAws]]:
    """Yield the project's stack on an embedded AWS."""
    toolchain = locate(os.environ)
    with EmbeddedAws(folder / "aws") as aws:
        env = {**os.environ, **aws.environment, "PYTHONPATH": str(ROOT), "PULUMI_HOME": str(folder / "home")}
        stack = Stack(toolchain, folder, STACK, env)
        stack.select(create=True)
        yield stack, aws


def apply_for_real(folder: Path, ran: Result, most: int) -> int:
    """Apply the first `most` plans in their order with Pulumi; SystemExit where what runs is not the plan."""
    session = make_session(folder, STACK, as_json=True)
    store, done = session.store(), 0
    with real_stack(folder) as (stack, aws):
        for _, digest in track(ran.account.ups[:most], "plans applied by Pulumi", console=Console(stderr=True)):
            plan = store.plan(digest)
            write_approved(folder, STACK, digest, session.settings.signers)
            outcome = stack.up()
            if not outcome.ok:
                raise SystemExit(f"plan {plan.serial} was not applied: {outcome.output[-3000:]}")
            wanted = {f"{s.id}#{n.generation}" for t in plan.desired.tiers for s in t.slots for n in s.nodes}
            if stack.outputs()["planDigest"] != digest or _running(aws) != wanted:
                raise SystemExit(
                    f"plan {plan.serial}: {sorted(_running(aws) ^ wanted)} differ between plan and account"
                )
            done += 1
    return done


def _running(aws: EmbeddedAws) -> set[str]:
    found = set()
    for reservation in aws.client("ec2").describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "running":
                tags = {t["Key"]: t["Value"] for t in instance["Tags"]}
                found.add(f"{tags['ecm:slot']}#{tags['ecm:generation']}")
    return found


def report(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    table = Table("figure", "value", box=None)
    for name, value in found.items():
        table.add_row(name, str(value))
    Console().print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six hours twice, two plans by the real engine")
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--real", type=int, default=40, help="changed plans that the real engine applies")
    parser.add_argument("--twice", action="store_true", help="run all of it again and compare the journals")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: the traces are not at {DATA}")
        return
    span = Span(0.25, 2) if given.quick else Span(given.days, given.real)
    table = traces()
    with tempfile.TemporaryDirectory() as name:
        folder = project(Path(name) / "project")
        ran = simulate(folder, table, span.times())
        found = figures(folder, table, ran, span.days)
        if given.quick or given.twice:
            again = simulate(project(Path(name) / "again"), table, span.times())
            found["same_journal"] = again.journal == ran.journal
        report(found)
        try:
            found["real_applied"] = apply_for_real(folder, ran, span.real)
        except MissingPulumi as missing:
            print(f"the real engine was left out: {missing}")
        print(json.dumps(found))
        if found["unexplained"] or found.get("same_journal") is False:
            raise SystemExit("a change without an explanation, or two journals of the same inputs that differ")


if __name__ == "__main__":
    main()
