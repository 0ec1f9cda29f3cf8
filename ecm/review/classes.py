"""What class a change has: of the plan's own changes, and of the engine's operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ecm.model.plan import Change, ChangeKind, Plan
from ecm.model.review import WORST_FIRST, ChangeClass, ClassedChange

_OF_KIND: Final = {
    ChangeKind.CREATE: ChangeClass.ADDITIVE,
    ChangeKind.ADD_NODE: ChangeClass.ADDITIVE,
    ChangeKind.UNDRAIN_NODE: ChangeClass.ADDITIVE,
    ChangeKind.REPLACE_NODE: ChangeClass.DRAINING,
    ChangeKind.DRAIN_NODE: ChangeClass.DRAINING,
    ChangeKind.REMOVE_NODE: ChangeClass.DRAINING,
    ChangeKind.MOVE_APPLICATION: ChangeClass.DISRUPTIVE,
    ChangeKind.REMOVE: ChangeClass.DISRUPTIVE,
}
_HARMLESS: Final = ("tags", "tagsAll", "description", "alarmDescription", "__defaults")
"""Properties whose change touches no packet."""
_CARRIES: Final = (
    "aws:ec2/",
    "aws:lb/",
    "aws:route53/record:",
)
"""Types that carry traffic or lead to what does."""


def classed(plan: Plan, previous: Plan | None) -> tuple[ClassedChange, ...]:
    """Return the plan's changes with their classes, worst first, then in the plan's order."""
    rows = [
        ClassedChange(change_class=_of(c, plan, previous), kind=c.kind.value, subject=c.subject, detail=c.detail)
        for c in plan.changes
    ]
    return tuple(sorted(rows, key=lambda r: WORST_FIRST.index(r.change_class)))


def worst(classes: Iterable[ChangeClass]) -> ChangeClass | None:
    """Return the worst class; None where there is no change."""
    return min(classes, key=WORST_FIRST.index, default=None)


def _of(change: Change, plan: Plan, previous: Plan | None) -> ChangeClass:
    if change.kind is not ChangeKind.CONFIGURE:
        return ChangeClass.ADDITIVE if change.additive else _OF_KIND[change.kind]
    if change.subject == "network":
        return ChangeClass.ADDITIVE if _network_grows(plan, previous) else ChangeClass.DISRUPTIVE
    if change.subject == "overlay":  # people approve it, but nothing that flows is touched by it
        return ChangeClass.ADDITIVE
    return ChangeClass.COSMETIC if change.additive else ChangeClass.DISRUPTIVE


def _network_grows(plan: Plan, previous: Plan | None) -> bool:
    """Return whether the network keeps all that it had."""
    if previous is None:
        return True
    before, after = previous.desired.network, plan.desired.network
    same = {name: getattr(after, name) for name in ("vpc_cidr", "overlay_cidr", "vpc_id", "internet_gateway_id")}
    return (
        all(getattr(before, name) == value for name, value in same.items())
        and set(before.subnets) <= set(after.subnets)
        and set(before.vpc_routes) <= set(after.vpc_routes)
    )


def of_step(op: str, kind: str, properties: tuple[str, ...]) -> ChangeClass:
    """Return the class of an engine operation on a resource of type `kind`, by what it changes.

    A node that goes has drained before: the plan's own changes say what that means to its sessions, and the engine's
    deletion of its parts is a draining one. A replacement of what carries traffic is not foreseen by any plan.
    """
    carries = kind.startswith(_CARRIES)
    if "replace" in op:
        return ChangeClass.DISRUPTIVE if carries else ChangeClass.COSMETIC
    if op.startswith("delete"):
        return ChangeClass.DRAINING if carries else ChangeClass.COSMETIC
    if op in ("create", "import"):
        return ChangeClass.ADDITIVE
    named = {p.partition(".")[0].partition("[")[0] for p in properties}
    return ChangeClass.COSMETIC if not carries or named <= set(_HARMLESS) else ChangeClass.ADDITIVE
