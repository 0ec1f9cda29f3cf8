"""What a guardrail is: a name, what it demands, and a pure function from declared resources to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecm.model.adopted import COMPONENT
from ecm.model.catalog import Catalog
from ecm.model.policy import Limits

INSTANCE = "aws:ec2/instance:Instance"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
ADDRESS = "aws:ec2/eip:Eip"
ADDRESS_ASSOCIATION = "aws:ec2/eipAssociation:EipAssociation"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"
ROUTE = "aws:ec2/route:Route"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
CHAIN = "ecm:aws:Chain"


@dataclass(frozen=True)
class Resource:
    """One declared resource.

    `props` are its inputs for a resource rule and its outputs for a stack rule. Reading a value that a preview cannot
    know raises an error of the mapping's own, which passes through every rule: who runs the rules reports it as
    "could not be judged", never as passed.
    """

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    parent: str = ""
    """URN of the component that it belongs to."""
    refers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """URNs of the resources that each property's value comes from; known even where the value is not."""

    def tag(self, key: str) -> str:
        """Return the value of a tag, empty where there is none."""
        return str((self.props.get("tags") or {}).get(key) or "")

    @property
    def adopted(self) -> bool:
        """Return whether it was there before ECM, and is declared as it stands."""
        return f"::{COMPONENT}$" in self.urn

    @property
    def slot(self) -> str:
        """Return the slot (`tier/zone/index`) of a node's resource, empty for any other."""
        return self.tag("ecm:slot")

    @property
    def tier(self) -> str:
        """Return the tier of a node's resource, empty for any other."""
        return self.slot.partition("/")[0]


@dataclass(frozen=True)
class Bounds:
    """What resources are held against: the stack's name, `policies/limits.yaml` and `policies/catalog.yaml`."""

    stack: str
    limits: Limits
    catalog: Catalog
    standing: frozenset[str] | None = None
    """Slots that stand before the change; none: not told, and then the scale step is not judged."""


@dataclass(frozen=True)
class Finding:
    """A demand that is not met: what, and how to mend it. `urn` is empty where no single resource is at fault."""

    message: str
    urn: str = ""


Declared = Sequence[Resource]
ResourceCheck = Callable[[Resource, Bounds], Iterator[str]]
StackCheck = Callable[[Declared, Bounds], Iterator[Finding]]


@dataclass(frozen=True)
class ResourceRule:
    """A rule on one resource at a time, judged before the engine touches it."""

    name: str
    demands: str
    check: ResourceCheck

    def judge(self, resource: Resource, bounds: Bounds) -> Iterator[str]:
        """Give what `resource` breaks: nothing where it is adopted, which nobody can mend by a change of the plan."""
        if not resource.adopted:
            yield from self.check(resource, bounds)


@dataclass(frozen=True)
class StackRule:
    """A rule on all resources together. The engine judges it after the steps of `up`, so a preview comes first."""

    name: str
    demands: str
    check: StackCheck
