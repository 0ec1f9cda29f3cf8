"""Whose a resource is: tags by which ECM, bills and people find it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ecm.guardrails.rule import Bounds, Resource, ResourceRule

_STACK_TAG: Final = "ecm:stack"
TAGGED: Final = frozenset(
    {
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "aws:ec2/flowLog:FlowLog",
        "aws:ec2/instance:Instance",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/managedPrefixList:ManagedPrefixList",
        "aws:ec2/networkInterface:NetworkInterface",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:iam/instanceProfile:InstanceProfile",
        "aws:iam/role:Role",
        "aws:lb/listener:Listener",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:route53/healthCheck:HealthCheck",
        "aws:route53/zone:Zone",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)
"""Types that AWS can tag; what belongs to one of them (an association, an attachment, a route) is found by it."""


def _tags(resource: Resource, bounds: Bounds) -> Iterator[str]:
    if resource.type not in TAGGED:
        return
    missing = [key for key in bounds.limits.guardrails.required_tags if not resource.tag(key)]
    if missing:
        yield f"without the tags {', '.join(missing)}. Add them: a killed run's leftovers are found by their tags."
    if resource.tag(_STACK_TAG) not in ("", bounds.stack):
        yield f"tagged {_STACK_TAG}={resource.tag(_STACK_TAG)} in the stack {bounds.stack}. Tag it with its own stack."


RULES: Final = (ResourceRule("required-tags", "Every resource carries the tags by which it is found.", _tags),)
