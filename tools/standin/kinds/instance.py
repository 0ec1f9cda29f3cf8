"""Instances. What EC2 changes only while stopped is changed as the provider does it: stop, modify, start.

Test double, not the AWS provider.
"""

from __future__ import annotations

import base64
import binascii
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
    tag_list,
    tag_map,
)
from tools.standin.schema import FLAG, SET, TAGS, Inputs, aws_id, block, text, whole

_METADATA = {
    "httpEndpoint": "HttpEndpoint",
    "httpTokens": "HttpTokens",
    "httpPutResponseHopLimit": "HttpPutResponseHopLimit",
    "instanceMetadataTags": "InstanceMetadataTags",
}
_VOLUME = {
    "encrypted": "Encrypted",
    "volumeType": "VolumeType",
    "volumeSize": "VolumeSize",
    "deleteOnTermination": "DeleteOnTermination",
    "iops": "Iops",
    "throughput": "Throughput",
    "kmsKeyId": "KmsKeyId",
}
# EC2's limit on user data before base64.
_USER_DATA_BYTES = 16384


def _parameters(names: dict[str, str], values: Inputs) -> dict[str, Any]:
    return {parameter: values[name] for name, parameter in names.items() if values.get(name) is not None}


def _user_data(text_: str) -> bytes:
    """The provider sends text that is base64 already as it is, and encodes every other."""
    try:
        return base64.b64decode(text_, validate=True)
    except (binascii.Error, ValueError):
        return text_.encode()


def _launch(aws: Aws, inputs: Inputs) -> dict[str, Any]:
    """The parameters of RunInstances."""
    launch: dict[str, Any] = {"ImageId": inputs["ami"], "InstanceType": inputs["instanceType"]}
    launch |= given(inputs, SubnetId="subnetId", PrivateIpAddress="privateIp", SecurityGroupIds="vpcSecurityGroupIds")
    launch |= given(inputs, DisableApiTermination="disableApiTermination", EbsOptimized="ebsOptimized")
    if inputs.get("primaryNetworkInterface"):
        id_ = inputs["primaryNetworkInterface"]["networkInterfaceId"]
        launch["NetworkInterfaces"] = [{"DeviceIndex": 0, "NetworkInterfaceId": id_}]
    if inputs.get("iamInstanceProfile"):
        launch["IamInstanceProfile"] = {"Name": inputs["iamInstanceProfile"]}
    if inputs.get("userData") is not None:
        launch["UserData"] = _user_data(inputs["userData"])
    if inputs.get("tenancy"):
        launch["Placement"] = {"Tenancy": inputs["tenancy"]}
    if inputs.get("monitoring") is not None:
        launch["Monitoring"] = {"Enabled": inputs["monitoring"]}
    if inputs.get("metadataOptions"):
        launch["MetadataOptions"] = _parameters(_METADATA, inputs["metadataOptions"])
    volume = inputs.get("rootBlockDevice")
    if volume:
        ebs = {"DeleteOnTermination": True, **_parameters(_VOLUME, volume)}
        launch["BlockDeviceMappings"] = [{"DeviceName": aws.root_device(inputs["ami"]), "Ebs": ebs}]
    tagged = (("instance", inputs.get("tags")), ("volume", (volume or {}).get("tags")))
    specs = [{"ResourceType": what, "Tags": tag_list(tags)} for what, tags in tagged if tags]
    return {**launch, "TagSpecifications": specs} if specs else launch


def _seen(aws: Aws, instance: dict[str, Any]) -> Observed:
    interfaces = instance.get("NetworkInterfaces") or []
    primary: dict[str, Any] = next((i for i in interfaces if i.get("Attachment", {}).get("DeviceIndex") == 0), {})
    groups = [group["GroupId"] for group in instance.get("SecurityGroups") or primary.get("Groups") or []]
    profile = instance.get("IamInstanceProfile", {}).get("Arn", "")
    seen: Observed = {
        "arn": aws.arn("ec2", f"instance/{instance['InstanceId']}"),
        "ami": instance["ImageId"],
        "instanceType": instance["InstanceType"],
        "instanceState": instance["State"]["Name"],
        "availabilityZone": instance["Placement"]["AvailabilityZone"],
        "tenancy": instance["Placement"].get("Tenancy", "default"),
        "subnetId": instance.get("SubnetId", ""),
        "privateIp": instance.get("PrivateIpAddress", ""),
        "privateDns": instance.get("PrivateDnsName", ""),
        "publicIp": instance.get("PublicIpAddress", ""),
        "publicDns": instance.get("PublicDnsName", ""),
        "primaryNetworkInterfaceId": primary.get("NetworkInterfaceId", ""),
        "vpcSecurityGroupIds": groups,
        "ebsOptimized": instance.get("EbsOptimized", False),
        "monitoring": instance.get("Monitoring", {}).get("State") in ("enabled", "pending"),
        "tags": tag_map(instance.get("Tags")),
    }
    if primary:
        seen["primaryNetworkInterface"] = {"networkInterfaceId": primary["NetworkInterfaceId"]}
    if profile:
        seen["iamInstanceProfile"] = profile.rsplit("/", 1)[-1]
    options = instance.get("MetadataOptions")
    if options:
        seen["metadataOptions"] = {name: options[parameter] for name, parameter in _METADATA.items()}
    return seen


def _create(aws: Aws, inputs: Inputs) -> Made:
    answer = aws.ec2.run_instances(MinCount=1, MaxCount=1, **_launch(aws, inputs))
    instance = answer["Instances"][0]
    # RunInstances answers before the interface and profile are attached; what was asked for is what they will be.
    seen = {**_seen(aws, instance), "instanceState": "running"}
    interface = (inputs.get("primaryNetworkInterface") or {}).get("networkInterfaceId")
    if interface:
        seen["primaryNetworkInterfaceId"] = interface
    return Made(instance["InstanceId"], seen)


def _instance(aws: Aws, id_: str) -> dict[str, Any] | None:
    answer = found(lambda: aws.ec2.describe_instances(InstanceIds=[id_]), "InvalidInstanceID.NotFound")
    instances = [i for r in answer["Reservations"] for i in r["Instances"]] if answer else []
    live = [i for i in instances if i["State"]["Name"] not in ("terminated", "shutting-down")]
    return live[0] if live else None


def _read(aws: Aws, id_: str, state: Observed) -> Observed | None:
    instance = _instance(aws, id_)
    if instance is None:
        return None
    seen = _seen(aws, instance)
    if state.get("userData") is not None:
        attribute = aws.ec2.describe_instance_attribute(InstanceId=id_, Attribute="userData")
        raw = base64.b64decode(attribute.get("UserData", {}).get("Value", ""))
        seen["userData"] = state["userData"] if raw == _user_data(state["userData"]) else raw.decode(errors="replace")
    if state.get("rootBlockDevice") is not None:
        seen["rootBlockDevice"] = _root_volume(aws, instance)
    return seen


def _root_volume(aws: Aws, instance: dict[str, Any]) -> Observed:
    root = instance.get("RootDeviceName")
    attached = instance.get("BlockDeviceMappings") or []
    mapping = next((m["Ebs"] for m in attached if m["DeviceName"] == root), None)
    if mapping is None:
        return {}
    volume = aws.ec2.describe_volumes(VolumeIds=[mapping["VolumeId"]])["Volumes"][0]
    seen = given(volume, encrypted="Encrypted", volumeType="VolumeType", volumeSize="Size")
    whole_device = {"deviceName": root, "volumeId": volume["VolumeId"]}
    kept = {"deleteOnTermination": mapping["DeleteOnTermination"], "tags": tag_map(volume.get("Tags"))}
    return {**seen, **whole_device, **kept}


def _stopped_change(aws: Aws, id_: str, change: Change) -> None:
    """Change shape and user data, for which EC2 needs the instance stopped."""
    aws.ec2.stop_instances(InstanceIds=[id_])
    aws.ec2.get_waiter("instance_stopped").wait(InstanceIds=[id_], WaiterConfig={"Delay": 1})
    if change.touches("instanceType"):
        aws.ec2.modify_instance_attribute(InstanceId=id_, InstanceType={"Value": change.new["instanceType"]})
    if change.touches("userData"):
        raw = _user_data(change.new.get("userData", ""))
        aws.ec2.modify_instance_attribute(InstanceId=id_, UserData={"Value": raw})
    aws.ec2.start_instances(InstanceIds=[id_])
    aws.ec2.get_waiter("instance_running").wait(InstanceIds=[id_], WaiterConfig={"Delay": 1})


def _profile_change(aws: Aws, id_: str, name: str | None) -> None:
    wanted = [{"Name": "instance-id", "Values": [id_]}]
    now = aws.ec2.describe_iam_instance_profile_associations(Filters=wanted)["IamInstanceProfileAssociations"]
    if now and name:
        aws.ec2.replace_iam_instance_profile_association(
            AssociationId=now[0]["AssociationId"], IamInstanceProfile={"Name": name}
        )
    elif name:
        aws.ec2.associate_iam_instance_profile(InstanceId=id_, IamInstanceProfile={"Name": name})
    elif now:
        aws.ec2.disassociate_iam_instance_profile(AssociationId=now[0]["AssociationId"])


def _update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("instanceType", "userData"):
        _stopped_change(aws, id_, change)
    if change.touches("iamInstanceProfile"):
        _profile_change(aws, id_, change.new.get("iamInstanceProfile"))
    if change.touches("metadataOptions"):
        options = _parameters(_METADATA, change.new.get("metadataOptions") or {})
        aws.ec2.modify_instance_metadata_options(InstanceId=id_, **options)
    if change.touches("vpcSecurityGroupIds"):
        aws.ec2.modify_instance_attribute(InstanceId=id_, Groups=change.new.get("vpcSecurityGroupIds") or [])
    if change.touches("disableApiTermination"):
        value = {"Value": bool(change.new.get("disableApiTermination"))}
        aws.ec2.modify_instance_attribute(InstanceId=id_, DisableApiTermination=value)
    if change.touches("monitoring"):
        call = aws.ec2.monitor_instances if change.new.get("monitoring") else aws.ec2.unmonitor_instances
        call(InstanceIds=[id_])
    if change.touches("rootBlockDevice"):
        _volume_change(aws, id_, change)


def _volume_change(aws: Aws, id_: str, change: Change) -> None:
    instance = _instance(aws, id_)
    volume = _root_volume(aws, instance) if instance else {}
    before, after = change.was("rootBlockDevice") or {}, change.new.get("rootBlockDevice") or {}
    sized = given(after, Size="volumeSize", VolumeType="volumeType", Iops="iops", Throughput="throughput")
    if any(before.get(n) != after.get(n) for n in ("volumeSize", "volumeType", "iops", "throughput")):
        aws.ec2.modify_volume(VolumeId=volume["volumeId"], **sized)
    tags, old_tags = after.get("tags") or {}, before.get("tags") or {}
    if tags != old_tags:
        retag_ec2(aws, volume["volumeId"], {}, tags, sorted(old_tags.keys() - tags.keys()))


def _delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidInstanceID.NotFound"):
        aws.ec2.terminate_instances(InstanceIds=[id_])
        aws.ec2.get_waiter("instance_terminated").wait(InstanceIds=[id_], WaiterConfig={"Delay": 1})


def _user_data_fits(inputs: Inputs) -> str | None:
    data = inputs.get("userData")
    size = len(_user_data(data)) if isinstance(data, str) else 0
    return f"userData: {size} bytes are more than EC2's {_USER_DATA_BYTES}" if size > _USER_DATA_BYTES else None


def _with_interface(inputs: Inputs) -> str | None:
    clash = [n for n in ("vpcSecurityGroupIds", "privateIp", "sourceDestCheck") if inputs.get(n) is not None]
    if inputs.get("primaryNetworkInterface") is not None and clash:
        return f"{clash[0]} does not go with primaryNetworkInterface: the interface has its own"
    return None


def _user_data_replaces(old: Inputs, new: Inputs) -> frozenset[str]:
    changed = old.get("userData") != new.get("userData")
    return frozenset({"userData"}) if changed and new.get("userDataReplaceOnChange") else frozenset()


INSTANCE = Kind(
    type_name="aws:ec2/instance:Instance",
    inputs={
        "ami": text(pattern=r"ami-[0-9a-f]{8,17}").need().fixed(),
        "instanceType": text(pattern=r"[a-z0-9-]+\.[a-z0-9-]+").need(),
        "subnetId": aws_id("subnet").fixed(),
        "privateIp": text().fixed(),
        "vpcSecurityGroupIds": SET,
        "primaryNetworkInterface": block(
            networkInterfaceId=aws_id("eni").need().fixed(), deleteOnTermination=FLAG.fixed()
        ).fixed(),
        "iamInstanceProfile": text(),
        "userData": text(),
        "userDataReplaceOnChange": FLAG,
        "tenancy": text("default", "dedicated").fixed(),
        "monitoring": FLAG,
        "ebsOptimized": FLAG.fixed(),
        "disableApiTermination": FLAG,
        "metadataOptions": block(
            httpEndpoint=text("enabled", "disabled"),
            httpTokens=text("optional", "required"),
            httpPutResponseHopLimit=whole(1, 64),
            instanceMetadataTags=text("enabled", "disabled"),
        ),
        "rootBlockDevice": block(
            encrypted=FLAG.fixed(),
            kmsKeyId=text().fixed(),
            volumeType=text("gp2", "gp3", "io1", "io2"),
            volumeSize=whole(1, 65536),
            iops=whole(100, 256000),
            throughput=whole(125, 2000),
            deleteOnTermination=FLAG,
            tags=TAGS,
        ),
    },
    computed=(
        "arn",
        "availabilityZone",
        "instanceState",
        "primaryNetworkInterfaceId",
        "privateDns",
        "privateIp",
        "publicDns",
        "publicIp",
        "subnetId",
        "tenancy",
        "vpcSecurityGroupIds",
    ),
    create=_create,
    read=_read,
    update=_update,
    delete=_delete,
    retag=retag_ec2,
    rules=(exactly_one("subnetId", "primaryNetworkInterface"), _with_interface, _user_data_fits),
    also_replaces=_user_data_replaces,
)

KINDS = (INSTANCE,)
