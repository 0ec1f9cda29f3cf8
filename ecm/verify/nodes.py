"""Differences between planned nodes and the instances that stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ecm.model.demand import Severity
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode
from ecm.model.plan import Node, NodeState, Plan, Slot
from ecm.model.report import Finding

_GONE: Final = (InstanceState.MISSING, InstanceState.TERMINATED, InstanceState.SHUTTING_DOWN)
_STOPPED: Final = (InstanceState.STOPPED, InstanceState.STOPPING)
_REPLACE: Final = "run ecm plan: it puts a new generation into the slot; then approve and ecm up"
_FINISH: Final = "this plan is not applied, or not to its end: run ecm up"
_REFRESH: Final = "run ecm up --refresh: it reads what stands and puts it right"


def node_findings(plan: Plan, observed: Observed) -> Iterator[Finding]:
    """Yield what is wrong with the nodes of `plan`, and every node that is not of it."""
    planned = {(s.id, n.generation): (s, n) for t in plan.desired.tiers for s in t.slots for n in s.nodes}
    remedy = _REPLACE if observed.applied == plan.digest else _FINISH
    for key, (slot, node) in sorted(planned.items()):
        yield from _node(slot, node, observed.node(*key), remedy)
    seen: set[tuple[str, int]] = set()
    for stranger in observed.nodes:
        key = (stranger.slot, stranger.generation)
        if (key not in planned or key in seen) and stranger.state not in _GONE:
            yield _foreign(stranger, twin=key in planned)
        seen.add(key)


def _subject(slot: str, generation: int) -> str:
    return f"slot {slot} generation {generation}"


def _foreign(node: ObservedNode, *, twin: bool) -> Finding:
    what = "a second instance has the tags of this node" if twin else "no slot of the plan has this node"
    return Finding(
        severity=Severity.WARNING,
        subject=_subject(node.slot, node.generation),
        kind="foreign",
        detail=f"{node.instance_id} ({node.shape or 'unknown shape'}, {node.state.value}): {what}",
        remedy="run ecm up to finish an interrupted change; if it stays, terminate it or remove its ecm: tags",
    )


def _node(slot: Slot, node: Node, seen: ObservedNode | None, replace: str) -> Iterator[Finding]:
    subject = _subject(slot.id, node.generation)
    if seen is None or seen.state in _GONE:
        detail = f"{seen.instance_id} is {seen.state.value}" if seen else "no instance has its tags"
        yield _finding(Severity.ERROR, subject, "instance-missing", detail, replace)
        return
    if seen.state in _STOPPED:
        detail = f"{seen.instance_id} is {seen.state.value}"
        yield _finding(Severity.ERROR, subject, "instance-stopped", detail, f"start it, or {_REPLACE}")
    yield from _make(slot, node, seen, subject)
    yield from _service(node, seen, subject)


def _make(slot: Slot, node: Node, seen: ObservedNode, subject: str) -> Iterator[Finding]:
    """Yield where the instance is another than the planned one."""
    for kind, have, want in (
        ("wrong-shape", seen.shape, node.shape),
        ("wrong-zone", seen.zone, slot.zone),
        ("wrong-address", seen.private_ip, str(node.private_ip)),
    ):
        if have is not None and have != want:
            detail = f"{seen.instance_id} has {have}, planned is {want}"
            yield _finding(Severity.ERROR, subject, kind, detail, f"terminate it; then {_REPLACE}")
    if seen.source_dest_check:
        detail = f"{seen.instance_id} has the source/destination check on: EC2 drops everything that it forwards"
        yield _finding(Severity.ERROR, subject, "source-dest-check", detail, _REFRESH)


def _service(node: Node, seen: ObservedNode, subject: str) -> Iterator[Finding]:
    """Yield where a running node does not serve."""
    draining = node.state is NodeState.DRAINING
    if seen.registered is False and not draining:
        detail = f"{seen.instance_id} is not a target of every class: it gets no new sessions"
        yield _finding(Severity.ERROR, subject, "unregistered", detail, _REFRESH)
    if seen.state in _STOPPED or draining:
        return
    if seen.health is Health.UNHEALTHY:
        since = f" since {seen.unhealthy_since.isoformat()}" if seen.unhealthy_since else ""
        detail = f"{seen.instance_id} is unhealthy{since}"
        yield _finding(Severity.ERROR, subject, "unhealthy", detail, f"look at its log; if it stays, {_REPLACE}")
    elif seen.state is InstanceState.PENDING or seen.health is Health.NEW:
        detail = f"{seen.instance_id} starts"
        yield _finding(Severity.INFO, subject, "starting", detail, "wait for its health check, then verify again")
    elif seen.health is Health.UNKNOWN:
        detail = f"the health of {seen.instance_id} is not known yet"
        yield _finding(Severity.INFO, subject, "health-unknown", detail, "verify again in a minute")


def _finding(severity: Severity, subject: str, kind: str, detail: str, remedy: str) -> Finding:
    return Finding(severity=severity, subject=subject, kind=kind, detail=detail, remedy=remedy)
