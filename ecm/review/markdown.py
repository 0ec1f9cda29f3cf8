"""The review as Markdown for a pull request: below 60 kB whatever it holds, summary first, details collapsed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from ecm.model.links import link
from ecm.model.review import Answer, Review, Verdict, ZoneRow
from ecm.review.details import DETAILS
from ecm.review.figures import age, change_usd, counted_of, minutes, percent, plain, quantile, share, table, usd

MOST_BYTES: Final = 60_000
"""A comment on GitHub holds 65,536 characters."""
_HEAD_BYTES: Final = 30_000
"""Of that at most so many for what is not collapsed."""
_END_BYTES: Final = 1_000
_ROWS: Final = (400, 100, 30, 10, 3, 1)
"""Rows of a table that are tried, most first, until it fits."""
GOOD: Final = (Answer.NOTHING, Answer.READY, Answer.AUTOMATIC)


def marker(stack: str) -> str:
    """Return the line by which a program finds its own comment again: one for each stack."""
    return f"<!-- ecm-review: {stack} -->"


def markdown(review: Review) -> str:
    """Return `review` as Markdown of less than 60 kB; what does not fit is cut from the end, and said so."""
    text = _fitting(lambda rows: _head(review, rows), _HEAD_BYTES) or _short(review)
    left_out = []
    for title, lines in DETAILS:
        room = MOST_BYTES - _END_BYTES - len(text.encode())
        body = _fitting(lambda rows, t=title, m=lines: _folded(t, m(review, rows)), room)  # type: ignore[misc]
        if body is None:
            left_out.append(title.lower())
        else:
            text += body
    if left_out:
        text += f"\nLeft out for its length: {', '.join(left_out)}; `report.json` holds all.\n"
    return text


def _fitting(make: Callable[[int], str], most: int) -> str | None:
    """Return the longest form of a part that has at most `most` bytes; None where even the shortest has more."""
    made = (make(rows) for rows in _ROWS)
    return next((text for text in made if len(text.encode()) <= most), None)


def _folded(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return "\n".join(["", "<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""])


def _short(review: Review) -> str:
    said = review.verdict
    return f"{marker(review.stack)}\n## Stack {review.stack}, plan {said.serial}: {said.answer.value}\n"


def _head(review: Review, rows: int) -> str:
    parts = (part(review, rows) for part in (_marked, *(lines for _, lines in HEAD)))
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _marked(review: Review, rows: int) -> list[str]:
    answer = review.verdict.answer
    mark = "✅ " if answer in GOOD else "🟡 " if answer is Answer.APPROVAL else "⛔ "
    return [marker(review.stack), *verdict_lines(review, rows, mark=mark)]


def verdict_lines(review: Review, rows: int, *, mark: str = "") -> list[str]:
    """Return the verdict: what changes, whether it needs approval and why, the commands, digest, expiry, way back."""
    said = review.verdict
    worst = said.change_class.value if said.change_class else "nothing changes"
    lines = [
        f"## {mark}Stack {review.stack}, plan {said.serial}: {said.answer.value}",
        "",
        f"**{plain(said.summary)}**",
        "",
        f"Approval needed: **{'yes' if said.approval_needed else 'no'}**. Class of the change: **{worst}**.",
    ]
    lines += ["", *(f"- {plain(reason, 300)}" for reason in said.reasons[:rows])] if said.reasons else []
    lines += [
        f"- limit `{plain(h.limit, 60)}`: have {plain(h.have)}, allowed {plain(h.allowed)}; {plain(h.remedy)} "
        f"(`{link(plain(h.limit, 60))}`)"
        for h in said.hits[:rows]
    ]
    return [*lines, "", f"Next: {said.advice}", "", "```console", *said.commands, "```", *_identity(review, said)]


def _identity(review: Review, said: Verdict) -> list[str]:
    left = int((said.expires_at - review.reviewed_at).total_seconds() // 60)
    when = f"in {left // 60} h {left % 60} min" if left >= 0 else "expired"
    return [
        f"- digest `{said.digest}`",
        f"- replaces {f'`{said.basis}`' if said.basis else 'nothing: the stack is created'}",
        f"- made {_time(said.made_at)}, expires {_time(said.expires_at)} ({when})",
        f"- roll back: `{said.rollback}` ({said.rollback_note})",
    ]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _chains(review: Review, rows: int) -> list[str]:
    header = (
        *("Chain", "Tiers", "Nodes by zone", "Headroom to P50", "P90", "P99"),
        *("Zone lost", "Nodes lost", "Violated before", "after"),
    )
    cells = [
        (
            c.chain,
            " → ".join(c.tiers),
            "; ".join(f"{z.zone} {_change(z.nodes_before, z.nodes_after)}" for z in c.zones),
            *(percent(h) for h in (c.headroom_p50_pct, c.headroom_p90_pct, c.headroom_p99_pct)),
            _holds(holds=c.zone_loss_survived),
            _holds(holds=c.node_losses_survived),
            minutes(c.violated_before_s),
            minutes(c.violated_after_s),
        )
        for c in review.chains
    ]
    note = (
        "Headroom: what the chain's weakest tier holds after its worst loss, at "
        f"{review.max_utilisation_permille / 10:g} % of each node, against the forecast maximum of the window. "
        "Violated: expected time in the window in which the load exceeds all that its tiers carry."
    )
    return ["### Chains", "", *table(header, cells, rows), "", note] if cells else []


def _tiers(review: Review, rows: int) -> list[str]:
    header = (
        *("Tier", "Nodes", "By zone", "Carried, Mbit/s", "Planned load", "Held after loss"),
        *("Without the worst zone", "Without the worst nodes", "Headroom to P50", "P90", "P99"),
        *("Violated before", "after"),
    )
    cells = [
        (
            t.tier,
            f"**{_change(t.nodes_before, t.nodes_after)}**",
            "; ".join(_zone(z) for z in t.zones),
            t.capacity_mbps,
            f"{t.planned_mbps} ({quantile(t.quantile_permille)})",
            t.usable_mbps,
            f"{t.after_zone_loss_mbps} {_holds(holds=t.zone_loss_survived)}",
            f"{t.after_node_losses_mbps} {_holds(holds=t.node_losses_survived)}",
            *(percent(h) for h in (t.headroom_p50_pct, t.headroom_p90_pct, t.headroom_p99_pct)),
            minutes(t.violated_before_s),
            minutes(t.violated_after_s),
        )
        for t in review.tiers
    ]
    return ["### Tiers and zones", "", *table(header, cells, rows)] if cells else []


def _zone(row: ZoneRow) -> str:
    draining = f", {row.draining} drain{'s' if row.draining == 1 else ''}" if row.draining else ""
    return f"{row.zone} {_change(row.nodes_before, row.nodes_after)} ({row.carried_mbps} Mbit/s{draining})"


def _change(before: int, after: int) -> str:
    return str(after) if before == after else f"{before} → {after}"


def _holds(*, holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


def _effects(review: Review, rows: int) -> list[str]:
    cost = review.cost
    before, after = cost.before_usd_micro_per_hour, cost.after_usd_micro_per_hour
    difference = f"{change_usd(before, after)} USD/h ({share(before, after)})"
    lines = [
        "### What it costs and does",
        "",
        f"- cost {usd(before)} → {usd(after)} USD/h: **{difference}**, prices of {plain(cost.prices_as_of)}",
    ]
    for m in review.moves[:rows]:
        who = f", at most {m.clients} clients" if m.clients is not None else ""
        lines.append(f"- sessions of {m.subject}: {m.share_permille / 10:g} % of its traffic moves{who}, {m.when}")
    lines += [] if review.moves else ["- no session moves"]
    cells = [
        (o.profile, ", ".join(o.applications), f"{o.expected_s} s", f"{o.budget_s} s", _kept(kept=o.kept), o.cause)
        for o in review.outages
    ]
    header = ("Profile", "Applications", "Outage by this change", "Budget", "", "Cause")
    return [*lines, *(["", *table(header, cells, rows)] if cells else [])]


def _kept(*, kept: bool) -> str:
    return "kept" if kept else "**over budget**"


def _beside(review: Review, rows: int) -> list[str]:
    """Policies, the engine, drift and age of inputs, a line each."""
    engine, drift, policies = review.engine, review.drift, review.policies
    counted = ", ".join(f"{count} {op}" for op, count in engine.counts) or "no resources"
    stops = [r for r in policies.rows if r.stops]
    lines = ["### Checks", ""]
    lines.append(f"- engine's preview: {plain(engine.note, 300) if engine.note else counted}")
    if stops:
        lines.append(f"- policies: **{counted_of(len(stops), 'violation')} stopping the apply**")
        lines += [
            f"  - `{plain(r.policy, 60)}` on {plain(r.resource, 100)}: {plain(r.message, 300)}" for r in stops[:rows]
        ]
    else:
        advice = len(policies.rows)
        ran = f"{', '.join(policies.packs)} passed" if policies.packs else "no pack was run"
        lines.append(f"- policies: {plain(ran)}" + (f", {advice} notes" if advice else ""))
    found = f"**{counted_of(len(drift.steps), 'resource')} not as the last apply left them**" if drift.steps else "none"
    lines.append(f"- drift: {plain(drift.note, 300) if drift.note else found}")
    ages = ", ".join(f"{i.name} {age(i.age_min)}" for i in review.inputs if i.age_min is not None)
    changed = [i.name for i in review.inputs if i.state.startswith("changed")]
    lines.append(f"- age of inputs: {ages or 'not known'}")
    lines += [f"- **changed since the plan was made: {', '.join(changed)}**"] if changed else []
    return lines


HEAD: Final[tuple[tuple[str, Callable[[Review, int], list[str]]], ...]] = (
    ("chains", _chains),
    ("tiers", _tiers),
    ("effects", _effects),
    ("checks", _beside),
)
"""Name and lines of what comes first and is not collapsed."""
