"""A review on a terminal: the verdict, then what the change does, each as a table that fits the width."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ecm.model.review import Answer, ChangeClass, Review, TierRow
from ecm.review.figures import age, change_usd, clean, counted_of, minutes, percent, share, usd

_GOOD = (Answer.NOTHING, Answer.READY, Answer.AUTOMATIC)
_COLOURS = {
    ChangeClass.COSMETIC: "dim",
    ChangeClass.ADDITIVE: "green",
    ChangeClass.DRAINING: "yellow",
    ChangeClass.DISRUPTIVE: "red",
}
_LISTED = 12


def review_tables(out: Console, review: Review) -> None:
    """Print `review`."""
    _verdict(out, review)
    _tiers(out, review)
    _chains(out, review)
    _effects(out, review)
    _changes(out, review)
    _beside(out, review)
    _next(out, review)


def _heading(out: Console, text: str) -> None:
    out.print()
    out.print(Text(text, style="bold"))


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _indented(out: Console, table: Table) -> None:
    out.print(Padding(table, (0, 0, 0, 2)))


def _verdict(out: Console, review: Review) -> None:
    said = review.verdict
    colour = "green" if said.answer in _GOOD else "yellow" if said.answer is Answer.APPROVAL else "red"
    title = Text.assemble(
        (f" {said.answer.value.upper()} ", f"bold reverse {colour}"), f"  stack {review.stack}, plan "
    )
    out.print(title + Text(str(said.serial)))
    out.print(Text(f"  {clean(said.summary)}", style="bold"))
    if said.change_class:
        out.print(Text.assemble("  the change is ", (said.change_class.value, _COLOURS[said.change_class])))
    for reason in said.reasons:
        out.print(Text(f"  - {clean(reason)}"))
    for hit in said.hits:
        out.print(Text(f"  - {clean(hit.said)}"))


def _tiers(out: Console, review: Review) -> None:
    if not review.tiers:
        return
    _heading(out, "Tiers")
    numbers = ("nodes", "planned", "held", "P50", "P90", "P99", "violated")
    table = _table("tier", *numbers[:3], *numbers[3:6], "zone lost", "nodes lost", "violated", right=numbers)
    for t in review.tiers:
        table.add_row(
            t.tier,
            _nodes(t),
            str(t.planned_mbps),
            str(t.usable_mbps),
            *(_headroom(h) for h in (t.headroom_p50_pct, t.headroom_p90_pct, t.headroom_p99_pct)),
            _holds(holds=t.zone_loss_survived),
            _holds(holds=t.node_losses_survived),
            _violated(t.violated_before_s, t.violated_after_s),
        )
    _indented(out, table)
    note = "Mbit/s; headroom of what is held after the worst loss; violated: expected over the window, before > after"
    out.print(Text(f"  {note}", style="dim"))


def _nodes(tier: TierRow) -> str:
    if tier.nodes_before == tier.nodes_after:
        return str(tier.nodes_after)
    return f"{tier.nodes_before} > [bold]{tier.nodes_after}[/]"


def _headroom(value: int | None) -> str:
    return f"[red]{percent(value)}[/]" if value is not None and value < 0 else percent(value)


def _holds(*, holds: bool) -> str:
    return "holds" if holds else "[red]does not hold[/]"


def _violated(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return "not known"
    if before == after:
        return minutes(after)
    return f"{minutes(before)} > [bold]{minutes(after)}[/]"


def _chains(out: Console, review: Review) -> None:
    _heading(out, "Chains and zones")
    table = _table("chain", "tiers", "nodes by zone", "weakest", "to P99", right=("to P99",))
    for c in review.chains:
        zones = ", ".join(
            f"{z.zone} {z.nodes_after}"
            if z.nodes_before == z.nodes_after
            else f"{z.zone} {z.nodes_before}>{z.nodes_after}"
            for z in c.zones
        )
        table.add_row(c.chain, " > ".join(c.tiers), zones, c.weakest_tier, _headroom(c.headroom_p99_pct))
    _indented(out, table)


def _effects(out: Console, review: Review) -> None:
    _heading(out, "What it costs and does")
    cost = review.cost
    before, after = cost.before_usd_micro_per_hour, cost.after_usd_micro_per_hour
    difference = f"{change_usd(before, after)} USD/h ({share(before, after)})"
    out.print(Text(f"  {usd(before)} > {usd(after)} USD/h: {difference}, prices of {clean(cost.prices_as_of)}"))
    for m in review.moves:
        who = f", at most {m.clients} clients" if m.clients is not None else ""
        out.print(Text(f"  {m.share_permille / 10:g} % of {m.subject}'s traffic moves{who}, {m.when}"))
    table = _table("profile", "outage", "budget", "cause", right=("outage", "budget"))
    for o in review.outages:
        outage = f"{o.expected_s} s" if o.kept else f"[red]{o.expected_s} s[/]"
        table.add_row(o.profile, outage, f"{o.budget_s} s", escape(clean(o.cause)))
    _indented(out, table)


def _changes(out: Console, review: Review) -> None:
    if not review.changes:
        return
    _heading(out, f"Changes ({len(review.changes)})")
    table = _table("class", "change", "what", "detail")
    for c in review.changes[:_LISTED]:
        table.add_row(
            f"[{_COLOURS[c.change_class]}]{c.change_class.value}[/]",
            c.kind,
            escape(clean(c.subject)),
            escape(clean(c.detail)),
        )
    _indented(out, table)
    left = len(review.changes) - _LISTED
    if left > 0:
        out.print(Text(f"  and {left} more; --output FOLDER writes all", style="dim"))


def _beside(out: Console, review: Review) -> None:
    _heading(out, "Checks")
    engine, drift = review.engine, review.drift
    counted = ", ".join(f"{count} {op}" for op, count in engine.counts) or "no resources"
    stops = [r for r in review.policies.rows if r.stops]
    policies = ", ".join(review.policies.packs) or "no pack was run"
    ages = ", ".join(f"{i.name} {age(i.age_min)}" for i in review.inputs if i.age_min is not None)
    changed = [i.name for i in review.inputs if i.state.startswith("changed")]
    rows = [
        ("engine", clean(engine.note) or counted, "red" if engine.state == "failed" else ""),
        (
            "policies",
            f"{counted_of(len(stops), 'violation')} stopping the apply" if stops else policies,
            "red" if stops else "",
        ),
        (
            "drift",
            clean(drift.note) or f"{counted_of(len(drift.steps), 'resource')} not as the last apply left them",
            "yellow" if drift.steps else "",
        ),
        ("inputs", ages, ""),
    ]
    rows += [("", f"changed since the plan was made: {', '.join(changed)}", "yellow")] if changed else []
    table = Table.grid(padding=(0, 2))
    for name, text, style in rows:
        table.add_row(Text(f"  {name}", style="dim"), Text(text, style=style))
    for r in stops[:_LISTED]:
        table.add_row("", Text(f"{r.policy} on {r.resource}: {r.message}", style="red"))
    out.print(table)


def _next(out: Console, review: Review) -> None:
    said = review.verdict
    _heading(out, "Next")
    out.print(Text(f"  {said.advice}", style="dim"))
    for command in said.commands:
        out.print(Text(f"  {command}", style="cyan"), soft_wrap=True)
    left = int((said.expires_at - review.reviewed_at).total_seconds() // 60)
    when = f"in {left // 60} h {left % 60} min" if left >= 0 else "it has"
    out.print(Text(f"  expires {said.expires_at:%Y-%m-%d %H:%M} UTC ({when}); roll back: {said.rollback}", style="dim"))
