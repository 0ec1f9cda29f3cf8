"""Results as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console
from rich.table import Table

from ecm.model.demand import Severity, TelemetryFinding
from ecm.model.observed import Health
from ecm.model.plan import Decision, NodeState, Plan
from ecm.model.report import Report
from ecm.model.request import ChainState, RouteDecision
from ecm.model.simulation import ApplicationLeft, Simulation
from ecm.review import Explanation, FleetHealth
from ecm.review import Standing as Whole
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


_STANDINGS = {
    Whole.WHOLE: "green",
    Whole.REDUCED: "yellow",
    Whole.UNKNOWN: "dim",
    Whole.SHORT: "red",
    Whole.DOWN: "red",
}


def health_tables(out: Console, fleet: FleetHealth, at: datetime) -> None:
    """Print how every chain, tier and node is at `at`."""
    chains = _table("chain", "", "tiers")
    for chain in fleet.chains:
        chains.add_row(chain.chain, f"[{_STANDINGS[chain.standing]}]{chain.standing}[/]", " > ".join(chain.tiers))
    out.print(chains)
    out.print()
    tiers = _table("tier", "", "nodes", "Mbit/s", "planned load", right=("nodes", "Mbit/s", "planned load"))
    nodes = _table(
        "node", "instance", "health", "EC2", "target", "agent", "since", "configuration", "key", "ready after"
    )
    for tier in fleet.tiers:
        colour = _STANDINGS[tier.standing]
        counted = f"{tier.serving} of {tier.planned}"
        tiers.add_row(tier.tier, f"[{colour}]{tier.standing}[/]", counted, str(tier.serving_mbps), str(tier.load_mbps))
        for node in tier.nodes:
            since = node.unhealthy_since or node.healthy_since
            draining = " draining" if node.state is NodeState.DRAINING else ""
            nodes.add_row(
                f"{node.slot} g{node.generation}{draining}",
                node.instance or "none",
                f"[{_HEALTHS[node.health]}]{node.health}[/]",
                node.instance_check or "-",
                node.target_check or "-",
                node.agent_check or "-",
                _age(since, at),
                {True: "current", False: "[yellow]other[/]", None: "-"}[node.config_current],
                _age(node.key_published_at, at),
                "-" if node.ready_after_s is None else f"{node.ready_after_s} s",
            )
    out.print(tiers)
    out.print()
    out.print(nodes)
    for node in (n for tier in fleet.tiers for n in tier.nodes if n.agent_says):
        out.print(f"{node.slot} g{node.generation}: {node.agent_says}", markup=False, highlight=False)


_HEALTHS = {Health.HEALTHY: "green", Health.UNHEALTHY: "red", Health.UNKNOWN: "dim", Health.NEW: "yellow"}


def _age(moment: datetime | None, at: datetime) -> str:
    if moment is None:
        return "-"
    minutes = max(0, int((at - moment).total_seconds())) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"


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
        out.print(f"  {hit.said}", markup=False)
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


def route_table(out: Console, states: Iterable[ChainState], decision: RouteDecision) -> None:
    """Print what every chain offers to a request, and why it is not taken."""
    numbers = ("latency ms", "loss %", "outage s", "security", "free Mbit/s", "availability %")
    table = _table("chain", *numbers, "", right=numbers)
    for state in states:
        failed = [f"{r.requirement} {r.have}, needed {r.need}" for r in decision.rejected if r.candidate == state.chain]
        table.add_row(
            state.chain,
            f"{state.latency_us.value / 1000:g}",
            f"{state.loss_ppm.value / 10_000:g}",
            str(state.outage_s.value),
            str(state.security_level.value),
            str(state.residual_mbps),
            f"{state.availability_ppm.value / 10_000:.3f}",
            "[green]taken[/]" if state.chain == decision.chain else "; ".join(failed),
        )
    out.print(table)


def simulation_tables(out: Console, found: Simulation) -> None:
    """Print what is left of every tier, and what becomes of the applications that are hit."""
    numbers = ("nodes", "left", "capacity", "load", "after moves")
    tiers = _table("tier", *numbers, "", right=numbers)
    for tier in found.tiers:
        said = "[green]holds[/]" if not tier.short_mbps else f"[red]short of {tier.short_mbps} Mbit/s[/]"
        values = (tier.nodes, tier.nodes_left, tier.capacity_mbps, tier.load_mbps, tier.load_after_mbps)
        tiers.add_row(tier.tier, *(str(value) for value in values), said)
    gone = f"without {', '.join(found.failed)}" if found.failed else "with every node"
    out.print(f"{gone}, at {found.load_permille / 1000:g} times the planned load; Mbit/s")
    out.print()
    out.print(tiers)
    if not found.applications:
        return
    rows = _table("application", "chain", "load", "becomes", right=("load",))
    for one in found.applications:
        rows.add_row(one.application, one.chain, str(one.load_mbps), _becomes(one))
    out.print()
    out.print(rows)


def _becomes(one: ApplicationLeft) -> str:
    within = f"within {one.outage_s} s" if one.outage_s is not None else "once new nodes stand"
    if one.moves_to:
        return f"[yellow]moves to {one.moves_to}[/] by the next run"
    short = f"; [red]short of {one.short_mbps} Mbit/s[/]" if one.short_mbps else ""
    return f"goes on {within}{short}"
