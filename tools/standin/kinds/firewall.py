"""Security groups and their rules, one resource per rule.

Test double, not the AWS provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tools.standin.kind import (
    Autoname,
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
from tools.standin.schema import CIDR4, FLAG, Inputs, aws_id, text, whole

# The provider gives this description when the program gives none.
_DESCRIPTION = "Managed by Pulumi"
_WORDS = r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}"


def _group_seen(aws: Aws, group: dict[str, Any]) -> Observed:
    return {
        "arn": aws.arn("ec2", f"security-group/{group['GroupId']}"),
        "name": group["GroupName"],
        "description": group["Description"],
        "vpcId": group.get("VpcId", ""),
        "ownerId": group["OwnerId"],
        "tags": tag_map(group.get("Tags")),
    }


def _group_create(aws: Aws, inputs: Inputs) -> Made:
    description = inputs.get("description", _DESCRIPTION)
    id_ = aws.ec2.create_security_group(
        GroupName=inputs["name"],
        Description=description,
        VpcId=inputs["vpcId"],
        **tag_spec("security-group", inputs),
    )["GroupId"]
    arn = aws.arn("ec2", f"security-group/{id_}")
    return Made(id_, {"arn": arn, "ownerId": aws.account, "description": description})


def _group_finish(aws: Aws, made: Made, _inputs: Inputs) -> None:
    """Revoke the rule to everywhere that EC2 puts into a new group, as the provider does."""
    every = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    aws.ec2.revoke_security_group_egress(GroupId=made.id, IpPermissions=every)


def _group_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(
        lambda: aws.ec2.describe_security_groups(GroupIds=[id_]), "InvalidGroup.NotFound", "InvalidGroupId.NotFound"
    )
    return None if answer is None else _group_seen(aws, answer["SecurityGroups"][0])


def _group_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidGroup.NotFound", "InvalidGroupId.NotFound"):
        aws.ec2.delete_security_group(GroupId=id_)


SECURITY_GROUP = Kind(
    type_name="aws:ec2/securityGroup:SecurityGroup",
    inputs={
        "name": text(pattern=r"(?!sg-)[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}").fixed(),
        "description": text(pattern=_WORDS).fixed(),
        "vpcId": aws_id("vpc").need().fixed(),
        "revokeRulesOnDelete": FLAG,
    },
    computed=("arn", "description", "ownerId"),
    create=_group_create,
    finish=_group_finish,
    read=_group_read,
    update=lambda _aws, _id, _change: None,  # only revokeRulesOnDelete, which lives in the state alone
    delete=_group_delete,
    retag=retag_ec2,
    autoname=Autoname(),
)


def _permission(inputs: Inputs) -> dict[str, Any]:
    words = given(inputs, Description="description")
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    permission |= given(inputs, FromPort="fromPort", ToPort="toPort")
    if inputs.get("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"], **words}]
    elif inputs.get("prefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"], **words}]
    else:
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"], **words}]
    return permission


def _rule_create(direction: str) -> Callable[[Aws, Inputs], Made]:
    def create(aws: Aws, inputs: Inputs) -> Made:
        call = getattr(aws.ec2, f"authorize_security_group_{direction}")
        answer = call(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            **tag_spec("security-group-rule", inputs),
        )
        id_ = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return Made(id_, {"arn": aws.arn("ec2", f"security-group-rule/{id_}"), "securityGroupRuleId": id_})

    return create


def _rule_seen(aws: Aws, rule: dict[str, Any]) -> Observed:
    id_ = rule["SecurityGroupRuleId"]
    protocol = rule["IpProtocol"]
    # With every protocol EC2 tells ports of -1, which the provider does not keep.
    ports = {} if protocol == "-1" else given(rule, fromPort="FromPort", toPort="ToPort")
    source = given(rule, cidrIpv4="CidrIpv4", prefixListId="PrefixListId", description="Description")
    referenced = rule.get("ReferencedGroupInfo") or {}
    return {
        **ports,
        **source,
        **given(referenced, referencedSecurityGroupId="GroupId"),
        "arn": aws.arn("ec2", f"security-group-rule/{id_}"),
        "securityGroupRuleId": id_,
        "securityGroupId": rule["GroupId"],
        "ipProtocol": protocol,
        "tags": tag_map(rule.get("Tags")),
    }


def _rule_read(aws: Aws, id_: str, state: Observed) -> Observed | None:
    wanted: dict[str, Any] = {"SecurityGroupRuleIds": [id_]}
    if state.get("securityGroupId"):
        wanted["Filters"] = [{"Name": "group-id", "Values": [state["securityGroupId"]]}]
    answer = found(
        lambda: aws.ec2.describe_security_group_rules(**wanted),
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidGroup.NotFound",
    )
    rules = [r for r in answer["SecurityGroupRules"] if r["SecurityGroupRuleId"] == id_] if answer else []
    return _rule_seen(aws, rules[0]) if rules else None


def _rule_update(aws: Aws, id_: str, change: Change) -> None:
    rule = given(
        change.new,
        IpProtocol="ipProtocol",
        FromPort="fromPort",
        ToPort="toPort",
        CidrIpv4="cidrIpv4",
        PrefixListId="prefixListId",
        ReferencedGroupId="referencedSecurityGroupId",
        Description="description",
    )
    aws.ec2.modify_security_group_rules(
        GroupId=change.new["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": id_, "SecurityGroupRule": rule}],
    )


def _rule_delete(direction: str) -> Callable[[Aws, str, Observed], None]:
    def delete(aws: Aws, id_: str, state: Observed) -> None:
        call = getattr(aws.ec2, f"revoke_security_group_{direction}")
        with absent("InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound", "InvalidPermission.NotFound"):
            call(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id_])

    return delete


def _ports(inputs: Inputs) -> str | None:
    ports = [inputs.get("fromPort"), inputs.get("toPort")]
    if inputs.get("ipProtocol") == "-1":
        return "fromPort and toPort do not go with ipProtocol -1" if any(p is not None for p in ports) else None
    if inputs.get("ipProtocol") in ("tcp", "udp") and None in ports:
        return "fromPort and toPort are needed with tcp and udp"
    return None


def _rule_kind(direction: str, type_name: str) -> Kind:
    return Kind(
        type_name=type_name,
        inputs={
            "securityGroupId": aws_id("sg").need().fixed(),
            "ipProtocol": text("tcp", "udp", "icmp", "-1", "50", "51", "89").need(),
            "fromPort": whole(-1, 65535),
            "toPort": whole(-1, 65535),
            "cidrIpv4": text(pattern=CIDR4),
            "prefixListId": aws_id("pl"),
            "referencedSecurityGroupId": aws_id("sg"),
            "description": text(pattern=_WORDS),
        },
        computed=("arn", "securityGroupRuleId"),
        create=_rule_create(direction),
        read=_rule_read,
        update=_rule_update,
        delete=_rule_delete(direction),
        retag=retag_ec2,
        rules=(exactly_one("cidrIpv4", "prefixListId", "referencedSecurityGroupId"), _ports),
    )


KINDS = (
    SECURITY_GROUP,
    _rule_kind("ingress", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"),
    _rule_kind("egress", "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"),
)
