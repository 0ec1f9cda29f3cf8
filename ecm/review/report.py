"""The report of a plan in Markdown: the verdict and what to do first, then everything it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ecm.model.plan import Decision, Plan
from ecm.review.figures import plain
from ecm.review.sections import applications, changes, cost, forecasts, inputs, tiers, why, zone_loss

_TITLES: Final = {
    Decision.AUTOMATIC: "within the automatic limits",
    Decision.REVIEW: "needs approval",
    Decision.REFUSED: "refused",
    Decision.FROZEN: "frozen",
    Decision.STALE: "inputs too old",
}


@dataclass(frozen=True)
class Context:
    """What a report says beyond the plan."""

    now: datetime
    approved: str | None = None
    """Digest in the stack's configuration."""
    applied: str | None = None
    """Digest of what runs, by the stack's own output; none: nothing, or not known."""
    applied_known: bool = False
    """Whether the stack was asked."""
    preview: tuple[tuple[str, int], ...] | None = None
    """The engine's own count of operations; none: it was not asked."""


def markdown(plan: Plan, context: Context) -> str:
    """Return the whole report of `plan` as Markdown."""
    parts = [
        _head(plan, context),
        tiers(plan),
        zone_loss(plan),
        cost(plan),
        changes(plan),
        _preview(context),
        applications(plan),
        forecasts(plan),
        why(plan),
        inputs(plan, context.now),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(plan: Plan, context: Context) -> list[str]:
    verdict = plan.verdict
    title = "finishes what was begun" if _finishes(plan) else _TITLES[verdict.decision]
    lines = [f"# Plan {plan.serial} of stack {plan.stack}: {title}", ""]
    lines += [f"- {plain(reason)}" for reason in verdict.reasons]
    lines += [
        f"- limit `{hit.limit}`: have {plain(hit.have)}, allowed {plain(hit.allowed)}; {plain(hit.remedy)}"
        for hit in verdict.hits
    ]
    if verdict.reasons or verdict.hits:
        lines.append("")
    lines += [f"**Next:** {next_step(plan, context)}", ""]
    lines += [
        f"- digest `{plan.digest}`",
        f"- replaces {f'`{plan.basis}`' if plan.basis else 'nothing: the stack is created'}",
        f"- made {_time(plan.as_of)}, expires {_time(plan.expires_at)} ({_left(plan, context.now)})",
    ]
    return lines


def next_step(plan: Plan, context: Context) -> str:
    """Return the one thing to do with `plan` now."""
    again = f"`ecm plan --stack {plan.stack}`"
    decision = plan.verdict.decision
    applied = context.applied
    cases = (
        (
            context.applied_known and applied == plan.digest,
            f"nothing: this plan is applied; check it with `ecm verify --stack {plan.stack}`",
        ),
        (
            decision is Decision.REFUSED,
            f"change what the limits above name, then {again}; approval does not lift a limit",
        ),
        (decision is Decision.FROZEN, f"wait for the end of the freeze window, then {again}"),
        (decision is Decision.STALE, f"renew the inputs named above, then {again}"),
        (context.now >= plan.expires_at, f"plan again, this one has expired: {again}"),
        (
            context.applied_known and applied not in (plan.basis, plan.digest),
            f"plan again, another plan was applied since: {again}",
        ),
        (context.approved == plan.digest, f"it is approved; apply it with `ecm up --stack {plan.stack}`"),
        (True, f"`ecm approve {plan.digest} --stack {plan.stack}`"),
    )
    return next(text for holds, text in cases if holds)


def _finishes(plan: Plan) -> bool:
    """Return whether the plan asks for nothing new: such a plan is kept only to finish an `up` that failed half-way."""
    return not plan.changes and plan.verdict.passed


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _left(plan: Plan, now: datetime) -> str:
    minutes = int((plan.expires_at - now).total_seconds() // 60)
    return f"in {minutes // 60} h {minutes % 60} min" if minutes >= 0 else "expired"


def _preview(context: Context) -> list[str]:
    if context.preview is None:
        return ["## The engine's preview", "", "Not made: run `ecm preview` once the plan is approved."]
    counted = ", ".join(f"{count} {op}" for op, count in context.preview) or "no resources"
    return ["## The engine's preview", "", f"Pulumi counts: {counted}."]
