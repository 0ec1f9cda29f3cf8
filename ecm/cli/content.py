"""What a plan was reviewed with: policies, catalog, guardrails and versions must be the same when it is applied."""

from __future__ import annotations

from ecm import intent
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.model.links import Topic
from ecm.model.plan import Plan


def check_content(session: Session, plan: Plan) -> None:
    """Refuse a plan as stale when what it was judged by has changed since, and name each difference.

    Fleet, telemetry and observations are not among it: they are what the plan decided from, and its own content says
    what it decided. Rendered configuration is compared by the Pulumi program, byte for byte.
    """
    changed = plan.inputs.differences(intent.content(session.root, session.stack))
    if changed:
        raise CommandError(
            f"plan {plan.digest} (serial {plan.serial}) is stale: what it was judged by has changed since\n"
            + "".join(f"    {difference}\n" for difference in changed)
            + f"    Plan again: ecm plan --stack {plan.stack}; or bring back what stood then",
            Code.STALE,
            topic=Topic.STALE_CONTENT,
        )
