"""Keeping a plan, and saying why there is none."""

from __future__ import annotations

from ecm.cli.session import Session, now
from ecm.model.plan import Plan
from ecm.model.refusal import Infeasible
from ecm.store import EntryKind, Store


def keep(session: Session, store: Store, made: Plan) -> str:
    """Keep `made` in the store and the journal, and return its digest."""
    digest = store.put_plan(made)
    verdict = made.verdict.decision.value
    store.record(EntryKind.PLANNED, at=now(), plan=digest, who=session.who, why=f"serial {made.serial}: {verdict}")
    return digest


def infeasible_text(refusals: tuple[Infeasible, ...]) -> str:
    """Return why there is no plan, with the cheapest relaxation of each refusal."""
    return "\n".join(["no plan meets what is asked; nothing was written", *(r.message() for r in refusals)])
