"""The parts of the report, each a list of Markdown lines."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Final

from ecm.model.plan import Change, Plan, TierEvidence
from ecm.review.figures import HOURS_PER_MONTH, change_usd, headroom, plain, quantile, table, usd

_LISTED: Final = 60
"""Changes listed one by one; beyond it kinds are counted and the first are shown."""


def tiers(plan: Plan) -> list[str]:
    """Nodes before and after, and headroom against the forecast's quantiles."""
    roles = {t.id: t.role.value for t in plan.desired.tiers}
    rows = [
        (
            t.tier,
            roles.get(t.tier, ""),
            f"{t.nodes_before} -> {t.nodes_after}",
            f"{t.load.planned_mbps} ({quantile(t.load.quantile_permille)})",
            t.usable_mbps,
            *(headroom(t.usable_mbps, need) for need in (t.load.p50_mbps, t.load.p90_mbps, t.load.p99_mbps)),
            "yes" if t.zone_loss_survived else "**no**",
        )
        for t in plan.tiers
    ]
    header = (
        *("Tier", "Role", "Nodes", "Planned load, Mbit/s", "Held, Mbit/s"),
        *("Headroom to P50", "to P90", "to P99", "Survives a zone"),
    )
    note = (
        "Held: what is carried after the worst loss that the tier is built for, at "
        f"{plan.max_utilisation_permille / 10:g} % of each node's capacity. Headroom is against the forecast maximum "
        "of the whole window."
    )
    return ["## Tiers", "", *table(header, rows), "", note]


def zone_loss(plan: Plan) -> list[str]:
    """What is left when a zone or nodes are lost."""
    rows = [
        (t.tier, t.capacity_mbps, t.after_zone_loss_mbps, t.after_node_losses_mbps, _survival(t)) for t in plan.tiers
    ]
    header = ("Tier", "Whole, Mbit/s", "Without the worst zone", "Without the worst f nodes", "Check")
    return ["## Loss of a zone", "", *table(header, rows), "", "At full utilisation of the nodes that remain."]


def _survival(tier: TierEvidence) -> str:
    need = tier.load.planned_mbps
    if tier.zone_loss_survived:
        return f"holds {need} Mbit/s"
    short = need - tier.after_zone_loss_mbps
    return f"**zone loss not survived**: {short} Mbit/s short" if short > 0 else "**zone loss not survived**"


def cost(plan: Plan) -> list[str]:
    """Cost per hour before and after, line by line."""
    before, after = plan.cost.before, plan.cost.after
    rows: list[tuple[str, str, str, str]] = [
        (
            plain(line.item),
            usd(line.before_usd_micro_per_hour),
            usd(line.after_usd_micro_per_hour),
            change_usd(line.before_usd_micro_per_hour, line.after_usd_micro_per_hour),
        )
        for line in plan.cost.lines
    ]
    rows.append(("**total**", f"**{usd(before)}**", f"**{usd(after)}**", f"**{change_usd(before, after)}**"))
    rise = change_usd(before * HOURS_PER_MONTH, after * HOURS_PER_MONTH)
    month = f"About {usd(after * HOURS_PER_MONTH)} USD a month ({rise})"
    return [
        "## Cost",
        "",
        *table(("Item", "Before, USD/h", "After, USD/h", "Change"), rows),
        "",
        f"{month}. Prices of {plain(plan.cost.prices_as_of)}; bandwidth at the P50 load.",
    ]


def changes(plan: Plan) -> list[str]:
    """Changes, those that take something away first."""
    if not plan.changes:
        return ["## Changes", "", "None."]
    kinds = Counter(change.kind.value for change in plan.changes)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    disruptive = [c for c in plan.changes if not c.additive]
    additive = [c for c in plan.changes if c.additive]
    lines = ["## Changes", "", f"{len(plan.changes)}: {counted}."]
    for title, group in (("Not additive", disruptive), ("Additive", additive)):
        if group:
            lines += ["", f"### {title}", "", *_listed(group)]
    return lines


def _listed(group: list[Change]) -> list[str]:
    rows = [(c.kind.value, plain(c.subject), plain(c.detail)) for c in group[:_LISTED]]
    more = ["", f"And {len(group) - _LISTED} more; `ecm review --json` lists all."] if len(group) > _LISTED else []
    return [*table(("Change", "What", "Detail"), rows), *more]


def applications(plan: Plan) -> list[str]:
    """Each application's chain, and why not another."""
    rows = [
        (
            a.application,
            f"{a.moved_from} -> {a.chain}" if a.moved_from else a.chain,
            plain("; ".join(a.violated)) or "none",
            plain("; ".join(a.rejected)) or "none",
        )
        for a in plan.applications
    ]
    header = ("Application", "Chain", "Requirements not met", "Chains kept out")
    return ["## Applications", "", *table(header, rows)]


def forecasts(plan: Plan) -> list[str]:
    """The forecast of each application, and of each VPN with more than one."""
    rows = [
        (
            f.application,
            plain(f.model),
            f.last_mbps,
            f.window_p50_mbps,
            f.window_p90_mbps,
            f.window_p99_mbps,
            f.recent_peak_mbps,
            f"{f.coverage_permille / 10:g} %",
            plain("; ".join([*f.incidents, *f.event_effects])) or "none",
        )
        for f in plan.forecasts
    ]
    rows += [
        (
            f"VPN {v.vpn}",
            f"the sum of its {len(v.applications)}",
            v.last_mbps,
            v.window_p50_mbps,
            v.window_p90_mbps,
            v.window_p99_mbps,
            v.recent_peak_mbps,
            "",
            "",
        )
        for v in plan.vpn_forecasts
        if len(v.applications) > 1
    ]
    header = (
        *("Application", "Model", "Last", "Window P50", "P90", "P99", "Recent peak"),
        *("P90 held in the past", "Incidents and events"),
    )
    note = "Mbit/s; the window's figures are of its maximum, from errors made out of sample."
    return ["## Forecasts", "", *table(header, rows), "", note]


def why(plan: Plan) -> list[str]:
    """Every number with the constraint that bound it."""
    numbers = [b for t in plan.tiers for b in t.because or t.load.because]
    numbers += [b for a in plan.applications for b in a.because]
    rows = [
        (plain(b.subject), plain(b.number), f"{b.value} {b.unit}".strip(), b.constraint, plain(b.detail))
        for b in numbers
    ]
    return ["## Why", "", *table(("Subject", "Number", "Value", "Bound by", "Arithmetic"), dict.fromkeys(rows))]


def inputs(plan: Plan, now: datetime) -> list[str]:
    """Digests and ages of what the plan was computed from."""
    made_from = plan.inputs
    names = ("fleet", "qos", "security", "limits", "catalog", "telemetry", "observed")
    rows = [
        (name, f"`{value}`" if (value := getattr(made_from, name)) else "none: nothing was observed") for name in names
    ]
    age = int((now - plan.as_of).total_seconds() // 60)
    return [
        "## Inputs",
        "",
        *table(("Input", "Digest"), rows),
        "",
        f"Decided {max(age, 0)} min ago by ECM {plain(made_from.ecm_version)}; prices are {_price_age(plan, now)} old.",
    ]


def _price_age(plan: Plan, now: datetime) -> str:
    try:
        priced = date.fromisoformat(plan.cost.prices_as_of)
    except ValueError:
        return "of unknown age and"
    return f"{(now.astimezone(UTC).date() - priced).days} days"
