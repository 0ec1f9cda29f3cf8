"""VPC, subnets and internet gateway.

Test double, not the AWS provider.
"""

from __future__ import annotations

from typing import Any

from tools.standin.kind import (
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    found,
    given,
    retag_ec2,
    tag_map,
    tag_spec,
)
from tools.standin.schema import CIDR4, FLAG, Inputs, aws_id, text

_VPC_FLAGS = {
    "enableDnsSupport": "EnableDnsSupport",
    "enableDnsHostnames": "EnableDnsHostnames",
    "enableNetworkAddressUsageMetrics": "EnableNetworkAddressUsageMetrics",
}


def _vpc_seen(aws: Aws, vpc: dict[str, Any]) -> Observed:
    return {
        "arn": aws.arn("ec2", f"vpc/{vpc['VpcId']}"),
        "cidrBlock": vpc["CidrBlock"],
        "instanceTenancy": vpc["InstanceTenancy"],
        "dhcpOptionsId": vpc.get("DhcpOptionsId", ""),
        "ownerId": aws.account,
        "tags": tag_map(vpc.get("Tags")),
    }


def _vpc_create(aws: Aws, inputs: Inputs) -> Made:
    vpc = aws.ec2.create_vpc(
        CidrBlock=inputs["cidrBlock"], **given(inputs, InstanceTenancy="instanceTenancy"), **tag_spec("vpc", inputs)
    )["Vpc"]
    return Made(vpc["VpcId"], _vpc_seen(aws, vpc))


def _vpc_flags(aws: Aws, id_: str, inputs: Inputs) -> None:
    for name, parameter in _VPC_FLAGS.items():
        if inputs.get(name) is not None:
            aws.ec2.modify_vpc_attribute(VpcId=id_, **{parameter: {"Value": inputs[name]}})


def _vpc_finish(aws: Aws, made: Made, inputs: Inputs) -> Observed | None:
    _vpc_flags(aws, made.id, inputs)
    return _vpc_read(aws, made.id, {})


def _vpc_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.ec2.describe_vpcs(VpcIds=[id_]), "InvalidVpcID.NotFound")
    if answer is None:
        return None
    seen = _vpc_seen(aws, answer["Vpcs"][0])
    for name, parameter in _VPC_FLAGS.items():
        attribute = parameter[0].lower() + parameter[1:]
        seen[name] = aws.ec2.describe_vpc_attribute(VpcId=id_, Attribute=attribute)[parameter]["Value"]
    of_vpc = [{"Name": "vpc-id", "Values": [id_]}]
    tables = aws.ec2.describe_route_tables(Filters=[*of_vpc, {"Name": "association.main", "Values": ["true"]}])
    groups = aws.ec2.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])
    acls = aws.ec2.describe_network_acls(Filters=[*of_vpc, {"Name": "default", "Values": ["true"]}])
    main = tables["RouteTables"][0]["RouteTableId"]
    seen |= {"mainRouteTableId": main, "defaultRouteTableId": main}
    seen["defaultSecurityGroupId"] = groups["SecurityGroups"][0]["GroupId"]
    seen["defaultNetworkAclId"] = acls["NetworkAcls"][0]["NetworkAclId"]
    return seen


def _vpc_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidVpcID.NotFound"):
        aws.ec2.delete_vpc(VpcId=id_)


VPC = Kind(
    type_name="aws:ec2/vpc:Vpc",
    inputs={
        "cidrBlock": text(pattern=CIDR4).need().fixed(),
        "enableDnsHostnames": FLAG,
        "enableDnsSupport": FLAG,
        "enableNetworkAddressUsageMetrics": FLAG,
        "instanceTenancy": text("default", "dedicated").fixed(),
    },
    computed=(
        "arn",
        "defaultNetworkAclId",
        "defaultRouteTableId",
        "defaultSecurityGroupId",
        "dhcpOptionsId",
        "enableDnsHostnames",
        "enableDnsSupport",
        "enableNetworkAddressUsageMetrics",
        "instanceTenancy",
        "mainRouteTableId",
        "ownerId",
    ),
    create=_vpc_create,
    finish=_vpc_finish,
    read=_vpc_read,
    update=lambda aws, id_, change: _vpc_flags(aws, id_, change.new),
    delete=_vpc_delete,
    retag=retag_ec2,
)


def _subnet_seen(subnet: dict[str, Any]) -> Observed:
    return {
        "arn": subnet["SubnetArn"],
        "vpcId": subnet["VpcId"],
        "cidrBlock": subnet["CidrBlock"],
        "availabilityZone": subnet["AvailabilityZone"],
        "availabilityZoneId": subnet["AvailabilityZoneId"],
        "mapPublicIpOnLaunch": bool(subnet.get("MapPublicIpOnLaunch")),
        "ownerId": subnet["OwnerId"],
        "tags": tag_map(subnet.get("Tags")),
    }


def _subnet_create(aws: Aws, inputs: Inputs) -> Made:
    subnet = aws.ec2.create_subnet(
        VpcId=inputs["vpcId"],
        **given(inputs, CidrBlock="cidrBlock", AvailabilityZone="availabilityZone"),
        **tag_spec("subnet", inputs),
    )["Subnet"]
    return Made(subnet["SubnetId"], _subnet_seen(subnet))


def _subnet_map_ip(aws: Aws, id_: str, inputs: Inputs) -> Observed:
    # The provider's default is false, whatever the subnet started with.
    value = bool(inputs.get("mapPublicIpOnLaunch", False))
    aws.ec2.modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch={"Value": value})
    return {"mapPublicIpOnLaunch": value}


def _subnet_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.ec2.describe_subnets(SubnetIds=[id_]), "InvalidSubnetID.NotFound")
    return None if answer is None else _subnet_seen(answer["Subnets"][0])


def _subnet_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidSubnetID.NotFound"):
        aws.ec2.delete_subnet(SubnetId=id_)


def _subnet_update(aws: Aws, id_: str, change: Change) -> None:
    _subnet_map_ip(aws, id_, change.new)


SUBNET = Kind(
    type_name="aws:ec2/subnet:Subnet",
    inputs={
        "vpcId": aws_id("vpc").need().fixed(),
        "cidrBlock": text(pattern=CIDR4).need().fixed(),
        "availabilityZone": text().fixed(),
        "mapPublicIpOnLaunch": FLAG,
    },
    computed=("arn", "availabilityZone", "availabilityZoneId", "mapPublicIpOnLaunch", "ownerId"),
    create=_subnet_create,
    finish=lambda aws, made, inputs: _subnet_map_ip(aws, made.id, inputs),
    read=_subnet_read,
    update=_subnet_update,
    delete=_subnet_delete,
    retag=retag_ec2,
)


def _gateway_seen(aws: Aws, gateway: dict[str, Any]) -> Observed:
    attached = gateway.get("Attachments") or [{}]
    return {
        "arn": aws.arn("ec2", f"internet-gateway/{gateway['InternetGatewayId']}"),
        "ownerId": aws.account,
        "vpcId": attached[0].get("VpcId", ""),
        "tags": tag_map(gateway.get("Tags")),
    }


def _gateway_create(aws: Aws, inputs: Inputs) -> Made:
    gateway = aws.ec2.create_internet_gateway(**tag_spec("internet-gateway", inputs))["InternetGateway"]
    return Made(gateway["InternetGatewayId"], _gateway_seen(aws, gateway))


def _gateway_attach(aws: Aws, made: Made, inputs: Inputs) -> Observed:
    if inputs.get("vpcId"):
        aws.ec2.attach_internet_gateway(InternetGatewayId=made.id, VpcId=inputs["vpcId"])
    return {"vpcId": inputs.get("vpcId", "")}


def _gateway_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(
        lambda: aws.ec2.describe_internet_gateways(InternetGatewayIds=[id_]), "InvalidInternetGatewayID.NotFound"
    )
    return None if answer is None else _gateway_seen(aws, answer["InternetGateways"][0])


def _gateway_detach(aws: Aws, id_: str, vpc_id: str | None) -> None:
    if vpc_id:
        with absent("Gateway.NotAttached", "InvalidInternetGatewayID.NotFound"):
            aws.ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=vpc_id)


def _gateway_update(aws: Aws, id_: str, change: Change) -> None:
    _gateway_detach(aws, id_, change.was("vpcId"))
    _gateway_attach(aws, Made(id_, {}), change.new)


def _gateway_delete(aws: Aws, id_: str, state: Observed) -> None:
    _gateway_detach(aws, id_, state.get("vpcId"))
    with absent("InvalidInternetGatewayID.NotFound"):
        aws.ec2.delete_internet_gateway(InternetGatewayId=id_)


INTERNET_GATEWAY = Kind(
    type_name="aws:ec2/internetGateway:InternetGateway",
    inputs={"vpcId": aws_id("vpc")},
    computed=("arn", "ownerId", "vpcId"),
    create=_gateway_create,
    finish=_gateway_attach,
    read=_gateway_read,
    update=_gateway_update,
    delete=_gateway_delete,
    retag=retag_ec2,
)

KINDS = (VPC, SUBNET, INTERNET_GATEWAY)
