"""Whether a failure would be seen: health checks of target groups and chains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ecm.guardrails.rule import (
    CHAIN,
    HEALTH_CHECK,
    TARGET_GROUP,
    Bounds,
    Declared,
    Finding,
    Resource,
    ResourceRule,
    StackRule,
)


def _target_group(resource: Resource, _: Bounds) -> Iterator[str]:
    if resource.type != TARGET_GROUP:
        return
    check = resource.props.get("healthCheck") or {}
    if not check or check.get("enabled") is False:
        yield "the target group has no health check: a dead node would keep its traffic. Declare healthCheck."
    elif check.get("protocol") not in ("HTTP", "HTTPS") or not check.get("path"):
        yield (
            "the health check only opens a port, which a node without a way onward answers too. Ask the agent: "
            "protocol HTTP with its path."
        )


def _chains(declared: Declared, _: Bounds) -> Iterator[Finding]:
    watched = {resource.parent for resource in declared if resource.type == HEALTH_CHECK}
    for resource in declared:
        if resource.type == CHAIN and resource.urn not in watched:
            yield Finding(
                f"chain {resource.name} has no health check from end to end. Declare one in its component.",
                resource.urn,
            )


RULES: Final = (ResourceRule("target-health-check", "Every target group asks its targets' agents.", _target_group),)
STACK_RULES: Final = (StackRule("chain-health-check", "Every chain has a health check from end to end.", _chains),)
