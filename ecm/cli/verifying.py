"""What runs, against a plan."""

from __future__ import annotations

from ecm.cli.session import Session
from ecm.cli.standing import Standing
from ecm.model.plan import Plan
from ecm.model.report import Report
from ecm.store import Store
from ecm.verify import compare


def compared(session: Session, store: Store, plan: Plan, stands: Standing) -> Report:
    """Look at what runs, keep that, and return how it differs from `plan`; AwsError when AWS cannot be asked."""
    taken_at = session.now()
    seen = session.edges.observe(
        {"region": plan.desired.region, **stands.outputs},
        stack=session.stack,
        taken_at=taken_at,
        unavailable=store.unavailable(taken_at),
        previous=store.observed(),
    )
    store.set_observed(seen)
    return compare(plan, seen)
