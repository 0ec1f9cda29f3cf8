"""What of an existing VPC the stack declares as it stands: facts of AWS that people do not choose."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ecm.model.base import Frozen, Text, Zone

VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]{8,17}$")]
GatewayId = Annotated[str, StringConstraints(pattern=r"^igw-[0-9a-f]{8,17}$")]
TableId = Annotated[str, StringConstraints(pattern=r"^rtb-[0-9a-f]{8,17}$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]{8,17}$")]
GroupId = Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]{8,17}$")]
COMPONENT = "ecm:aws:Adopted"
"""Type of the component that holds adopted resources; it stands in their URNs."""


class AdoptedVpc(Frozen):
    """The VPC itself."""

    cidr: IPv4Network
    """Its first range, which nothing can change."""
    dns_support: bool
    dns_hostnames: bool
    tenancy: Literal["default", "dedicated"]


class AdoptedSubnet(Frozen):
    """A subnet that stands beside ECM's own."""

    id: SubnetId
    zone: Zone
    cidr: IPv4Network
    public_ip_on_launch: bool


class AdoptedGroup(Frozen):
    """A security group; its rules stay outside of the stack."""

    id: GroupId
    name: Annotated[Text, Field(min_length=1)]
    description: Text


class Adopted(Frozen):
    """Resources that the stack declares as they stand. It never replaces, retags or deletes them."""

    vpc: AdoptedVpc
    subnets: tuple[AdoptedSubnet, ...] = ()
    route_tables: tuple[TableId, ...] = ()
    """Their routes stay outside of the stack."""
    security_groups: tuple[AdoptedGroup, ...] = ()


class Existing(Frozen):
    """A VPC as AWS describes it."""

    vpc_id: VpcId
    internet_gateway_id: GatewayId
    ranges: tuple[IPv4Network, ...]
    """Every IPv4 range of the VPC."""
    taken: tuple[IPv4Network, ...]
    """Ranges of all its subnets, of those too that are not adopted."""
    adopted: Adopted
    names: dict[str, str]
    """Name tags by id, as somebody wrote them."""
    left: tuple[Text, ...]
    """What stands in the VPC and is not adopted, for people."""
