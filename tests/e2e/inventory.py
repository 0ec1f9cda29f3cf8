"""What stands: the resources of the engine's state, and everything that an account holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.standin.embedded import EmbeddedAws

INSTANCE = "aws:ec2/instance:Instance"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


@dataclass(frozen=True)
class Snapshot:
    """The resources of a stack's state."""

    ids: Mapping[str, str]
    """Physical id by URN; the engine's own providers are left out."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Snapshot:
        """Read an exported state."""
        resources = state.get("deployment", {}).get("resources", [])
        kept = (r for r in resources if not r["type"].startswith("pulumi:providers:"))
        return cls({r["urn"]: r.get("id", "") for r in kept})

    @property
    def urns(self) -> set[str]:
        """Every URN."""
        return set(self.ids)

    @property
    def nodes(self) -> dict[str, str]:
        """Instance id by the node's resource name."""
        return self.named(INSTANCE)

    def named(self, kind: str) -> dict[str, str]:
        """Physical id by name of the resources of one type."""
        return {urn.rpartition("::")[2]: i for urn, i in self.ids.items() if urn.split("::")[2].endswith(kind)}

    def kept_by(self, after: Snapshot) -> bool:
        """Whether every resource still stands in `after` under its URN with its id."""
        return all(after.ids.get(urn) == physical for urn, physical in self.ids.items())


# service, call, key of the rows, key of the identity
_CALLS = (
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_managed_prefix_lists", "PrefixLists", "PrefixListId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_volumes", "Volumes", "VolumeId"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ("route53", "list_hosted_zones", "HostedZones", "Id"),
    ("route53", "list_health_checks", "HealthChecks", "Id"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("secretsmanager", "list_secrets", "SecretList", "ARN"),
)


def account(aws: EmbeddedAws) -> set[tuple[str, str]]:
    """(kind, identity) of everything that the account holds.

    Instances that are terminated, endpoints and prefix lists that are deleted are gone: EC2 only still tells of them.
    """
    found = {
        (rows, row[identity])
        for service, call, rows, identity in _CALLS
        for row in getattr(aws.client(service), call)()[rows]
        if row.get("State") not in ("deleted", "delete-complete")
    }
    found |= {("Instances", i["InstanceId"]) for i in instances(aws) if i["State"]["Name"] != "terminated"}
    return found


def instances(aws: EmbeddedAws) -> list[dict[str, Any]]:
    """Every instance that EC2 still tells of."""
    pages = aws.client("ec2").describe_instances()
    return [i for reservation in pages["Reservations"] for i in reservation["Instances"]]
