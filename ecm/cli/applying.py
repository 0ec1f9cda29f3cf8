"""Making an approved plan so, and going on with another shape or zone where EC2 has no capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecm.cli.approval import approve_plan, check_age, check_place, check_verdict
from ecm.cli.content import check_content
from ecm.cli.exits import Code, CommandError
from ecm.cli.guardrails import refuse_broken
from ecm.cli.keeping import infeasible_text, keep
from ecm.cli.progress import engine_progress
from ecm.cli.retry import beyond_approval, expiry, marks
from ecm.cli.session import Session
from ecm.cli.standing import Standing, ask_stack
from ecm.engine import Options, Outcome, Stack, capacity_refusals
from ecm.model.base import SHOWN
from ecm.model.links import Topic, link
from ecm.model.plan import Plan
from ecm.store import Attempt, EntryKind, Store

MAX_TRIES: Final = 4
"""Plans applied in one run: the approved one and three that avoid places without capacity."""


@dataclass(frozen=True)
class Job:
    """One run of `ecm up`."""

    session: Session
    store: Store
    stack: Stack
    telemetry: Path | None
    options: Options
    previewed: str | None = None
    """Digest of a plan whose preview has kept to the guardrails in this run."""


def approved_plan(session: Session, store: Store) -> Plan:
    """Return the plan that the stack's configuration names; CommandError when none is, or no approval is on record."""
    digest = session.settings.approved
    if digest is None:
        raise CommandError(
            f"no plan is approved for stack {session.stack}\n"
            f"    Make one with ecm plan, read it with ecm review, then: ecm approve latest --stack {session.stack}",
            Code.REVIEW,
            topic=Topic.NOT_APPROVED,
        )
    plan = store.plan(digest)
    if store.approval(digest) is None:
        raise CommandError(
            f"plan {digest} stands in {session.settings.path.name}, but the journal has no approval of it\n"
            f"    Approve it with: ecm approve {digest} --stack {session.stack}",
            Code.REVIEW,
            topic=Topic.NOT_APPROVED,
        )
    return plan


def check_ready(session: Session, plan: Plan, stands: Standing) -> None:
    """Refuse a plan that guard stopped, that would undo a newer one, has expired, or was judged by other policies.

    The plan that is applied already may be applied again at any time: that mends, and decides nothing.
    """
    check_verdict(plan)
    check_place(plan, stands)
    if plan.digest != stands.applied:
        check_age(plan, session.now())
        check_content(session, plan)


def check_preview(outcome: Outcome) -> None:
    """Raise CommandError when a preview broke the guardrails or failed."""
    refuse_broken(outcome)
    if not outcome.ok:
        told = "\n".join(f"    {d.message}" for d in outcome.errors) or f"    {outcome.output[-2000:]}"
        raise CommandError(f"the preview failed:\n{told}")


def apply(job: Job, plan: Plan) -> tuple[Plan, Outcome]:
    """Apply `plan`, or within its approval a plan that avoids places without capacity; return what was applied.

    CommandError when the engine fails for another reason, or when no plan within the approval is left; what runs then
    is kept on record, and the next plan goes on from it.
    """
    approved = plan
    for _ in range(MAX_TRIES):
        try:
            outcome = _attempt(job, plan)
        except CommandError:  # against the guardrails: what a person approved must not stay replaced by it
            _approve_again(job, approved)
            raise
        if outcome.ok:
            job.store.record(EntryKind.APPLIED, at=job.session.now(), plan=plan.digest, who=job.session.who)
            return plan, outcome
        failed = _marked(job, plan, outcome)
        if not failed:
            refuse_broken(outcome)
            raise CommandError(_failure(plan, outcome))
        try:
            plan = _next_plan(job, approved, plan)
        except CommandError:
            _approve_again(job, approved)
            raise
    _approve_again(job, approved)
    job.store.record(EntryKind.FAILED, at=job.session.now(), plan=plan.digest, who=job.session.who, why="no capacity")
    raise CommandError(
        f"EC2 had no capacity {MAX_TRIES} times in a row; plan again later: ecm plan --stack {plan.stack}",
        topic=Topic.NO_CAPACITY,
    )


def _approve_again(job: Job, approved: Plan) -> None:
    """Let the plan that a person approved stand again: what was tried in its place was for want of capacity only."""
    if job.session.settings.approved == approved.digest:
        return
    stands = ask_stack(job.session, job.store)
    why = "no capacity for the plans tried in its place"
    approve_plan(job.session, job.store, stands, (approved.digest, job.session.who, why))


def _attempt(job: Job, plan: Plan) -> Outcome:
    """Apply `plan` once its preview has kept to the guardrails: the engine judges the stack as a whole only at the end.

    A preview that fails for another reason is left to the `up` itself, which fails the same way and says so.
    """
    if job.options.policy_packs and plan.digest != job.previewed:
        with engine_progress(job.session.err, f"guardrails: plan {plan.serial}") as listen:
            refuse_broken(job.stack.preview(job.options, on_progress=listen))
    job.store.set_attempted(Attempt(plan=plan.digest, at=job.session.now()))
    job.store.record(EntryKind.ATTEMPTED, at=job.session.now(), plan=plan.digest, who=job.session.who)
    options = replace(job.options, message=f"ecm plan {plan.serial} {plan.digest[:SHOWN]}")
    with engine_progress(job.session.err, f"up: plan {plan.serial}") as listen:
        return job.stack.up(options, on_progress=listen)


def _marked(job: Job, plan: Plan, outcome: Outcome) -> bool:
    """Mark what EC2 refused as unavailable; False when the failure has another reason."""
    refusals = capacity_refusals(outcome.diagnostics)
    limits = _limits_minutes(job.session)
    found = marks(plan, refusals, expiry(job.session.now(), limits))
    if not found:
        why = _first_error(outcome)
        job.store.record(EntryKind.FAILED, at=job.session.now(), plan=plan.digest, who=job.session.who, why=why)
        return False
    places = ", ".join(f"{m.shape} in {m.zone}" for m in found)
    job.store.mark_unavailable(found, now=job.session.now())
    job.store.record(EntryKind.UNAVAILABLE, at=job.session.now(), plan=plan.digest, who=job.session.who, why=places)
    job.session.note(f"EC2 has no {places}: marked for {limits} min, planning again")
    return True


def _limits_minutes(session: Session) -> int:
    from ecm import intent  # noqa: PLC0415 - only after a failure

    return intent.load(session.root, session.stack).limits.unavailable_ttl_min


def _next_plan(job: Job, approved: Plan, failed: Plan) -> Plan:
    """Return a plan that goes on from `failed` without the marked places, approved where the approval covers it."""
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    session, store = job.session, job.store
    inputs = deciding.read_inputs(session, job.telemetry)
    stands = replace(ask_stack(session, store), previous=failed)
    world = deciding.make_world(session, store, inputs, stands, session.now())
    outcome = deciding.make_plan(session, inputs, world, deciding.predictor(session, inputs, store, world.observed))
    if outcome.plan is None:
        store.record(
            EntryKind.FAILED,
            at=session.now(),
            plan=failed.digest,
            who=session.who,
            why="no capacity, and no other plan",
        )
        raise CommandError(
            f"EC2 has no capacity, and without those places {infeasible_text(outcome.infeasible)}\n"
            f"    Part of plan {failed.serial} may run. When EC2 has capacity again, end it with: "
            f"ecm up --stack {failed.stack}; or mend what is asked and plan again",
            topic=Topic.NO_CAPACITY,
        )
    made = outcome.plan
    keep(session, store, made, world.peers)
    step = inputs.intent.limits.approval.automatic_budget_step_usd_per_hour
    reasons = beyond_approval(approved, made, world.observed, step)
    if reasons:
        raise CommandError(
            "EC2 has no capacity; the plan that avoids it is more than what was approved:\n"
            + "".join(f"    {reason}\n" for reason in reasons)
            + f"    Read it with ecm review, then: ecm approve {made.digest} --stack {made.stack}",
            Code.REVIEW,
            topic=Topic.NO_CAPACITY,
        )
    why = f"within the approval of {approved.digest}: no capacity"
    approve_plan(session, store, stands, (made.digest, session.who, why))
    return made


def _first_error(outcome: Outcome) -> str:
    return outcome.errors[0].message.splitlines()[0] if outcome.errors else f"exit code {outcome.exit_code}"


def _failure(plan: Plan, outcome: Outcome) -> str:
    if outcome.locked:
        return (
            f"stack {plan.stack} is locked by another run of Pulumi; wait for it, or run: pulumi cancel\n"
            f"    More: {link(Topic.LOCKED)}"
        )
    if outcome.result == "cancelled":
        return f"interrupted: part of plan {plan.serial} may run; finish it with: ecm up --stack {plan.stack}"
    told = [f"    {d.message}" for d in outcome.errors if d.urn] or [f"    {d.message}" for d in outcome.errors]
    said = "\n".join(told[:5]) or f"    {outcome.output[-2000:]}"
    return f"Pulumi could not apply plan {plan.serial} ({plan.digest}):\n{said}"
