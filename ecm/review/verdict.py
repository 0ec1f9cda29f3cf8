"""The verdict on a plan at the moment of its review, and what to do next."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ecm.model.base import SHOWN
from ecm.model.plan import ChangeKind, Decision, Plan
from ecm.model.review import Answer, ClassedChange, EngineState, Verdict
from ecm.review.classes import worst
from ecm.review.context import Context
from ecm.review.figures import change_usd, counted_of, share

_BY_GUARD: Final = {Decision.REFUSED: Answer.REFUSED, Decision.FROZEN: Answer.FROZEN, Decision.STALE: Answer.STALE}
_ADVICE: Final = {
    Answer.NOTHING: "this plan is applied; check that it stands",
    Answer.READY: "it is approved; this applies exactly this plan",
    Answer.AUTOMATIC: "no person has to decide; these record the approval and apply exactly this plan",
    Answer.APPROVAL: "these approve and apply exactly this plan",
    Answer.BLOCKED: "mend what the policies name, then plan again; an approval does not lift a policy",
    Answer.FAILED: "mend what the engine says, then review again",
    Answer.REFUSED: "change what the limits name, then plan again; an approval does not lift a limit",
    Answer.FROZEN: "wait for the end of the freeze window, then plan again",
    Answer.STALE: "renew the inputs named above, then plan again",
    Answer.EXPIRED: "its forecast is too old to act on: plan again",
    Answer.SUPERSEDED: "it would undo a newer plan: plan again",
}
_WORDS: Final = (
    (ChangeKind.ADD_NODE, "adds {} node{s}"),
    (ChangeKind.REPLACE_NODE, "replaces {} node{s}"),
    (ChangeKind.DRAIN_NODE, "drains {} node{s}"),
    (ChangeKind.UNDRAIN_NODE, "takes {} draining node{s} back"),
    (ChangeKind.REMOVE_NODE, "removes {} drained or dead node{s}"),
    (ChangeKind.MOVE_APPLICATION, "moves {} application{s}"),
)


def verdict(plan: Plan, context: Context, changes: tuple[ClassedChange, ...], digest: str) -> Verdict:
    """Return the verdict on `plan`, known as `digest`, whose classed changes are `changes`."""
    applied = context.applied_known and context.applied == digest
    answer = Answer.NOTHING if applied else _answer(plan, context)
    engine = (step.change_class for step in context.engine.steps)
    return Verdict(
        answer=answer,
        summary="Nothing changes: this plan is applied." if applied else summary(plan),
        change_class=worst([*(c.change_class for c in changes), *engine]),
        approval_needed=answer in (Answer.APPROVAL, Answer.BLOCKED, Answer.FAILED)
        and plan.verdict.decision is Decision.REVIEW,
        decision=plan.verdict.decision,
        reasons=(*(() if applied else plan.verdict.reasons), *_reasons(context)),
        hits=plan.verdict.hits,
        commands=_commands(plan, answer),
        advice=_ADVICE[answer],
        rollback=_rollback(plan),
        rollback_note=_rollback_note(plan),
        digest=digest,
        basis=plan.basis,
        serial=plan.serial,
        made_at=plan.as_of,
        expires_at=plan.expires_at,
    )


def _answer(plan: Plan, context: Context) -> Answer:
    applied = context.applied
    decision = plan.verdict.decision
    cases = (
        (decision in _BY_GUARD, _BY_GUARD.get(decision, Answer.REFUSED)),
        (context.now >= plan.expires_at, Answer.EXPIRED),
        (context.applied_known and applied not in (plan.basis, plan.digest), Answer.SUPERSEDED),
        (any(row.stops for row in context.policies.rows), Answer.BLOCKED),
        (context.engine.state is EngineState.FAILED, Answer.FAILED),
        (context.approved == plan.digest, Answer.READY),
        (decision is Decision.AUTOMATIC, Answer.AUTOMATIC),
    )
    return next((answer for holds, answer in cases if holds), Answer.APPROVAL)


def _reasons(context: Context) -> tuple[str, ...]:
    """Return what a reader has to know beside guard's reasons."""
    broken = sorted({row.policy for row in context.policies.rows if row.stops})
    said = [f"mandatory policies are broken: {', '.join(broken)}"] if broken else []
    if context.engine.state is EngineState.FAILED:
        said.append(f"the engine's preview failed: {context.engine.note}")
    if context.drift.steps:
        said.append(f"{counted_of(len(context.drift.steps), 'resource')} not as the last apply left them: see drift")
    return tuple(said)


def summary(plan: Plan) -> str:
    """Return what changes in one sentence."""
    kinds = Counter(c.kind for c in plan.changes)
    parts = [text.format(kinds[kind], s="" if kinds[kind] == 1 else "s") for kind, text in _WORDS if kinds[kind]]
    for kind, word in ((ChangeKind.CREATE, "creates"), (ChangeKind.REMOVE, "removes")):
        names = [c.subject for c in plan.changes if c.kind is kind]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{word} {', '.join(names[:3])}{more}")
    declared = [
        c.subject for c in plan.changes if c.kind is ChangeKind.CONFIGURE and not c.subject.startswith("object")
    ]
    if declared:
        more = f" and {len(declared) - 3} more" if len(declared) > 3 else ""
        parts.append(f"alters {', '.join(declared[:3])}{more}")
    objects = sum(c.subject.startswith("object ") for c in plan.changes)
    if objects:
        parts.append(f"renews {objects} configuration object{'' if objects == 1 else 's'}")
    what = "; ".join(parts) or "changes nothing: it finishes what an earlier apply began"
    cost = plan.cost
    nodes = change_usd(cost.standing_before, cost.standing_after)
    traffic = change_usd(cost.before - cost.standing_before, cost.after - cost.standing_after)
    split = f"{share(cost.before, cost.after)}; what stands {nodes}, traffic at the forecast load {traffic}"
    return f"{what[0].upper()}{what[1:]}. Cost {change_usd(cost.before, cost.after)} USD/h ({split})."[:500]


def _commands(plan: Plan, answer: Answer) -> tuple[str, ...]:
    stack = f"--stack {plan.stack}"
    if answer is Answer.NOTHING:
        return (f"ecm verify {stack}",)
    if answer is Answer.READY:
        return (f"ecm up {stack}",)
    if answer in (Answer.AUTOMATIC, Answer.APPROVAL):
        return (f"ecm approve {plan.digest} {stack}", f"ecm up {stack}")
    if answer is Answer.FAILED:
        return (f"ecm review {plan.digest} {stack}",)
    return (f"ecm plan {stack}",)


def _rollback(plan: Plan) -> str:
    if plan.basis is None:
        return f"pulumi destroy --stack {plan.stack}"
    return f"ecm rollback {plan.basis[:SHOWN]} --stack {plan.stack}"


def _rollback_note(plan: Plan) -> str:
    if plan.basis is None:
        return "the stack is created by this plan: what undoes it takes everything away again"
    return "plans the nodes and chains that stand now, reviewed like any other; the fleet file's own change is git's"
