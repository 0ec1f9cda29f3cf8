"""Resources of an existing VPC, declared as they stand: imported, protected, never replaced, retagged or deleted."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_aws import ec2

from ecm.model.adopted import COMPONENT, Adopted, AdoptedGroup, AdoptedSubnet
from ecm.model.fleet import Network
from ecm.model.plan import NetworkPlan

_TAGS: Final = ("tags", "tagsAll")
_VPC: Final = ("enableNetworkAddressUsageMetrics", "assignGeneratedIpv6CidrBlock", "ipv6CidrBlock")
_SUBNET: Final = ("ipv6CidrBlock", "assignIpv6AddressOnCreation", "enableDns64")
"""IPv6 and metrics, of which a fleet file says nothing: they stay as they are, too."""
_ROUTES: Final = ("routes", "propagatingVgws")
"""Inline routes would take away what is not listed, and the stack adds routes of its own by single resources."""
_RULES: Final = ("ingress", "egress")


def adopt(network: Network | NetworkPlan) -> None:
    """Declare what `network` adopts; nothing where it adopts nothing."""
    if network.adopted is not None and network.vpc_id is not None and network.internet_gateway_id is not None:
        AdoptedNetwork((network.vpc_id, network.internet_gateway_id), network.adopted)


class AdoptedNetwork(pulumi.ComponentResource):
    """`ecm:aws:Adopted`: the existing resources of `network.adopted`, each with its AWS id as its logical name.

    `import_` makes the first `up` take over what stands, so that forgetting the import list makes no second VPC.
    """

    def __init__(self, ids: tuple[str, str], adopted: Adopted, opts: pulumi.ResourceOptions | None = None) -> None:
        """`ids` are the VPC's and its internet gateway's."""
        super().__init__(COMPONENT, "adopted", None, opts)
        self._vpc_id, gateway_id = ids
        self._vpc(adopted)
        ec2.InternetGateway(gateway_id, vpc_id=self._vpc_id, opts=self._as_it_stands(gateway_id))
        for subnet in adopted.subnets:
            self._subnet(subnet)
        for table in adopted.route_tables:
            ec2.RouteTable(table, vpc_id=self._vpc_id, opts=self._as_it_stands(table, *_ROUTES))
        for group in adopted.security_groups:
            self._group(group)
        self.register_outputs({"vpcId": self._vpc_id})

    def _as_it_stands(self, id_: str, *ignored: str) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, import_=id_, protect=True, retain_on_delete=True, ignore_changes=[*_TAGS, *ignored]
        )

    def _vpc(self, adopted: Adopted) -> None:
        ec2.Vpc(
            self._vpc_id,
            cidr_block=str(adopted.vpc.cidr),
            enable_dns_support=adopted.vpc.dns_support,
            enable_dns_hostnames=adopted.vpc.dns_hostnames,
            instance_tenancy=adopted.vpc.tenancy,
            opts=self._as_it_stands(self._vpc_id, *_VPC),
        )

    def _subnet(self, subnet: AdoptedSubnet) -> None:
        ec2.Subnet(
            subnet.id,
            vpc_id=self._vpc_id,
            cidr_block=str(subnet.cidr),
            availability_zone=subnet.zone,
            map_public_ip_on_launch=subnet.public_ip_on_launch,
            opts=self._as_it_stands(subnet.id, *_SUBNET),
        )

    def _group(self, group: AdoptedGroup) -> None:
        ec2.SecurityGroup(
            group.id,
            name=group.name,
            description=group.description,
            vpc_id=self._vpc_id,
            opts=self._as_it_stands(group.id, *_RULES),
        )
