"""Private ways from the nodes to the AWS services that they need, so that no tier needs NAT or a public address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
from pulumi_aws import ec2, vpc

from ecm.infra.naming import Labels
from ecm.model.contract import INTERFACE_SERVICES

HTTPS = 443


@dataclass(frozen=True)
class Endpoints:
    """The declared endpoints."""

    @dataclass(frozen=True)
    class Spec:
        """Where endpoints stand and who reaches them."""

        labels: Labels
        region: str
        vpc_id: pulumi.Input[str]
        clients: IPv4Network
        subnet_ids: Sequence[pulumi.Input[str]]
        """One per zone."""
        route_table_ids: Sequence[pulumi.Input[str]]

    security_group: ec2.SecurityGroup
    """In front of every interface endpoint."""
    s3: ec2.VpcEndpoint
    resources: tuple[pulumi.Resource, ...]
    """Everything that must be there before a node boots."""


def declare_endpoints(spec: Endpoints.Spec, opts: pulumi.ResourceOptions) -> Endpoints:
    """Declare the gateway endpoint of S3 and the interface endpoints with their security group."""
    group = ec2.SecurityGroup(
        "endpoints",
        vpc_id=spec.vpc_id,
        description="Interface endpoints: HTTPS from addresses of this stack",
        tags=spec.labels.tags("network", "endpoints"),
        opts=opts,
    )
    rule = vpc.SecurityGroupIngressRule(
        "endpoints/https",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        cidr_ipv4=str(spec.clients),
        description="HTTPS from addresses of this stack",
        tags=spec.labels.tags("network", "endpoints/https"),
        opts=opts,
    )
    s3 = ec2.VpcEndpoint(
        "s3",
        vpc_id=spec.vpc_id,
        service_name=f"com.amazonaws.{spec.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=spec.route_table_ids,
        tags=spec.labels.tags("network", "s3"),
        opts=opts,
    )
    interfaces = [_interface(service, spec, group, opts) for service in INTERFACE_SERVICES]
    return Endpoints(security_group=group, s3=s3, resources=(rule, s3, *interfaces))


def _interface(
    service: str, spec: Endpoints.Spec, group: ec2.SecurityGroup, opts: pulumi.ResourceOptions
) -> ec2.VpcEndpoint:
    return ec2.VpcEndpoint(
        service,
        vpc_id=spec.vpc_id,
        service_name=f"com.amazonaws.{spec.region}.{service}",
        vpc_endpoint_type="Interface",
        subnet_ids=spec.subnet_ids,
        security_group_ids=[group.id],
        private_dns_enabled=True,
        tags=spec.labels.tags("network", service),
        opts=opts,
    )
