"""What a plan was reviewed with: policies, catalog, guardrails and version must be the same when it is applied."""

from __future__ import annotations

from ecm import __version__, intent
from ecm.cli.exits import Code, CommandError
from ecm.cli.guardrails import PACK, pack_digest
from ecm.cli.session import Session
from ecm.model.base import SHOWN, digest
from ecm.model.plan import Plan


def check_content(session: Session, plan: Plan) -> None:
    """Refuse a plan as stale when what it was judged by has changed since, and name each difference.

    Fleet, telemetry and observations are not among it: they are what the plan decided from, and its own content says
    what it decided. Rendered configuration is compared by the Pulumi program, byte for byte.
    """
    stands = intent.load(session.root, session.stack)
    made_with = plan.inputs
    pairs = (
        ("policies/qos.yaml", made_with.qos, digest(stands.qos)),
        ("policies/security.yaml", made_with.security, digest(stands.security)),
        ("policies/limits.yaml", made_with.limits, digest(stands.limits)),
        ("policies/catalog.yaml", made_with.catalog, digest(stands.catalog)),
        (str(PACK), made_with.guardrails or "none", pack_digest(session.root) or "none"),
        ("the version of ECM", made_with.ecm_version, __version__),
    )
    changed = [f"    {what}: {before[:SHOWN]} then, {now[:SHOWN]} now" for what, before, now in pairs if before != now]
    if changed:
        raise CommandError(
            f"plan {plan.digest} (serial {plan.serial}) is stale: what it was judged by has changed since\n"
            + "\n".join(changed)
            + f"\n    Plan again: ecm plan --stack {plan.stack}; or bring back what stood then",
            Code.STALE,
        )
