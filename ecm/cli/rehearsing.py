"""`ecm backtest` of a whole fleet: the plans of a measured past, and what each tier did under them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from rich.table import Table

from ecm import files
from ecm.cli.commands.decide import parse_moment
from ecm.cli.deciding import Inputs
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.pipeline.rehearsal import Span, Step, TierOutcome, outcomes, rehearse, verdicts

LEARN_SHARE = 2 / 3
"""Without --from the last third is decided and the rest is history."""
DEFAULT_EVERY_MIN = 15


@dataclass(frozen=True)
class Rehearsal:
    """What came of a fleet's replay."""

    steps: tuple[Step, ...]
    tiers: tuple[TierOutcome, ...]


def rehearse_fleet(session: Session, inputs: Inputs, span: Span, progress: Callable[[int, int], None]) -> Rehearsal:
    """Replay the plans of `inputs` over `span`."""
    made = tuple(rehearse(inputs.intent, inputs.history, span, session.root / "templates", progress))
    return Rehearsal(made, outcomes(made, inputs.history, inputs.intent, span.every_min))


def span_of(inputs: Inputs, start: str | None, until: str | None, every_min: int | None) -> Span:
    """Return the span that the options name; CommandError where telemetry does not cover it."""
    history = inputs.history
    first = parse_moment(start, "--from") if start else history.start + (history.end - history.start) * LEARN_SHARE
    last = parse_moment(until, "--until") if until else history.end
    if not history.start < first < last <= history.end:
        raise CommandError(
            f"--from {first.isoformat()} --until {last.isoformat()}: telemetry covers {history.start.isoformat()} to "
            f"{history.end.isoformat()}; leave history before --from",
            Code.USAGE,
        )
    return Span(_aligned(first), last, every_min or DEFAULT_EVERY_MIN)


def _aligned(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def write_plans(found: Rehearsal, target: Path) -> None:
    """Write `timestamp,tier,nodes,capacity_mbps,planned_mbps,verdict`: a row per decision and tier."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("timestamp", "tier", "nodes", "capacity_mbps", "planned_mbps", "verdict"))
    for step in found.steps:
        said = step.plan.verdict.decision.value if step.plan else "infeasible"
        for tier in step.stands.tiers if step.stands else ():
            stamp = step.as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
            rows.writerow((stamp, tier.tier, tier.nodes_after, tier.capacity_mbps, tier.load.planned_mbps, said))
    files.write(target, text.getvalue())


def show(session: Session, found: Rehearsal) -> None:
    """Print what each tier did, and how the decisions were judged."""
    if session.as_json:
        session.emit({"tiers": [asdict(t) for t in found.tiers], "verdicts": dict(verdicts(found.steps))})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tier")
    for name in ("violated min", "share", "longest", "node-hours", "USD", "node changes"):
        table.add_column(name, justify="right")
    for tier in found.tiers:
        share = tier.violated_min / tier.measured_min if tier.measured_min else 0.0
        table.add_row(
            tier.tier,
            str(tier.violated_min),
            f"{100 * share:.3f} %",
            str(tier.longest_min),
            f"{tier.node_hours:.0f}",
            f"{tier.usd:.2f}",
            str(tier.node_changes),
        )
    session.out.print(table)
    said = ", ".join(f"{count} {name}" for name, count in verdicts(found.steps))
    session.out.print(f"{len(found.steps)} decisions: {said}", markup=False)
