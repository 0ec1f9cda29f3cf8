"""Removes what a killed `up` made in AWS and no Pulumi state has.

The engine writes down each creation before it begins; a process killed between AWS's answer and the next checkpoint
leaves that note and a resource without an owner. What is removed has the type and the tags or the name of such a note,
and an id that the state does not know: nothing else is ever touched. What the next creation overwrites, since its name
is the same again, needs no removal: OVERWRITTEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import boto3

from ecm.aws.session import client_config, translated

_ORDER: Final = (
    "aws:ec2/instance:Instance",
    "aws:lb/listener:Listener",
    "aws:lb/targetGroup:TargetGroup",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:ec2/eipAssociation:EipAssociation",
    "aws:ec2/eip:Eip",
    "aws:ec2/networkInterface:NetworkInterface",
)
"""Dependants go before what they depend on; the order of all other types does not matter."""
OVERWRITTEN: Final = frozenset(
    {
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
    }
)
"""Registrations, settings and what the program itself names."""
_IDENTITY: Final = ("Name", "ecm:stack", "ecm:slot", "ecm:generation")


@dataclass(frozen=True)
class Creation:
    """A creation that was under way: the resource's Pulumi type and inputs."""

    type: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class _Found:
    """A resource in AWS: what the state may know it as, and how it is removed."""

    id: str
    remove: Callable[[], object]


def remove_leftovers(
    session: boto3.Session, stack: str, begun: Sequence[Creation], known: frozenset[str]
) -> tuple[str, ...]:
    """Remove what the creations in `begun` made, unless its id is `known` to the state; return what was removed.

    AwsError when AWS cannot be asked or refuses; what was removed until then stays removed, and another run goes on.
    """
    removed = []
    ranked = sorted(begun, key=lambda c: _ORDER.index(c.type) if c.type in _ORDER else len(_ORDER))
    for creation in ranked:
        kind = creation.type.rpartition(":")[2]
        finder = _FINDERS.get(creation.type)
        if finder is None:
            continue
        with translated(f"remove what is left of a {kind}"):
            for found in [f for f in finder(_Place(session, stack), creation.inputs) if f.id not in known]:
                found.remove()
                removed.append(f"{kind} {found.id}")
    return tuple(removed)


@dataclass(frozen=True)
class _Place:
    """Where to look."""

    session: boto3.Session
    stack: str

    def client(self, name: str) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        return self.session.client(name, config=client_config())  # type: ignore[call-overload]


_Finder = Callable[[_Place, Mapping[str, Any]], Iterator[_Found]]


def _own(place: _Place, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The tags that tell a resource of this stack; none where the creation does not name the stack."""
    tags = inputs.get("tags") or {}
    if tags.get("ecm:stack") != place.stack:
        return {}
    return {key: str(tags[key]) for key in _IDENTITY if key in tags}


def _of_stack(place: _Place) -> list[dict[str, Any]]:
    return [{"Name": "tag:ecm:stack", "Values": [place.stack]}]


def _has(tags: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> bool:
    have = {tag["Key"]: tag["Value"] for tag in tags}
    return bool(wanted) and all(have.get(key) == value for key, value in wanted.items())


@dataclass(frozen=True)
class _Ec2:
    """A tagged EC2 type: how its rows are called and removed."""

    describe: str
    rows: str
    key: str
    remove: Callable[[Any, str], object]

    def __call__(self, place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
        own, client = _own(place, inputs), place.client("ec2")
        if not own:
            return
        for row in getattr(client, self.describe)(Filters=_of_stack(place))[self.rows]:
            if str(row.get("State", "")).lower().startswith("delet"):
                continue  # EC2 tells of endpoints and prefix lists for a while after they are gone
            if not _has(row.get("Tags") or row.get("TagSet") or (), own):
                continue
            yield _Found(row[self.key], lambda row=row: self.remove(client, row[self.key]))  # type: ignore[misc]


@dataclass(frozen=True)
class _Named:
    """A type whose name the program, or the engine's own naming, sets before AWS is asked."""

    service: str
    call: str
    rows: str
    name: str
    """Key of the name in a row."""
    remove: Callable[[Any, Mapping[str, Any]], object]
    key: str = ""
    """Key of what the state knows a row as; none: its name."""
    wanted: str = "name"
    """The input that sets the name."""

    def __call__(self, place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
        client = place.client(self.service)
        for row in _pages(client, self.call, self.rows):
            if row[self.name] == inputs[self.wanted]:
                yield _Found(row[self.key or self.name], lambda row=row: self.remove(client, row))  # type: ignore[misc]


def _instances(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    own, client = _own(place, inputs), place.client("ec2")
    if not own:
        return
    states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    for reservation in client.describe_instances(Filters=[*_of_stack(place), states])["Reservations"]:
        for row in (r for r in reservation["Instances"] if _has(r.get("Tags", ()), own)):
            yield _Found(row["InstanceId"], lambda i=row["InstanceId"]: _terminate(client, i))  # type: ignore[misc]


def _terminate(client: Any, instance: str) -> None:  # noqa: ANN401 - see `_Place.client`
    client.terminate_instances(InstanceIds=[instance])
    client.get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 5})


def _gateway(client: Any, gateway: str) -> None:  # noqa: ANN401 - see `_Place.client`
    [row] = client.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    for attachment in row["Attachments"]:
        client.detach_internet_gateway(InternetGatewayId=gateway, VpcId=attachment["VpcId"])
    client.delete_internet_gateway(InternetGatewayId=gateway)


def _rules(direction: str) -> _Finder:
    def find(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
        own, client, group = _own(place, inputs), place.client("ec2"), inputs["securityGroupId"]
        revoke = getattr(client, f"revoke_security_group_{direction}")
        filters = [{"Name": "group-id", "Values": [group]}]
        for row in client.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]:
            if row["IsEgress"] is (direction == "egress") and _has(row.get("Tags", ()), own):
                rule = row["SecurityGroupRuleId"]
                yield _Found(rule, lambda r=rule: revoke(GroupId=group, SecurityGroupRuleIds=[r]))  # type: ignore[misc]

    return find


def _routes(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client, table, destination = place.client("ec2"), inputs["routeTableId"], inputs.get("destinationCidrBlock")
    for row in client.describe_route_tables(RouteTableIds=[table])["RouteTables"]:
        if destination and any(r.get("DestinationCidrBlock") == destination for r in row["Routes"]):
            yield _Found(
                f"{table} {destination}",
                lambda: client.delete_route(RouteTableId=table, DestinationCidrBlock=destination),
            )


def _table_associations(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client, subnet = place.client("ec2"), inputs["subnetId"]
    filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
    for row in client.describe_route_tables(Filters=filters)["RouteTables"]:
        for a in row["Associations"]:
            if a.get("SubnetId") == subnet:
                name = a["RouteTableAssociationId"]
                yield _Found(name, lambda n=name: client.disassociate_route_table(AssociationId=n))  # type: ignore[misc]


def _address_associations(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client = place.client("ec2")
    for row in client.describe_addresses(AllocationIds=[inputs["allocationId"]])["Addresses"]:
        name = row.get("AssociationId")
        if name:
            yield _Found(name, lambda n=name: client.disassociate_address(AssociationId=n))  # type: ignore[misc]


def _listeners(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client = place.client("elbv2")
    for row in client.describe_listeners(LoadBalancerArn=inputs["loadBalancerArn"])["Listeners"]:
        if row["Port"] == int(inputs["port"]):
            arn = row["ListenerArn"]
            yield _Found(arn, lambda a=arn: client.delete_listener(ListenerArn=a))  # type: ignore[misc]


def _role_policies(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client, role, name = place.client("iam"), inputs["role"], inputs["name"]
    if name in client.list_role_policies(RoleName=role)["PolicyNames"]:
        yield _Found(f"{role}:{name}", lambda: client.delete_role_policy(RoleName=role, PolicyName=name))


def _delete_profile(client: Any, row: Mapping[str, Any]) -> None:  # noqa: ANN401 - see `_Place.client`
    name = row["InstanceProfileName"]
    for role in row["Roles"]:
        client.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    client.delete_instance_profile(InstanceProfileName=name)


def _health_checks(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    """A health check gets its tags in a second call, so what it watches tells it as well."""
    own, client = _own(place, inputs), place.client("route53")
    for row in _pages(client, "list_health_checks", "HealthChecks"):
        name, config = row["Id"], row["HealthCheckConfig"]
        alarm = (config.get("AlarmIdentifier") or {}).get("Name")
        children = sorted(config.get("ChildHealthChecks") or ())
        watches = (alarm is not None and alarm == inputs.get("cloudwatchAlarmName")) or (
            bool(children) and children == sorted(inputs.get("childHealthchecks") or ())
        )
        tags = client.list_tags_for_resource(ResourceType="healthcheck", ResourceId=name)["ResourceTagSet"]["Tags"]
        if watches or _has(tags, own):
            yield _Found(name, lambda n=name: client.delete_health_check(HealthCheckId=n))  # type: ignore[misc]


def _records(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    client, zone = place.client("route53"), inputs["zoneId"]
    wanted = (str(inputs["name"]).rstrip("."), inputs["type"], inputs.get("setIdentifier"))
    for row in _pages(client, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone):
        if (row["Name"].rstrip("."), row["Type"], row.get("SetIdentifier")) == wanted:
            change = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": row}]}
            yield _Found(
                f"{zone}_{wanted[0]}_{wanted[1]}_{wanted[2]}",
                lambda c=change: client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=c),  # type: ignore[misc]
            )


def _zones(place: _Place, inputs: Mapping[str, Any]) -> Iterator[_Found]:
    own, client = _own(place, inputs), place.client("route53")
    for row in _pages(client, "list_hosted_zones", "HostedZones"):
        name = row["Id"].rpartition("/")[2]
        tags = client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=name)["ResourceTagSet"]["Tags"]
        if row["Name"].rstrip(".") == str(inputs["name"]).rstrip(".") and _has(tags, own):
            yield _Found(name, lambda n=name: client.delete_hosted_zone(Id=n))  # type: ignore[misc]


def _pages(client: Any, call: str, key: str, **given: str) -> Iterator[Any]:  # noqa: ANN401 - see `_Place.client`
    for page in client.get_paginator(call).paginate(**given):
        yield from page[key]


_FINDERS: Final[Mapping[str, _Finder]] = {
    "aws:ec2/instance:Instance": _instances,
    "aws:ec2/networkInterface:NetworkInterface": _Ec2(
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        lambda client, i: client.delete_network_interface(NetworkInterfaceId=i),
    ),
    "aws:ec2/eip:Eip": _Ec2(
        "describe_addresses", "Addresses", "AllocationId", lambda client, i: client.release_address(AllocationId=i)
    ),
    "aws:ec2/eipAssociation:EipAssociation": _address_associations,
    "aws:ec2/securityGroup:SecurityGroup": _Ec2(
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        lambda client, i: client.delete_security_group(GroupId=i),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rules("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rules("egress"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _Ec2(
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        lambda client, i: client.delete_vpc_endpoints(VpcEndpointIds=[i]),
    ),
    "aws:ec2/flowLog:FlowLog": _Ec2(
        "describe_flow_logs", "FlowLogs", "FlowLogId", lambda client, i: client.delete_flow_logs(FlowLogIds=[i])
    ),
    "aws:ec2/managedPrefixList:ManagedPrefixList": _Ec2(
        "describe_managed_prefix_lists",
        "PrefixLists",
        "PrefixListId",
        lambda client, i: client.delete_managed_prefix_list(PrefixListId=i),
    ),
    "aws:ec2/route:Route": _routes,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _table_associations,
    "aws:ec2/routeTable:RouteTable": _Ec2(
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        lambda client, i: client.delete_route_table(RouteTableId=i),
    ),
    "aws:ec2/subnet:Subnet": _Ec2(
        "describe_subnets", "Subnets", "SubnetId", lambda client, i: client.delete_subnet(SubnetId=i)
    ),
    "aws:ec2/internetGateway:InternetGateway": _Ec2(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId", _gateway
    ),
    "aws:ec2/vpc:Vpc": _Ec2("describe_vpcs", "Vpcs", "VpcId", lambda client, i: client.delete_vpc(VpcId=i)),
    "aws:lb/loadBalancer:LoadBalancer": _Named(
        "elbv2",
        "describe_load_balancers",
        "LoadBalancers",
        "LoadBalancerName",
        lambda client, row: client.delete_load_balancer(LoadBalancerArn=row["LoadBalancerArn"]),
        key="LoadBalancerArn",
    ),
    "aws:lb/targetGroup:TargetGroup": _Named(
        "elbv2",
        "describe_target_groups",
        "TargetGroups",
        "TargetGroupName",
        lambda client, row: client.delete_target_group(TargetGroupArn=row["TargetGroupArn"]),
        key="TargetGroupArn",
    ),
    "aws:lb/listener:Listener": _listeners,
    "aws:iam/role:Role": _Named(
        "iam", "list_roles", "Roles", "RoleName", lambda client, row: client.delete_role(RoleName=row["RoleName"])
    ),
    "aws:iam/rolePolicy:RolePolicy": _role_policies,
    "aws:iam/instanceProfile:InstanceProfile": _Named(
        "iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName", _delete_profile
    ),
    "aws:s3/bucket:Bucket": _Named(
        "s3",
        "list_buckets",
        "Buckets",
        "Name",
        lambda client, row: client.delete_bucket(Bucket=row["Name"]),
        wanted="bucket",
    ),
    # The engine names each alarm anew: one that is left would go on beside its successor, and go red.
    "aws:cloudwatch/metricAlarm:MetricAlarm": _Named(
        "cloudwatch",
        "describe_alarms",
        "MetricAlarms",
        "AlarmName",
        lambda client, row: client.delete_alarms(AlarmNames=[row["AlarmName"]]),
    ),
    "aws:cloudwatch/logGroup:LogGroup": _Named(
        "logs",
        "describe_log_groups",
        "logGroups",
        "logGroupName",
        lambda client, row: client.delete_log_group(logGroupName=row["logGroupName"]),
    ),
    # A secret whose creation was under way holds no value yet.
    "aws:secretsmanager/secret:Secret": _Named(
        "secretsmanager",
        "list_secrets",
        "SecretList",
        "Name",
        lambda client, row: client.delete_secret(SecretId=row["ARN"], ForceDeleteWithoutRecovery=True),
        key="ARN",
    ),
    "aws:route53/healthCheck:HealthCheck": _health_checks,
    "aws:route53/record:Record": _records,
    "aws:route53/zone:Zone": _zones,
}
