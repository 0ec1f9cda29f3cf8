"""What AWS refuses, the embedded AWS refuses with AWS's code, whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from botocore.exceptions import ClientError

from tests.standin.conftest import Plugin, Resource, Site, instance, interface
from tools.standin.embedded import EmbeddedAws

SUBNET = "aws:ec2/subnet:Subnet"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
ADDRESS = "aws:ec2/eip:Eip"
RECORD = "aws:route53/record:Record"
ZONE = "aws:route53/zone:Zone"
LISTENER = "aws:lb/listener:Listener"
SECRET = "aws:secretsmanager/secret:Secret"


def refused(code: str, call: Callable[[], Any]) -> str:
    """Assert that `call` is refused with AWS's `code`; return what the plugin tells the engine."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    words = str(caught.value.details())
    assert f"({code})" in words, words
    return words


def balancer(plugin: Plugin, site: Site, logical: str = "edge", /, **more: Any) -> Resource:
    address = plugin.create(ADDRESS, logical, domain="vpc")
    mapping = {"subnetId": site.subnet.id, "allocationId": address["allocationId"]}
    return plugin.create(BALANCER, logical, loadBalancerType="network", subnetMappings=[mapping], **more)


def targets(plugin: Plugin, site: Site, logical: str = "edge", /, **more: Any) -> Resource:
    inputs = {"port": 51820, "protocol": "UDP", "vpcId": site.vpc.id, **more}
    return plugin.create("aws:lb/targetGroup:TargetGroup", logical, **inputs)


def away(site: Site, cidr: str, zone: str) -> dict[str, str]:
    """Inputs of a subnet in another zone."""
    return {"vpcId": site.vpc.id, "cidrBlock": cidr, "availabilityZone": f"us-east-1{zone}"}


class TestDependents:
    def test_an_interface_in_use_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        node = instance(plugin, eni)
        refused("InvalidParameterValue", lambda: plugin.delete(eni))
        plugin.delete(node)
        plugin.delete(eni)

    def test_a_subnet_with_interfaces_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        refused("DependencyViolation", lambda: plugin.delete(site.subnet))
        plugin.delete(eni)
        plugin.delete(site.subnet)

    def test_a_subnet_with_a_balancer_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        balancer(plugin, site)
        refused("DependencyViolation", lambda: plugin.delete(site.subnet))

    def test_a_vpc_goes_last(self, plugin: Plugin, site: Site) -> None:
        refused("DependencyViolation", lambda: plugin.delete(site.vpc))
        plugin.delete(site.subnet)
        refused("DependencyViolation", lambda: plugin.delete(site.vpc))
        plugin.delete(site.gateway)
        refused("DependencyViolation", lambda: plugin.delete(site.vpc))
        plugin.delete(site.group)
        plugin.delete(site.vpc)

    def test_a_group_in_use_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        refused("DependencyViolation", lambda: plugin.delete(site.group))
        plugin.delete(eni)
        other = plugin.create("aws:ec2/securityGroup:SecurityGroup", "other", vpcId=site.vpc.id)
        rule = plugin.create(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "rule",
            securityGroupId=other.id, referencedSecurityGroupId=site.group.id, ipProtocol="-1",
        )  # fmt: skip
        refused("DependencyViolation", lambda: plugin.delete(site.group))
        plugin.delete(rule)
        plugin.delete(site.group)

    def test_a_gateway_stays_while_addresses_are_mapped(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        address = plugin.create(ADDRESS, "node", domain="vpc")
        association = plugin.create(
            "aws:ec2/eipAssociation:EipAssociation", "node",
            allocationId=address["allocationId"], networkInterfaceId=eni.id,
        )  # fmt: skip
        refused("DependencyViolation", lambda: plugin.delete(site.gateway))
        refused("InvalidIPAddress.InUse", lambda: plugin.delete(address))
        plugin.delete(association)
        plugin.delete(site.gateway)

    def test_a_gateway_stays_while_a_balancer_has_addresses(self, plugin: Plugin, site: Site) -> None:
        made = balancer(plugin, site)
        refused("DependencyViolation", lambda: plugin.delete(site.gateway))
        plugin.delete(made)
        plugin.delete(site.gateway)

    def test_a_balancers_address_is_neither_released_nor_used_twice(self, plugin: Plugin, site: Site) -> None:
        made = balancer(plugin, site)
        address = next(r for r in plugin.made if r.type_name == ADDRESS)
        refused("InvalidIPAddress.InUse", lambda: plugin.delete(address))
        mapping = {"subnetId": site.subnet.id, "allocationId": address["allocationId"]}
        refused(
            "InvalidConfigurationRequest",
            lambda: plugin.create(made.type_name, "two", loadBalancerType="network", subnetMappings=[mapping]),
        )

    def test_a_prefix_list_in_use_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        listed = plugin.create(
            "aws:ec2/managedPrefixList:ManagedPrefixList", "apps", addressFamily="IPv4", maxEntries=1
        )
        plugin.create(
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "rule",
            securityGroupId=site.group.id, prefixListId=listed.id, ipProtocol="-1",
        )  # fmt: skip
        refused("DependencyViolation", lambda: plugin.delete(listed))

    def test_a_route_table_with_subnets_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        table = plugin.create("aws:ec2/routeTable:RouteTable", "public", vpcId=site.vpc.id)
        plugin.create(
            "aws:ec2/routeTableAssociation:RouteTableAssociation", "public",
            routeTableId=table.id, subnetId=site.subnet.id,
        )  # fmt: skip
        refused("DependencyViolation", lambda: plugin.delete(table))

    def test_a_target_group_in_use_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        group = targets(plugin, site)
        plugin.create(
            LISTENER, "edge", loadBalancerArn=balancer(plugin, site)["arn"], port=1, protocol="UDP",
            defaultActions=[{"type": "forward", "targetGroupArn": group["arn"]}],
        )  # fmt: skip
        refused("ResourceInUse", lambda: plugin.delete(group))

    def test_a_protected_balancer_is_not_deleted(self, plugin: Plugin, site: Site) -> None:
        made = balancer(plugin, site, enableDeletionProtection=True)
        refused("OperationNotPermitted", lambda: plugin.delete(made))
        plugin.update(
            made, **{**{n: v for n, v in made.inputs.items() if n != "__defaults"}, "enableDeletionProtection": False}
        )

    def test_a_role_with_policies_or_profiles_is_not_deleted(self, plugin: Plugin) -> None:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]}
        role = plugin.create("aws:iam/role:Role", "node", assumeRolePolicy="{}")
        inline = plugin.create("aws:iam/rolePolicy:RolePolicy", "node", role=role["name"], policy=json.dumps(policy))
        refused("DeleteConflict", lambda: plugin.delete(role))
        plugin.delete(inline)
        plugin.create("aws:iam/instanceProfile:InstanceProfile", "node", role=role["name"])
        refused("DeleteConflict", lambda: plugin.delete(role))

    def test_a_bucket_with_objects_is_not_deleted(self, plugin: Plugin, aws: EmbeddedAws) -> None:
        bucket = plugin.create("aws:s3/bucket:Bucket", "config")
        aws.client("s3").put_object(Bucket=bucket["bucket"], Key="keys/a.pub", Body=b"x")
        refused("BucketNotEmpty", lambda: plugin.delete(bucket))
        plugin.update(bucket, bucket=bucket["bucket"], forceDestroy=True)

    def test_a_zone_with_records_is_not_deleted(self, plugin: Plugin) -> None:
        zone = plugin.create(ZONE, "zone", name="vpn.example.net")
        same = {"zoneId": zone["zoneId"], "type": "A", "ttl": 60, "records": ["192.0.2.1"]}
        plugin.create(RECORD, "a", name="a.vpn.example.net", **same)
        refused("HostedZoneNotEmpty", lambda: plugin.delete(zone))


class TestInstances:
    def test_shape_and_user_data_change_only_while_stopped(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        node = instance(plugin, interface(plugin, site, "10.0.1.10"))
        ec2 = aws.client("ec2")
        for attribute in ({"InstanceType": {"Value": "c7gn.xlarge"}}, {"UserData": {"Value": b"x"}}):
            with pytest.raises(ClientError, match="IncorrectInstanceState"):
                ec2.modify_instance_attribute(InstanceId=node.id, **attribute)
        ec2.stop_instances(InstanceIds=[node.id])
        ec2.modify_instance_attribute(InstanceId=node.id, InstanceType={"Value": "c7gn.xlarge"})

    def test_an_interface_serves_one_instance(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        instance(plugin, eni)
        refused("InvalidNetworkInterface.InUse", lambda: instance(plugin, eni, "second"))

    def test_unknown_shapes_and_shapes_that_a_zone_lacks(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        refused("InvalidParameterValue", lambda: instance(plugin, eni, shape="c99.large"))
        far = plugin.create(SUBNET, "e", **away(site, "10.0.5.0/24", "e"))
        lone = plugin.create(INTERFACE, "e", subnetId=far.id)
        refused("Unsupported", lambda: instance(plugin, lone, shape="c7gn.large"))

    def test_malformed_and_unknown_images(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        aws.faults({"images": {"ami-0123456789abcdef0": "arm64"}})
        refused("InvalidAMIID.NotFound", lambda: instance(plugin, eni))
        aws.faults({"images": {"ami-0ec0a0000000a0001": "x86_64"}})
        assert "architecture" in refused("InvalidParameterValue", lambda: instance(plugin, eni, shape="c7gn.large"))
        aws.faults({"images": {"ami-0ec0a0000000a0001": "arm64"}})
        instance(plugin, eni, shape="c7gn.large")

    def test_it_stands_in_the_zone_of_its_interface(self, plugin: Plugin, site: Site) -> None:
        subnet = plugin.create(SUBNET, "b", **away(site, "10.0.2.0/24", "b"))
        eni = plugin.create(INTERFACE, "b", subnetId=subnet.id, privateIps=["10.0.2.9"])
        node = instance(plugin, eni)
        assert (node["availabilityZone"], node["privateIp"]) == ("us-east-1b", "10.0.2.9")
        assert node["subnetId"] == subnet.id


class TestAddresses:
    def test_a_private_address_is_used_once(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        refused("InvalidIPAddress.InUse", lambda: interface(plugin, site, "10.0.1.10", "second"))
        plugin.delete(eni)
        interface(plugin, site, "10.0.1.10", "third")

    @pytest.mark.parametrize("ip", ["10.0.1.0", "10.0.1.3", "10.0.1.255", "10.0.2.10"])
    def test_reserved_and_foreign_addresses(self, plugin: Plugin, site: Site, ip: str) -> None:
        refused("InvalidParameterValue", lambda: interface(plugin, site, ip))

    def test_an_address_belongs_to_one_interface_at_a_time(self, plugin: Plugin, site: Site) -> None:
        kind = "aws:ec2/eipAssociation:EipAssociation"
        one, two = interface(plugin, site, "10.0.1.10", "one"), interface(plugin, site, "10.0.1.11", "two")
        address = plugin.create(ADDRESS, "a", domain="vpc")["allocationId"]
        other = plugin.create(ADDRESS, "b", domain="vpc")["allocationId"]
        plugin.create(kind, "one", allocationId=address, networkInterfaceId=one.id)
        for allocation, eni in ((address, two), (other, one)):
            again = {"allocationId": allocation, "networkInterfaceId": eni.id}
            refused("Resource.AlreadyAssociated", lambda again=again: plugin.create(kind, "again", **again))

    def test_no_public_address_without_a_gateway(self, plugin: Plugin, site: Site) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        plugin.delete(site.gateway)
        address = plugin.create(ADDRESS, "a", domain="vpc")["allocationId"]
        kind = "aws:ec2/eipAssociation:EipAssociation"
        association = {"allocationId": address, "networkInterfaceId": eni.id}
        refused("Gateway.NotAttached", lambda: plugin.create(kind, "a", **association))
        public = {"loadBalancerType": "network", "subnets": [site.subnet.id]}
        refused("InvalidSubnet", lambda: plugin.create(BALANCER, "e", **public))

    def test_subnets_do_not_overlap(self, plugin: Plugin, site: Site) -> None:
        for code, cidr in (("InvalidSubnet.Conflict", "10.0.1.128/25"), ("InvalidSubnet.Range", "10.1.0.0/24")):
            refused(code, lambda cidr=cidr: plugin.create(SUBNET, "x", **away(site, cidr, "b")))

    def test_one_route_per_destination(self, plugin: Plugin, site: Site) -> None:
        table = plugin.create("aws:ec2/routeTable:RouteTable", "t", vpcId=site.vpc.id)
        same = {"routeTableId": table.id, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": site.gateway.id}
        plugin.create("aws:ec2/route:Route", "one", **same)
        refused("RouteAlreadyExists", lambda: plugin.create("aws:ec2/route:Route", "two", **same))


class TestNames:
    @pytest.mark.parametrize(
        ("type_name", "code", "inputs"),
        [
            ("aws:iam/role:Role", "EntityAlreadyExists", {"name": "twice", "assumeRolePolicy": "{}"}),
            ("aws:iam/instanceProfile:InstanceProfile", "EntityAlreadyExists", {"name": "twice"}),
            ("aws:cloudwatch/logGroup:LogGroup", "ResourceAlreadyExistsException", {"name": "/twice"}),
            (SECRET, "ResourceExistsException", {"name": "twice", "recoveryWindowInDays": 0}),
            ("aws:s3/bucket:Bucket", "BucketAlreadyExists", {"bucket": "ecm-twice"}),
        ],
    )  # fmt: skip
    def test_account_wide(self, plugin: Plugin, type_name: str, code: str, inputs: dict[str, Any]) -> None:
        plugin.create(type_name, "one", **inputs)
        refused(code, lambda: plugin.create(type_name, "two", **inputs))

    def test_of_groups_and_balancers(self, plugin: Plugin, site: Site) -> None:
        group = {"vpcId": site.vpc.id, "name": "twice"}
        plugin.create("aws:ec2/securityGroup:SecurityGroup", "one", **group)
        refused("InvalidGroup.Duplicate", lambda: plugin.create("aws:ec2/securityGroup:SecurityGroup", "two", **group))
        targets(plugin, site, "one", name="twice")
        refused("DuplicateTargetGroupName", lambda: targets(plugin, site, "two", name="twice", port=2))
        balancer(plugin, site, "one", name="twice")
        refused("DuplicateLoadBalancerName", lambda: balancer(plugin, site, "two", name="twice"))

    def test_of_records(self, plugin: Plugin) -> None:
        zone = plugin.create(ZONE, "zone", name="vpn.example.net")
        record = {
            "zoneId": zone["zoneId"],
            "name": "a.vpn.example.net",
            "type": "A",
            "ttl": 60,
            "records": ["192.0.2.1"],
        }
        plugin.create(RECORD, "one", **record)
        refused("InvalidChangeBatch", lambda: plugin.create(RECORD, "two", **record))

    def test_rules_and_listeners(self, plugin: Plugin, site: Site) -> None:
        rule = {
            "securityGroupId": site.group.id,
            "ipProtocol": "tcp",
            "fromPort": 1,
            "toPort": 2,
            "cidrIpv4": "10.0.0.0/8",
        }
        kind = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
        plugin.create(kind, "one", **rule)
        refused("InvalidPermission.Duplicate", lambda: plugin.create(kind, "two", **rule))
        listener = {
            "loadBalancerArn": balancer(plugin, site)["arn"], "port": 51820, "protocol": "UDP",
            "defaultActions": [{"type": "forward", "targetGroupArn": targets(plugin, site)["arn"]}],
        }  # fmt: skip
        plugin.create(LISTENER, "one", **listener)
        refused("DuplicateListener", lambda: plugin.create(LISTENER, "two", **listener))

    def test_a_listener_and_its_targets_speak_one_protocol(self, plugin: Plugin, site: Site) -> None:
        group = targets(plugin, site, protocol="TCP")
        refused(
            "InvalidConfigurationRequest",
            lambda: plugin.create(
                LISTENER, "x", loadBalancerArn=balancer(plugin, site)["arn"], port=1, protocol="UDP",
                defaultActions=[{"type": "forward", "targetGroupArn": group["arn"]}],
            ),
        )  # fmt: skip

    def test_only_running_instances_become_targets(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        node = instance(plugin, interface(plugin, site, "10.0.1.10"))
        aws.client("ec2").stop_instances(InstanceIds=[node.id])
        kind = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
        group = targets(plugin, site)["arn"]
        refused("InvalidTarget", lambda: plugin.create(kind, "x", targetGroupArn=group, targetId=node.id))
        refused("InvalidTarget", lambda: plugin.create(kind, "y", targetGroupArn=group, targetId="i-0123456789abcdef0"))


def test_deleting_one_weighted_record_leaves_the_others(plugin: Plugin) -> None:
    """moto by itself deletes every record of a zone that shares the identifier."""
    zone = plugin.create(ZONE, "zone", name="vpn.example.net")
    same = {
        "zoneId": zone["zoneId"],
        "type": "A",
        "ttl": 60,
        "records": ["192.0.2.1"],
        "weightedRoutingPolicies": [{"weight": 1}],
    }
    made = [
        plugin.create(RECORD, f"{host}{number}", name=f"{host}.vpn.example.net", setIdentifier=number, **same)
        for host in "ab"
        for number in "12"
    ]  # fmt: skip
    plugin.delete(made[0])
    assert plugin.read(made[0]) is None
    assert all(plugin.read(record) is not None for record in made[1:])
