"""Network interfaces, elastic addresses and their associations.

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
    exactly_one,
    found,
    given,
    retag_ec2,
    tag_map,
    tag_spec,
)
from tools.standin.schema import FLAG, IPV4, LIST, SET, Inputs, aws_id, text


def _interface_seen(aws: Aws, interface: dict[str, Any]) -> Observed:
    addresses = interface.get("PrivateIpAddresses") or []
    ordered = sorted(addresses, key=lambda a: not a.get("Primary"))
    ips = [a["PrivateIpAddress"] for a in ordered]
    attachment = interface.get("Attachment") or {}
    attached = {"instance": attachment.get("InstanceId", ""), "deviceIndex": attachment.get("DeviceIndex", 0)}
    return {
        "arn": aws.arn("ec2", f"network-interface/{interface['NetworkInterfaceId']}"),
        "subnetId": interface["SubnetId"],
        "privateIp": interface["PrivateIpAddress"],
        "privateIps": ips,
        "privateIpsCount": len(ips) - 1,
        "privateDnsName": interface.get("PrivateDnsName", ""),
        "securityGroups": [group["GroupId"] for group in interface.get("Groups") or []],
        "sourceDestCheck": interface.get("SourceDestCheck", True),
        "description": interface.get("Description", ""),
        "interfaceType": interface.get("InterfaceType", "interface"),
        "macAddress": interface.get("MacAddress", ""),
        "ownerId": interface.get("OwnerId", aws.account),
        "attachments": [{**attached, "attachmentId": attachment["AttachmentId"]}] if attachment else [],
        "tags": tag_map(interface.get("TagSet")),
    }


def _interface_create(aws: Aws, inputs: Inputs) -> Made:
    ips = inputs.get("privateIps") or []
    addresses = [{"PrivateIpAddress": ip, "Primary": number == 0} for number, ip in enumerate(ips)]
    interface = aws.ec2.create_network_interface(
        SubnetId=inputs["subnetId"],
        **given(inputs, Groups="securityGroups", Description="description"),
        **({"PrivateIpAddresses": addresses} if addresses else {}),
        **tag_spec("network-interface", inputs),
    )["NetworkInterface"]
    return Made(interface["NetworkInterfaceId"], _interface_seen(aws, interface))


def _source_dest_check(aws: Aws, id_: str, inputs: Inputs) -> Observed:
    value = bool(inputs.get("sourceDestCheck", True))
    aws.ec2.modify_network_interface_attribute(NetworkInterfaceId=id_, SourceDestCheck={"Value": value})
    return {"sourceDestCheck": value}


def _interface_finish(aws: Aws, made: Made, inputs: Inputs) -> Observed | None:
    return None if inputs.get("sourceDestCheck", True) else _source_dest_check(aws, made.id, inputs)


def _interface_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(
        lambda: aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[id_]), "InvalidNetworkInterfaceID.NotFound"
    )
    return None if answer is None else _interface_seen(aws, answer["NetworkInterfaces"][0])


def _interface_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("sourceDestCheck"):
        _source_dest_check(aws, id_, change.new)
    if change.touches("securityGroups"):
        groups = change.new.get("securityGroups") or []
        aws.ec2.modify_network_interface_attribute(NetworkInterfaceId=id_, Groups=groups)
    if change.touches("description"):
        words = {"Value": change.new.get("description", "")}
        aws.ec2.modify_network_interface_attribute(NetworkInterfaceId=id_, Description=words)
    if change.touches("privateIps"):
        before, after = change.was("privateIps") or [], change.new.get("privateIps") or []
        dropped, added = [ip for ip in before if ip not in after], [ip for ip in after if ip not in before]
        if dropped:
            aws.ec2.unassign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=dropped)
        if added:
            aws.ec2.assign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=added)


def _interface_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidNetworkInterfaceID.NotFound"):
        aws.ec2.delete_network_interface(NetworkInterfaceId=id_)


NETWORK_INTERFACE = Kind(
    type_name="aws:ec2/networkInterface:NetworkInterface",
    inputs={
        "subnetId": aws_id("subnet").need().fixed(),
        "privateIps": LIST,
        "securityGroups": SET,
        "sourceDestCheck": FLAG,
        "description": text(pattern=r".{0,255}"),
    },
    computed=(
        "arn",
        "attachments",
        "interfaceType",
        "macAddress",
        "ownerId",
        "privateDnsName",
        "privateIp",
        "privateIps",
        "privateIpsCount",
        "securityGroups",
    ),
    create=_interface_create,
    finish=_interface_finish,
    read=_interface_read,
    update=_interface_update,
    delete=_interface_delete,
    retag=retag_ec2,
)


def _public_dns(aws: Aws, ip: str) -> str:
    zone = "compute-1" if aws.region == "us-east-1" else f"{aws.region}.compute"
    return f"ec2-{ip.replace('.', '-')}.{zone}.amazonaws.com"


def _address_seen(aws: Aws, address: dict[str, Any]) -> Observed:
    return {
        "arn": aws.arn("ec2", f"elastic-ip/{address['AllocationId']}"),
        "allocationId": address["AllocationId"],
        "publicIp": address["PublicIp"],
        "publicDns": _public_dns(aws, address["PublicIp"]),
        "domain": address.get("Domain", "vpc"),
        "associationId": address.get("AssociationId", ""),
        "networkInterface": address.get("NetworkInterfaceId", ""),
        "instance": address.get("InstanceId", ""),
        "privateIp": address.get("PrivateIpAddress", ""),
        "tags": tag_map(address.get("Tags")),
    }


def _address_create(aws: Aws, inputs: Inputs) -> Made:
    made = aws.ec2.allocate_address(Domain=inputs.get("domain", "vpc"), **tag_spec("elastic-ip", inputs))
    return Made(made["AllocationId"], {**_address_seen(aws, made), "tags": inputs.get("tags") or {}})


def _address_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.ec2.describe_addresses(AllocationIds=[id_]), "InvalidAllocationID.NotFound")
    return None if answer is None else _address_seen(aws, answer["Addresses"][0])


def _address_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidAllocationID.NotFound"):
        aws.ec2.release_address(AllocationId=id_)


EIP = Kind(
    type_name="aws:ec2/eip:Eip",
    inputs={"domain": text("vpc").fixed()},
    computed=(
        "allocationId",
        "arn",
        "associationId",
        "domain",
        "instance",
        "networkInterface",
        "privateIp",
        "publicDns",
        "publicIp",
    ),
    create=_address_create,
    read=_address_read,
    delete=_address_delete,
    retag=retag_ec2,
)


def _association_create(aws: Aws, inputs: Inputs) -> Made:
    names = given(
        inputs,
        InstanceId="instanceId",
        NetworkInterfaceId="networkInterfaceId",
        PrivateIpAddress="privateIpAddress",
        AllowReassociation="allowReassociation",
    )
    # The API reassociates unless told not to; the provider's default is not to.
    names.setdefault("AllowReassociation", False)
    answer = aws.ec2.associate_address(AllocationId=inputs["allocationId"], **names)
    return Made(answer["AssociationId"], {})


def _association_finish(aws: Aws, made: Made, inputs: Inputs) -> Observed | None:
    return _association_read(aws, made.id, inputs)


def _association_read(aws: Aws, id_: str, state: Observed) -> Observed | None:
    answer = found(
        lambda: aws.ec2.describe_addresses(AllocationIds=[state["allocationId"]]), "InvalidAllocationID.NotFound"
    )
    address = answer["Addresses"][0] if answer else {}
    if address.get("AssociationId") != id_:
        return None
    return {
        "allocationId": address["AllocationId"],
        "publicIp": address["PublicIp"],
        "instanceId": address.get("InstanceId", ""),
        "networkInterfaceId": address.get("NetworkInterfaceId", ""),
        "privateIpAddress": address.get("PrivateIpAddress", ""),
    }


def _association_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidAssociationID.NotFound"):
        aws.ec2.disassociate_address(AssociationId=id_)


EIP_ASSOCIATION = Kind(
    type_name="aws:ec2/eipAssociation:EipAssociation",
    inputs={
        "allocationId": text(pattern=r"eipalloc-[0-9a-f]{8,17}").need().fixed(),
        "allowReassociation": FLAG.fixed(),
        "instanceId": aws_id("i").fixed(),
        "networkInterfaceId": aws_id("eni").fixed(),
        "privateIpAddress": text(pattern=IPV4).fixed(),
    },
    computed=("instanceId", "networkInterfaceId", "privateIpAddress", "publicIp"),
    create=_association_create,
    finish=_association_finish,
    read=_association_read,
    delete=_association_delete,
    rules=(exactly_one("instanceId", "networkInterfaceId"),),
)

KINDS = (NETWORK_INTERFACE, EIP, EIP_ASSOCIATION)
