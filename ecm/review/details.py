"""The collapsed parts of the report in Markdown: each a list of lines for at most so many rows; empty: nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from ecm.model.review import ChangeClass, Review, StepRow
from ecm.review.figures import HOURS_PER_MONTH, age, change_usd, plain, table, usd

_DIFF_LINES: Final = 60
_LEGEND: Final = (
    "additive: something is added, what carries traffic is not touched; draining: nodes take no new traffic and their "
    "sessions move before they go; disruptive: flows take another path, or something goes that may carry some; "
    "cosmetic: pulled in place, tags, alarms."
)


def changes(review: Review, rows: int) -> list[str]:
    """Every change, worst first."""
    if not review.changes:
        return []
    counts = Counter(c.change_class for c in review.changes)
    counted = ", ".join(f"{counts[c]} {c.value}" for c in ChangeClass if counts[c])
    cells = [(c.change_class.value, c.kind, plain(c.subject), plain(c.detail)) for c in review.changes]
    return [f"{counted}.", "", *table(("Class", "Change", "What", "Detail"), cells, rows), "", _LEGEND]


def why(review: Review, rows: int) -> list[str]:
    """Why not less and not more, then every number with the constraint that bound it."""
    lines = []
    for t in review.tiers:
        said = [(name, c.text) for name, c in (("not less", t.not_less), ("not more", t.not_more)) if c]
        lines += [f"- {t.tier}, {name}: {plain(text)}" for name, text in said]
    lines = lines[: 2 * rows]
    numbers = [*(b for t in review.tiers for b in t.because), *review.because]
    cells = [
        (plain(b.subject), plain(b.number), f"{b.value} {plain(b.unit)}".strip(), plain(b.constraint), plain(b.detail))
        for b in dict.fromkeys(numbers)
    ]
    if cells:
        lines += ["", *table(("Subject", "Number", "Value", "Bound by", "Arithmetic"), cells, rows)]
    return lines


def cost(review: Review, rows: int) -> list[str]:
    """Cost line by line."""
    found = review.cost
    cells = [
        (
            plain(line.item),
            usd(line.before_usd_micro_per_hour),
            usd(line.after_usd_micro_per_hour),
            change_usd(line.before_usd_micro_per_hour, line.after_usd_micro_per_hour),
        )
        for line in found.lines
    ]
    before, after = found.before_usd_micro_per_hour, found.after_usd_micro_per_hour
    cells.append(("**total**", f"**{usd(before)}**", f"**{usd(after)}**", f"**{change_usd(before, after)}**"))
    rise = change_usd(before * HOURS_PER_MONTH, after * HOURS_PER_MONTH)
    month = f"About {usd(after * HOURS_PER_MONTH)} USD a month ({rise}); bandwidth at the P50 load."
    return [*table(("Item", "Before, USD/h", "After, USD/h", "Change"), cells, rows), "", month]


def routes(review: Review, rows: int) -> list[str]:
    """Applications' ways, and the health checks of every tier."""
    cells = [
        (
            r.application,
            f"{r.chain_before} → {r.chain}" if r.chain_before else r.chain,
            r.traffic_class,
            plain(", ".join(r.ports) or "every port", 80),
            plain("; ".join(r.not_met)) or "none",
            plain("; ".join(r.kept_out)) or "none",
        )
        for r in review.routes
    ]
    checks = [(c.tier, plain(c.check), c.nodes, c.draining) for c in review.checks]
    header = ("Application", "Chain", "Class", "Ports", "Requirements not met", "Chains kept out")
    return [
        *table(header, cells, rows),
        "",
        *table(("Tier", "Health check", "Nodes", "of which drain"), checks, rows),
    ]


def forecasts(review: Review, rows: int) -> list[str]:
    """The forecast of each application, and of each VPN with more than one."""
    cells = [
        (
            plain(f.subject),
            plain(f.model),
            *(f.last_mbps, f.p50_mbps, f.p90_mbps, f.p99_mbps, f.recent_peak_mbps),
            "" if f.coverage_permille is None else f"{f.coverage_permille / 10:g} %",
            plain("; ".join(f.notes)) or "none",
        )
        for f in review.forecasts
    ]
    header = (
        *("Application", "Model", "Last", "Window P50", "P90", "P99", "Recent peak"),
        *("P90 held in the past", "Incidents and events"),
    )
    note = "Mbit/s; the window's figures are of its maximum, from errors made out of sample."
    return [*table(header, cells, rows), "", note] if cells else []


def engine(review: Review, rows: int) -> list[str]:
    """The engine's operations and what it said."""
    lines = _steps(review.engine.steps, rows)
    said = [f"- {plain(m, 300)}" for m in review.engine.messages[:rows]]
    return [*lines, *(["", *said] if said else [])]


def policies(review: Review, rows: int) -> list[str]:
    """Everything that policies said, notes included."""
    cells = [
        (plain(r.policy, 60), plain(r.enforcement, 20), plain(r.resource, 100), plain(r.message, 300))
        for r in sorted(review.policies.rows, key=lambda r: not r.stops)
    ]
    return table(("Policy", "Level", "Resource", "Says"), cells, rows) if cells else []


def drift(review: Review, rows: int) -> list[str]:
    """What is not as the last apply left it; none of it is this plan's doing."""
    lines = _steps(review.drift.steps, rows)
    note = "Changed outside of ECM. An apply with `--refresh` puts back what the plan says of these resources."
    return [*lines, "", note] if lines else []


def _steps(steps: tuple[StepRow, ...], rows: int) -> list[str]:
    cells = [
        (
            s.change_class.value,
            plain(s.op, 30),
            plain(s.type, 60),
            plain(s.name, 120),
            plain(", ".join(s.properties), 120),
        )
        for s in steps
    ]
    return table(("Class", "Operation", "Type", "Resource", "Properties"), cells, rows) if cells else []


def diffs(review: Review, rows: int) -> list[str]:
    """Differences of rendered files; the same difference of several nodes once."""
    found = review.configs
    if not found.diffs:
        return [plain(found.note)] if found.note else []
    most = max(1, rows // 8)
    lines = [f"{found.changed} objects differ, {found.added} are new, {found.removed} go. {plain(found.note)}".strip()]
    for one in found.diffs[:most]:
        more = f" and {len(one.nodes) - 3} more" if len(one.nodes) > 3 else ""
        shown = one.lines[:_DIFF_LINES]
        ticks = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
        fence = "`" * max(3, ticks + 1)
        lines += ["", f"{plain(one.file)} of {plain(', '.join(one.nodes[:3]))}{more}", "", f"{fence}diff"]
        lines += [line.rstrip()[:400] for line in shown]
        left = len(one.lines) + one.left_out - len(shown)
        lines += [fence, *([f"{left} more lines"] if left else [])]
    left = len(found.diffs) - most
    return lines + ([f"{left} more files are in report.json"] if left > 0 else [])


def inputs(review: Review, rows: int) -> list[str]:
    """Digests and ages of what the plan was computed from."""
    cells = [(i.name, f"`{i.digest}`" if i.digest else "none", age(i.age_min), i.state) for i in review.inputs]
    return [*table(("Input", "Digest", "Age", ""), cells, rows), "", f"Decided by ECM {plain(review.ecm_version)}."]


DETAILS: Final[tuple[tuple[str, Callable[[Review, int], list[str]]], ...]] = (
    ("Changes", changes),
    ("Policies", policies),
    ("Drift", drift),
    ("Why not less, why not more", why),
    ("Cost by item", cost),
    ("Routes and health checks", routes),
    ("Forecasts", forecasts),
    ("The engine's operations", engine),
    ("Inputs", inputs),
    ("Rendered configuration", diffs),
)
"""Title and lines of each, in the order in which room is given."""
