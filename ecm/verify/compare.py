"""All differences between a plan and a snapshot, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ecm.model.demand import Severity
from ecm.model.observed import Observed, ObservedRoute
from ecm.model.plan import Plan
from ecm.model.report import Finding, Report
from ecm.verify.nodes import node_findings

_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_REFRESH: Final = "run ecm up --refresh: it reads what stands and declares what is missing"


def compare(plan: Plan, observed: Observed) -> Report:
    """Return every difference between `plan` and `observed`, errors first; none: the stack is as planned.

    A node that drains may fail its health check: it answers so on purpose. What is new or not known yet is an
    information, not a difference.
    """
    findings = [
        *_applied(plan, observed),
        *node_findings(plan, observed),
        *_routes(plan, observed),
        *_records(plan, observed),
        *_configs(plan, observed),
    ]
    findings.sort(key=lambda f: (_ORDER.index(f.severity), f.subject, f.kind))
    return Report(plan=plan.digest, findings=tuple(findings))


def _applied(plan: Plan, observed: Observed) -> Iterator[Finding]:
    if observed.applied != plan.digest:
        have = f"{observed.applied} is applied" if observed.applied else "nothing is applied"
        yield Finding(
            severity=Severity.WARNING,
            subject=f"stack {plan.stack}",
            kind="not-applied",
            detail=f"plan {plan.digest} (serial {plan.serial}) is not what runs: {have}",
            remedy=f"run ecm approve {plan.digest} and ecm up, or verify against the plan that is applied",
        )


def _routes(plan: Plan, observed: Observed) -> Iterator[Finding]:
    seen = {route.name: route for route in observed.routes}
    gateway = plan.desired.network.internet_gateway_id
    yield from _route("internet", seen.get("internet"), gateway, prefix="igw-")
    for wanted in plan.desired.network.vpc_routes:
        node = observed.node(wanted.slot, wanted.generation)
        interface = node.interface_id if node else None
        yield from _route(wanted.id, seen.get(wanted.id), interface, prefix="eni-")


def _route(name: str, route: ObservedRoute | None, target: str | None, *, prefix: str) -> Iterator[Finding]:
    """Compare one route; where the plan cannot know the target's id, its kind must be right."""
    if route is None or route.target is None or route.state == "missing":
        where = f"in {route.route_table} to {route.destination}" if route else "that the plan has"
        yield _error(f"route {name}", "route-missing", f"the route {where} is not there", _REFRESH)
    elif route.state != "active":
        detail = f"to {route.destination} is {route.state}: {route.target} takes no traffic"
        remedy = "see what became of its target; then run ecm plan, so that another node takes the route"
        yield _error(f"route {name}", "route-blackhole", detail, remedy)
    elif (target is not None and route.target != target) or not route.target.startswith(prefix):
        detail = f"to {route.destination} leads to {route.target}, planned is {target or prefix + '...'}"
        yield _error(f"route {name}", "route-target", detail, _REFRESH)


def _records(plan: Plan, observed: Observed) -> Iterator[Finding]:
    seen = {record.name for record in observed.records if record.values}
    for vpn in plan.desired.vpns:
        if plan.desired.dns_zone is not None and vpn.host is not None and vpn.host not in seen:
            detail = f"clients of {vpn.id} do not find their entry by name"
            yield _error(f"record {vpn.host}", "record-missing", detail, _REFRESH)


def _configs(plan: Plan, observed: Observed) -> Iterator[Finding]:
    seen = {config.key: config.digest for config in observed.configs}
    for wanted in plan.configs:
        have = seen.get(wanted.key)
        if have is None:
            detail = "nodes that start now find no configuration"
            yield _error(f"object {wanted.key}", "config-missing", detail, _REFRESH)
        elif have != wanted.digest:
            detail = f"its bytes have {have}, reviewed were {wanted.digest}"
            remedy = "find out who wrote it; then " + _REFRESH
            yield _error(f"object {wanted.key}", "config-different", detail, remedy)


def _error(subject: str, kind: str, detail: str, remedy: str) -> Finding:
    return Finding(severity=Severity.ERROR, subject=subject, kind=kind, detail=detail, remedy=remedy)
