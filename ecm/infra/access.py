"""IAM: trust and permission documents. No wildcard action; a wildcard resource only where the action knows no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from ecm.model.base import canonical_json
from ecm.model.contract import MANIFEST_KEY, METRIC_NAMESPACE

SESSION_ACTIONS = (
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""What a node needs for Session Manager, which offers no narrower resource than `*` (`AmazonSSMManagedInstanceCore`,
without its parameter, document and inventory actions)."""

Statement = Mapping[str, object]


def trust(service: str) -> str:
    """Return the trust document of a role that only `service` may take."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return document([statement])


def document(statements: Sequence[Statement]) -> str:
    """Return the policy document of `statements`."""
    return canonical_json({"Version": "2012-10-17", "Statement": list(statements)}).decode()


def allow(
    actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Mapping[str, str]] | None = None
) -> Statement:
    """Return one statement that allows `actions` on `resources`."""
    statement: dict[str, object] = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    if condition:
        statement["Condition"] = {test: dict(values) for test, values in condition.items()}
    return statement


def write_logs(group_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the document that lets a role write to one log group."""
    actions = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
    return pulumi.Output.from_input(group_arn).apply(lambda arn: document([allow(actions, [arn, f"{arn}:*"])]))


@dataclass(frozen=True)
class TierGrant:
    """What every node of one tier may read and write."""

    tier: str
    vpn: str
    neighbours: tuple[str, ...]
    """Tiers whose public keys its nodes read."""
    bucket_arn: pulumi.Input[str]
    log_group_arn: pulumi.Input[str]
    secret_arns: tuple[pulumi.Input[str], ...]
    """The edge tier's shared key (ingress tiers only) and the pre-shared keys with its neighbours."""

    def policy(self) -> pulumi.Output[str]:
        """Return the permission document of the tier's role."""
        return pulumi.Output.all(self.bucket_arn, self.log_group_arn, *self.secret_arns).apply(
            lambda arns: document(self._statements(arns[0], arns[1], arns[2:]))
        )

    def _statements(self, bucket: str, log_group: str, secrets: Sequence[str]) -> list[Statement]:
        prefixes = [f"nodes/{self.tier}", f"vpns/{self.vpn}", *(f"keys/{t}" for t in (self.tier, *self.neighbours))]
        statements = [
            allow(
                ("s3:GetObject", "s3:GetObjectVersion"),
                [f"{bucket}/{MANIFEST_KEY}", *(f"{bucket}/{prefix}/*" for prefix in prefixes)],
            ),
            allow(SESSION_ACTIONS, ["*"]),
            allow(
                ("cloudwatch:PutMetricData",),
                ["*"],
                {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
            ),
            allow(("logs:CreateLogStream", "logs:PutLogEvents"), [log_group, f"{log_group}:*"]),
        ]
        if secrets:
            statements.append(allow(("secretsmanager:GetSecretValue",), list(secrets)))
        return statements


def publish(bucket_arn: pulumi.Input[str], keys: Sequence[str], instance_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the document that lets one instance, and no other with its role, write the objects `keys`.

    `ec2:SourceInstanceARN` is in every request that is signed with an instance's own credentials, so a node of a tier
    cannot publish a key in its neighbour's name although both have the tier's role.
    """
    return pulumi.Output.all(bucket_arn, instance_arn).apply(
        lambda arns: document(
            [
                allow(
                    ("s3:PutObject",),
                    [f"{arns[0]}/{key}" for key in keys],
                    {"ArnEquals": {"ec2:SourceInstanceARN": arns[1]}},
                )
            ]
        )
    )
