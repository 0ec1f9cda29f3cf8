"""What an account holds that no state knows, but for what AWS makes by itself."""

from __future__ import annotations

from tests.e2e.inventory import account
from tests.e2e.project import Project
from tools.standin.embedded import EmbeddedAws


def unknown_to_the_state(project: Project) -> frozenset[tuple[str, str]]:
    """Return (kind, identity) of everything that the engine's state does not have: orphans and doubles."""
    assert project.aws is not None
    ids = {part for known in project.snapshot().ids.values() for part in (known, known.rpartition("/")[2])}
    held = account(project.aws) - _made_by_aws(project.aws, ids)
    return frozenset((kind, name) for kind, name in held if not {name, name.rpartition("/")[2]} & ids)


def _made_by_aws(aws: EmbeddedAws, ids: set[str]) -> set[tuple[str, str]]:
    """What no state has: parts of a VPC, interfaces of balancers and endpoints, root volumes of known instances."""
    ec2 = aws.client("ec2")
    found = set()
    for call, rows, identity in (
        ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
    ):
        for row in getattr(ec2, call)()[rows]:
            tags = row.get("Tags") or row.get("TagSet") or ()
            if not any(tag["Key"] == "ecm:stack" for tag in tags):
                found.add((rows, row[identity]))
    # A health check gets its tags in a second call. AWS tells what it watches, by which one that died before that is
    # found; the embedded AWS does not.
    dns = aws.client("route53")
    for row in dns.list_health_checks()["HealthChecks"]:
        told = dns.list_tags_for_resource(ResourceType="healthcheck", ResourceId=row["Id"])
        if not told["ResourceTagSet"]["Tags"]:
            found.add(("HealthChecks", row["Id"]))
    volumes = ec2.describe_volumes()["Volumes"]
    return found | {
        ("Volumes", row["VolumeId"]) for row in volumes if {a["InstanceId"] for a in row["Attachments"]} & ids
    }
