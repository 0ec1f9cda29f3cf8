"""Guardrails: what every declared resource, and the stack as a whole, must keep to, whatever the plan says.

Guard judges a plan; these judge what the Pulumi program would really create, so a mistake between the two is caught as
well. The policy pack `policies/guardrails` runs them in the engine.
"""

from ecm.guardrails import access, firewall, health, nodes, size, tags
from ecm.guardrails.rule import Bounds, Declared, Finding, Resource, ResourceRule, StackRule

RESOURCE_RULES: tuple[ResourceRule, ...] = (
    *firewall.RULES,
    *nodes.RULES,
    *access.RULES,
    *tags.RULES,
    *health.RULES,
)
STACK_RULES: tuple[StackRule, ...] = (*nodes.STACK_RULES, *health.STACK_RULES, *size.STACK_RULES)

__all__ = [
    "RESOURCE_RULES",
    "STACK_RULES",
    "Bounds",
    "Declared",
    "Finding",
    "Resource",
    "ResourceRule",
    "StackRule",
]
