"""From the rules of `ecm.guardrails` to policies that the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from ecm import intent
from ecm.guardrails import RESOURCE_RULES, STACK_RULES, Bounds, Resource, ResourceRule, StackRule

STANDING = PolicyConfigSchema(
    {
        "standing": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Slots that stand before the change; `ecm preview` and `ecm up` write them.",
        }
    }
)
Read = Callable[[str], Bounds]


def policies(root: Path) -> list[Policy]:
    """Return every rule as a mandatory policy, with values from the policy files below `root`."""

    @cache
    def bounds(stack: str) -> Bounds:
        found = intent.load(root, stack)
        return Bounds(stack=stack, limits=found.limits, catalog=found.catalog)

    return [
        *(_resource_policy(rule, bounds) for rule in RESOURCE_RULES),
        *(_stack_policy(rule, bounds) for rule in STACK_RULES),
    ]


def _resource_policy(rule: ResourceRule, bounds: Read) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(type=args.resource_type, name=args.name, urn=args.urn, props=args.props)
        for message in rule.judge(resource, bounds(_stack_of(args.urn))):
            report(message, None)

    return ResourceValidationPolicy(
        name=rule.name, description=rule.demands, validate=validate, enforcement_level=EnforcementLevel.MANDATORY
    )


def _stack_policy(rule: StackRule, bounds: Read) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = tuple(_resources(args.resources))
        if not resources:
            return
        told = args.get_config().get("standing")
        standing = None if told is None else frozenset(str(slot) for slot in told)
        for finding in rule.check(resources, replace(bounds(_stack_of(resources[0].urn)), standing=standing)):
            report(finding.message, finding.urn or None)

    return StackValidationPolicy(
        name=rule.name,
        description=rule.demands,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=STANDING if rule.name == "scale-step" else None,
    )


def _stack_of(urn: str) -> str:
    """`urn:pulumi:STACK::PROJECT::TYPE::NAME`: the engine tells a pack's process nothing else of where it runs."""
    return urn.split(":")[2]


def _resources(found: Iterable[PolicyResource]) -> Iterable[Resource]:
    for item in found:
        yield Resource(
            type=item.resource_type,
            name=item.name,
            urn=item.urn,
            props=item.props,
            parent=item.parent.urn if item.parent is not None else "",
            refers={key: tuple(r.urn for r in others) for key, others in item.property_dependencies.items()},
        )
