"""Who may approve what: a plan that guard has passed, that has not expired, and that fits what is applied."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ecm.cli.content import check_content
from ecm.cli.exits import OF_DECISION, Code, CommandError
from ecm.cli.session import Session
from ecm.cli.settings import write_approved
from ecm.cli.signers import sign_off
from ecm.cli.standing import Standing
from ecm.model.links import Topic
from ecm.model.plan import Plan
from ecm.store import EntryKind, Store


def approve_plan(session: Session, store: Store, stands: Standing, what: tuple[str, str, str]) -> Path:
    """Approve `what` = (digest, who, why) and return the configuration file; CommandError when it may not be.

    It is signed, then written into the journal: what shows in the configuration is always on record, and nodes take it.
    """
    digest, who, why = what
    chosen = store.plan(digest)
    check_verdict(chosen)
    check_place(chosen, stands)
    if digest != stands.applied:
        check_age(chosen, session.now())
        check_content(session, chosen)
    signers = sign_off(session, store, chosen)
    store.record(EntryKind.APPROVED, at=session.now(), plan=digest, who=who, why=why)
    return write_approved(session.root, session.stack, digest, signers)


def check_verdict(plan: Plan) -> None:
    """Refuse a plan that guard has not passed, with the exit code of its verdict."""
    if plan.verdict.passed:
        return
    hits = "".join(f"\n    {h.said}" for h in plan.verdict.hits)
    raise CommandError(
        f"plan {plan.digest} (serial {plan.serial}): guard says {plan.verdict.decision.value}; approval does not "
        f"lift a limit{hits}\n    Then plan again: ecm plan --stack {plan.stack}",
        OF_DECISION[plan.verdict.decision],
    )


def check_age(plan: Plan, at: datetime) -> None:
    """Refuse a plan that has expired: its forecast is too old to act on."""
    if at >= plan.expires_at:
        raise CommandError(
            f"plan {plan.digest} (serial {plan.serial}) expired at {plan.expires_at.isoformat()}\n"
            f"    Plan again: ecm plan --stack {plan.stack}",
            Code.STALE,
            topic=Topic.EXPIRED,
        )


def check_place(plan: Plan, stands: Standing) -> None:
    """Refuse a plan that replaces something else than what is applied: it would undo a newer one."""
    if stands.applied in (plan.basis, plan.digest):
        return
    raise CommandError(
        f"plan {plan.digest} (serial {plan.serial}) replaces {plan.basis or 'an empty stack'}, but "
        f"{stands.applied or 'nothing'} is applied: it would undo a newer plan\n"
        f"    Plan again: ecm plan --stack {plan.stack}",
        Code.STALE,
        topic=Topic.SUPERSEDED,
    )
