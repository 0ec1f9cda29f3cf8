"""The gate in front of every declaration: only the plan that was reviewed, approved and still fits is applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pulumi

from ecm.model.links import Topic, link
from ecm.model.manifest import Manifest
from ecm.model.plan import Content, Plan
from ecm.model.rendered import Rendered

READ_OUTPUTS = "pulumi:pulumi:readStackOutputs"
"""The engine's own function behind a StackReference; unlike a reference it answers before anything is declared."""


NOT_SIGNED = b"not signed: this is the review of a plan that nobody has approved yet"
"""Stands for the signed manifest in the preview of such a plan."""


class GateRefused(pulumi.RunError):
    """The plan may not be applied; the message says what is wrong, where, how to mend it, and where more is said."""

    def __init__(self, message: str, topic: str) -> None:
        super().__init__(f"{message} More: {link(topic)}")


@dataclass(frozen=True)
class Settings:
    """What the stack's configuration says."""

    project: str
    stack: str
    region: str
    approved: str
    """Digest of the approved plan."""
    store: str
    """Folder or S3 URL."""
    signers: tuple[str, ...] = ()
    """Public keys whose signature nodes accept."""
    reviewing: bool = False
    """A preview of a plan that nobody has approved or signed yet."""


def settings() -> Settings:
    """Read the stack's configuration; GateRefused when no plan is approved."""
    config, stack = pulumi.Config(), pulumi.get_stack()
    # Only while nothing can be applied: an `up` reads the approval and nothing else.
    reviewed = config.get("reviewedPlan") if pulumi.runtime.is_dry_run() else None
    approved = reviewed or config.get("approvedPlan")
    if not approved:
        raise GateRefused(
            f"Stack {stack}: no plan is approved ({config.name}:approvedPlan in stacks/Pulumi.{stack}.yaml is empty). "
            f"Make one with `ecm plan --stack {stack}`, read it with `ecm review`, approve it with `ecm approve`.",
            Topic.NOT_APPROVED,
        )
    return Settings(
        project=pulumi.get_project(),
        stack=stack,
        region=pulumi.Config("aws").require("region"),
        approved=approved,
        store=config.get("store") or ".ecm/store",
        signers=tuple((config.get("signers") or "").split()),
        reviewing=reviewed is not None,
    )


def applied_digest(stack: Settings) -> str | None:
    """Return the digest of the plan that the stack says is applied; none on a stack without outputs."""
    name = f"{pulumi.get_organization()}/{stack.project}/{stack.stack}"
    answer = pulumi.runtime.invoke(READ_OUTPUTS, {"name": name})
    value = (answer.value or {}).get("outputs", {}).get("planDigest")
    return None if value is None else str(value)


def signature(
    stack: Settings, read: Callable[[], bytes], opened: Callable[[bytes, tuple[str, ...]], Manifest]
) -> tuple[bytes, Manifest | None]:
    """Return the signed manifest that `read` finds, and it as `opened` by a signer of the stack; a review has none."""
    if stack.reviewing:
        return NOT_SIGNED, None
    held = read()
    return held, opened(held, stack.signers)


def check_gate(plan: Plan, stack: Settings, applied: str | None) -> None:
    """Refuse a plan that was not approved, was not passed by guard, is another stack's, or replaces another plan."""
    for problem, topic in (
        (_approval(plan, stack), Topic.CHANGED_PLAN),
        (_place(plan, stack), Topic.OTHER_STACK),
        (_verdict(plan), next((hit.limit for hit in plan.verdict.hits), Topic.NOT_APPROVED)),
        (_basis(plan, applied), Topic.SUPERSEDED),
    ):
        if problem is not None:
            raise GateRefused(f"Stack {stack.stack}: {problem}", topic)


def _approval(plan: Plan, stack: Settings) -> str | None:
    if plan.digest == stack.approved:
        return None
    return (
        f"the plan in the store has the digest {plan.digest}, but {stack.approved} is approved: the stored plan was "
        "changed after its approval. Make a new plan with `ecm plan` and approve that one."
    )


def _place(plan: Plan, stack: Settings) -> str | None:
    if plan.stack != stack.stack or plan.desired.stack != stack.stack:
        other = plan.stack if plan.stack != stack.stack else plan.desired.stack
        return (
            f"the approved plan {plan.digest} (serial {plan.serial}) is for the stack {other}. Approve a plan that was "
            f"made with `ecm plan --stack {stack.stack}`."
        )
    if plan.desired.region != stack.region:
        return (
            f"the approved plan {plan.digest} is for the region {plan.desired.region}, but aws:region is "
            f"{stack.region}. Correct aws:region in stacks/Pulumi.{stack.stack}.yaml, or the fleet's region."
        )
    return None


def _verdict(plan: Plan) -> str | None:
    if plan.verdict.passed:
        return None
    hits = "; ".join(f"{h.limit} is {h.have}, allowed {h.allowed}: {h.remedy}" for h in plan.verdict.hits)
    return (
        f"guard did not pass the plan {plan.digest} (serial {plan.serial}): {plan.verdict.decision.value}"
        f"{', ' + hits if hits else ''}. Change what the limit names and plan again; approval does not lift a limit."
    )


def _basis(plan: Plan, applied: str | None) -> str | None:
    if applied in (plan.basis, plan.digest):
        return None
    return (
        f"the approved plan {plan.digest} (serial {plan.serial}) replaces {plan.basis or 'an empty stack'}, but "
        f"{applied or 'nothing'} is applied: another plan was applied since it was made, and this one would undo it. "
        "Plan again with `ecm plan` and approve the new plan."
    )


def check_content(plan: Plan, stands: Callable[[], Content], applied: str | None) -> None:
    """Refuse a plan that was judged by other policies, prices, guardrails or versions than `stands` returns.

    What is applied already may be applied again at any time: that mends, and decides nothing.
    """
    if plan.digest == applied:
        return
    changed = plan.inputs.differences(stands())
    if changed:
        raise GateRefused(
            f"Stack {plan.stack}: the approved plan {plan.digest} (serial {plan.serial}) is stale: what it was judged "
            f"by has changed since: {'; '.join(changed)}. Plan again with `ecm plan` and approve the new plan, or "
            "bring back what stood then.",
            Topic.STALE_CONTENT,
        )


def check_rendered(plan: Plan, rendered: Rendered, manifest: Manifest | None) -> None:
    """Refuse configuration that is not what was reviewed and signed: templates or peers changed since.

    Without a manifest, in a review, there is no signature to check.
    """
    reviewed = {config.key: config.digest for config in plan.configs}
    now = {config.key: config.digest for config in rendered.objects}
    if manifest is not None and _other(plan, manifest, reviewed):
        raise GateRefused(
            f"Stack {plan.stack}: what is signed as plan {plan.digest} is another plan's configuration, of "
            f"{manifest.plan}. Approve the plan again: ecm approve {plan.digest} --stack {plan.stack}.",
            Topic.NOT_SIGNED,
        )
    differing = sorted(key for key in reviewed.keys() | now.keys() if reviewed.get(key) != now.get(key))
    if not differing:
        return
    first = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    raise GateRefused(
        f"Stack {plan.stack}: the configuration object {first}{more} is not what was reviewed "
        f"({reviewed.get(first, 'not in the plan')} in the plan, {now.get(first, 'not rendered')} now): templates, "
        "peers or ECM's version changed since. Plan again with `ecm plan` and approve the new plan, or go back to the "
        "version that made this one.",
        Topic.CHANGED_CONFIGURATION,
    )


def _other(plan: Plan, manifest: Manifest, reviewed: dict[str, str]) -> bool:
    signed = {item.key: item.digest for item in manifest.objects}
    return (manifest.stack, manifest.plan, signed) != (plan.stack, plan.digest, reviewed)


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turn expected `errors` of an earlier step into one message without a traceback."""
    try:
        yield
    except errors as error:
        raise GateRefused(f"{error}.", Topic.UNREADABLE) from None
