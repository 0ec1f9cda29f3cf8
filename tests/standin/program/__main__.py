"""A small program for the engine test: a network with nodes, whose number, shape and image are configuration."""

import pulumi
from pulumi_aws import ec2, s3

config = pulumi.Config()
tags = {"ecm:stack": "test"}
vpc = ec2.Vpc("vpc", cidr_block="10.0.0.0/16", tags=tags)
subnet = ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.1.0/24", availability_zone="us-east-1a", tags=tags)
group = ec2.SecurityGroup("nodes", vpc_id=vpc.id, description="nodes", tags=tags)
bucket = s3.Bucket("config", force_destroy=True, tags=tags)
version = s3.BucketVersioning("config", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
base = s3.BucketObjectv2(
    "base",
    bucket=bucket.bucket,
    key="base.json",
    content=config.get("content") or "{}",
    opts=pulumi.ResourceOptions(depends_on=[version]),
)
nodes = {}
for number in range(config.require_int("nodes")):
    name = f"node-{number}"
    interface = ec2.NetworkInterface(
        name,
        subnet_id=subnet.id,
        private_ips=[f"10.0.1.{10 + number}"],
        security_groups=[group.id],
        source_dest_check=False,
        tags=tags,
    )
    nodes[name] = ec2.Instance(
        name,
        ami=config.require("image"),
        instance_type="c7gn.large",
        primary_network_interface={"network_interface_id": interface.id},
        tags=tags,
        # An interface serves one instance: the old one goes first.
        opts=pulumi.ResourceOptions(delete_before_replace=True),
    ).id
pulumi.export("nodes", nodes)
pulumi.export("version", base.version_id)
