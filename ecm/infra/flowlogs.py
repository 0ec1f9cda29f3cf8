"""Flow logs of the network into one log group, written by a role that can write nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_aws import cloudwatch, ec2, iam

from ecm.infra.access import trust, write_logs
from ecm.infra.naming import Labels

RETENTION_DAYS = 30
AGGREGATION_S = 600
"""The longer of the two intervals that EC2 offers (60 s and 600 s): a tenth of the records."""


def declare_flow_logs(
    labels: Labels, sources: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions
) -> dict[str, ec2.FlowLog]:
    """Declare one flow log per source; the source `vpc` is a VPC's id, every other is a subnet's, by its name."""
    group = cloudwatch.LogGroup(
        "flow-logs",
        name=f"/ecm/{labels.stack}/flow-logs",
        retention_in_days=RETENTION_DAYS,
        tags=labels.tags("network", "flow-logs"),
        opts=opts,
    )
    role = iam.Role(
        "flow-logs",
        assume_role_policy=trust("vpc-flow-logs.amazonaws.com"),
        description="Writes flow logs to their log group",
        tags=labels.tags("network", "flow-logs"),
        opts=opts,
    )
    policy = iam.RolePolicy("flow-logs", role=role.name, policy=write_logs(group.arn), opts=opts)
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[policy]))
    return {
        name: ec2.FlowLog(
            f"flow-log-{name}",
            vpc_id=source if name == "vpc" else None,
            subnet_id=None if name == "vpc" else source,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=AGGREGATION_S,
            tags=labels.tags("network", f"flow-log-{name}"),
            opts=after,
        )
        for name, source in sorted(sources.items())
    }
