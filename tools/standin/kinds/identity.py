"""IAM roles, inline policies and instance profiles.

Test double, not the AWS provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tools.standin.kind import Autoname, Aws, Change, Kind, Made, Observed, absent, found, given, tag_list, tag_map
from tools.standin.schema import FLAG, JSON, Inputs, text, whole

_NAME = r"[\w+=,.@-]{1,%d}"
_PATH = r"/|/[\x21-\x7e]{1,510}/"
_GONE = "NoSuchEntity"


def _tags(inputs: Inputs) -> dict[str, Any]:
    return {"Tags": tag_list(inputs["tags"])} if inputs.get("tags") else {}


def _role_seen(role: dict[str, Any]) -> Observed:
    seen = given(role, name="RoleName", path="Path", description="Description", maxSessionDuration="MaxSessionDuration")
    policy = role["AssumeRolePolicyDocument"]
    return {
        **seen,
        "arn": role["Arn"],
        "uniqueId": role["RoleId"],
        "createDate": role["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "assumeRolePolicy": policy if isinstance(policy, str) else json.dumps(policy),
        "tags": tag_map(role.get("Tags")),
    }


def _role_create(aws: Aws, inputs: Inputs) -> Made:
    role = aws.client("iam").create_role(
        RoleName=inputs["name"],
        AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
        **given(inputs, Path="path", Description="description", MaxSessionDuration="maxSessionDuration"),
        **_tags(inputs),
    )["Role"]
    return Made(inputs["name"], {**_role_seen(role), "tags": inputs.get("tags") or {}})


def _role_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.client("iam").get_role(RoleName=id_), _GONE)
    return None if answer is None else _role_seen(answer["Role"])


def _role_update(aws: Aws, id_: str, change: Change) -> None:
    iam = aws.client("iam")
    if change.touches("assumeRolePolicy"):
        iam.update_assume_role_policy(RoleName=id_, PolicyDocument=change.new["assumeRolePolicy"])
    if change.touches("description", "maxSessionDuration"):
        parameters = given(change.new, MaxSessionDuration="maxSessionDuration")
        iam.update_role(RoleName=id_, Description=change.new.get("description", ""), **parameters)


def _role_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(_GONE):
        aws.client("iam").delete_role(RoleName=id_)


def _role_retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    if remove:
        aws.client("iam").untag_role(RoleName=id_, TagKeys=remove)
    if put:
        aws.client("iam").tag_role(RoleName=id_, Tags=tag_list(put))


ROLE = Kind(
    type_name="aws:iam/role:Role",
    inputs={
        "name": text(pattern=_NAME % 64).fixed(),
        "path": text(pattern=_PATH).fixed(),
        "assumeRolePolicy": JSON.need(),
        "description": text(pattern=r".{0,1000}"),
        "maxSessionDuration": whole(3600, 43200),
        "forceDetachPolicies": FLAG,
    },
    computed=("arn", "createDate", "uniqueId"),
    create=_role_create,
    read=_role_read,
    update=_role_update,
    delete=_role_delete,
    retag=_role_retag,
    autoname=Autoname(longest=64),
    regional=False,
)


def _policy_put(aws: Aws, inputs: Inputs) -> None:
    aws.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
    )


def _policy_create(aws: Aws, inputs: Inputs) -> Made:
    _policy_put(aws, inputs)
    return Made(f"{inputs['role']}:{inputs['name']}", {})


def _policy_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    role, name = id_.split(":", 1)
    answer = found(lambda: aws.client("iam").get_role_policy(RoleName=role, PolicyName=name), _GONE)
    if answer is None:
        return None
    document = answer["PolicyDocument"]
    policy = document if isinstance(document, str) else json.dumps(document)
    return {"role": role, "name": name, "policy": policy}


def _policy_delete(aws: Aws, id_: str, _state: Observed) -> None:
    role, name = id_.split(":", 1)
    with absent(_GONE):
        aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


ROLE_POLICY = Kind(
    type_name="aws:iam/rolePolicy:RolePolicy",
    inputs={
        "name": text(pattern=_NAME % 128).fixed(),
        "role": text(pattern=_NAME % 64).need().fixed(),
        "policy": JSON.need(),
    },
    computed=(),
    create=_policy_create,
    read=_policy_read,
    update=lambda aws, _id, change: _policy_put(aws, change.new),
    delete=_policy_delete,
    autoname=Autoname(longest=128),
    regional=False,
)


def _profile_seen(profile: dict[str, Any]) -> Observed:
    roles = profile.get("Roles") or []
    return {
        **given(profile, name="InstanceProfileName", path="Path"),
        "arn": profile["Arn"],
        "uniqueId": profile["InstanceProfileId"],
        "createDate": profile["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "role": roles[0]["RoleName"] if roles else "",
        "tags": tag_map(profile.get("Tags")),
    }


def _profile_create(aws: Aws, inputs: Inputs) -> Made:
    profile = aws.client("iam").create_instance_profile(
        InstanceProfileName=inputs["name"], **given(inputs, Path="path"), **_tags(inputs)
    )["InstanceProfile"]
    return Made(inputs["name"], {**_profile_seen(profile), "tags": inputs.get("tags") or {}})


def _profile_role(aws: Aws, made: Made, inputs: Inputs) -> Observed:
    if inputs.get("role"):
        aws.client("iam").add_role_to_instance_profile(InstanceProfileName=made.id, RoleName=inputs["role"])
    return {"role": inputs.get("role", "")}


def _profile_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.client("iam").get_instance_profile(InstanceProfileName=id_), _GONE)
    return None if answer is None else _profile_seen(answer["InstanceProfile"])


def _profile_without_role(aws: Aws, id_: str, role: str | None) -> None:
    if role:
        with absent(_GONE):
            aws.client("iam").remove_role_from_instance_profile(InstanceProfileName=id_, RoleName=role)


def _profile_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("role"):
        _profile_without_role(aws, id_, change.was("role"))
        _profile_role(aws, Made(id_, {}), change.new)


def _profile_delete(aws: Aws, id_: str, state: Observed) -> None:
    _profile_without_role(aws, id_, state.get("role"))
    with absent(_GONE):
        aws.client("iam").delete_instance_profile(InstanceProfileName=id_)


def _profile_retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    if remove:
        aws.client("iam").untag_instance_profile(InstanceProfileName=id_, TagKeys=remove)
    if put:
        aws.client("iam").tag_instance_profile(InstanceProfileName=id_, Tags=tag_list(put))


INSTANCE_PROFILE = Kind(
    type_name="aws:iam/instanceProfile:InstanceProfile",
    inputs={
        "name": text(pattern=_NAME % 128).fixed(),
        "path": text(pattern=_PATH).fixed(),
        "role": text(pattern=_NAME % 64),
    },
    computed=("arn", "createDate", "uniqueId"),
    create=_profile_create,
    finish=_profile_role,
    read=_profile_read,
    update=_profile_update,
    delete=_profile_delete,
    retag=_profile_retag,
    autoname=Autoname(longest=128),
    regional=False,
)

KINDS = (ROLE, ROLE_POLICY, INSTANCE_PROFILE)
