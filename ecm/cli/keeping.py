"""Keeping a plan, and saying why there is none."""

from __future__ import annotations

from ecm.cli.session import Session
from ecm.model.links import Topic, link
from ecm.model.plan import Plan
from ecm.model.refusal import Infeasible
from ecm.model.rendered import PeerTable
from ecm.store import EntryKind, Store


def keep(session: Session, store: Store, made: Plan, peers: tuple[PeerTable, ...]) -> str:
    """Keep the peer tables, then `made`, then the journal's entry of it, and return its digest."""
    for table in peers:
        store.put_peers(table)
    digest = store.put_plan(made)
    verdict = made.verdict.decision.value
    store.record(
        EntryKind.PLANNED, at=session.now(), plan=digest, who=session.who, why=f"serial {made.serial}: {verdict}"
    )
    return digest


def infeasible_text(refusals: tuple[Infeasible, ...]) -> str:
    """Return why there is no plan, with the cheapest relaxation of each refusal."""
    return "\n".join(
        ["no plan meets what is asked", *(r.message() for r in refusals), f"    More: {link(Topic.INFEASIBLE)}"]
    )
