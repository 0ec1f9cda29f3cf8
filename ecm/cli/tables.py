"""Results as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from ecm.model.demand import Severity, TelemetryFinding
from ecm.model.plan import Decision, Plan
from ecm.model.report import Report
from ecm.review import Explanation
from ecm.review.figures import change_usd, headroom, quantile, usd

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_VERDICTS = {
    Decision.AUTOMATIC: ("green", "within the automatic limits"),
    Decision.REVIEW: ("yellow", "needs approval"),
    Decision.REFUSED: ("red", "refused by guard"),
    Decision.STALE: ("red", "inputs too old"),
    Decision.FROZEN: ("red", "frozen"),
}


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def plan_summary(out: Console, plan: Plan, *, nothing: bool) -> None:
    """Print a plan in short: verdict, tiers, cost, and the next command."""
    if nothing:
        out.print(f"nothing to do: stack {plan.stack} is as it should be", style="green", markup=False)
        return
    colour, words = _VERDICTS[plan.verdict.decision]
    out.print(f"plan {plan.serial} of stack {plan.stack}: {words}", style=f"bold {colour}", markup=False)
    if not plan.changes:
        out.print("  it finishes what an earlier up began")
    for reason in plan.verdict.reasons:
        out.print(f"  {reason}", markup=False)
    for hit in plan.verdict.hits:
        out.print(f"  {hit.limit}: have {hit.have}, allowed {hit.allowed}; {hit.remedy}", markup=False)
    columns = ("tier", "nodes", "planned Mbit/s", "held Mbit/s", "to P90", "to P99", "zone loss")
    table = _table(*columns, right=columns[2:6])
    for t in plan.tiers:
        table.add_row(
            t.tier,
            f"{t.nodes_before} -> {t.nodes_after}",
            f"{t.load.planned_mbps} {quantile(t.load.quantile_permille)}",
            str(t.usable_mbps),
            headroom(t.usable_mbps, t.load.p90_mbps),
            headroom(t.usable_mbps, t.load.p99_mbps),
            "survived" if t.zone_loss_survived else "NOT survived",
        )
    out.print(table)
    before, after = plan.cost.before, plan.cost.after
    out.print(f"{len(plan.changes)} changes; {usd(before)} -> {usd(after)} USD/h ({change_usd(before, after)})")
    out.print(f"digest {plan.digest}, expires {plan.expires_at:%Y-%m-%d %H:%M} UTC", markup=False)
    if plan.verdict.passed:
        out.print(f"next: ecm review --stack {plan.stack}, then ecm approve latest --stack {plan.stack}", markup=False)


def explanation_tables(out: Console, found: tuple[Explanation, ...]) -> None:
    """Print each explanation: numbers with their constraints, then notes."""
    for one in found:
        out.print(one.subject, style="bold", markup=False)
        table = _table("number", "value", "bound by", "arithmetic", right=("value",))
        for b in one.numbers:
            table.add_row(b.number, f"{b.value} {b.unit}".strip(), b.constraint, b.detail)
        if one.numbers:
            out.print(table)
        for note in one.notes:
            out.print(f"  {note}", markup=False)


def report_table(out: Console, report: Report) -> None:
    """Print the findings of verify, worst first."""
    if not report.findings:
        out.print(f"as planned: {report.plan}", style="green", markup=False)
        return
    table = _table("severity", "subject", "finding", "detail", "remedy")
    for f in report.findings:
        table.add_row(
            f"[{_COLOURS[f.severity]}]{f.severity.value}[/]", f.subject, f.kind, _plain(f.detail), _plain(f.remedy)
        )
    out.print(table)


def telemetry_table(out: Console, findings: Iterable[TelemetryFinding]) -> None:
    """Print what was found in telemetry, per series."""
    table = _table("severity", "vpn", "application", "finding", "count", "first", "detail", right=("count",))
    for f in findings:
        first = f"{f.first:%Y-%m-%d %H:%M}" if f.first else ""
        severity = f"[{_COLOURS[f.severity]}]{f.severity.value}[/]"
        table.add_row(severity, f.vpn, f.application, f.kind, str(f.count), first, _plain(f.detail))
    out.print(table)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
