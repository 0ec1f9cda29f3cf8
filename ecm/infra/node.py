"""One VPNe node: one generation of a slot, with its own network interface, instance and right to publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, iam

from ecm.infra.access import publish
from ecm.infra.naming import Labels
from ecm.model.contract import CONFIG_TAG, SIGNERS_TAG, public_key_key, report_key
from ecm.model.fleet import Role, Tenancy
from ecm.model.plan import Node, Slot

ROOT_GIB = 8
"""Root volume: the size of the node image's own; nothing but logs is added to it."""


@dataclass(frozen=True)
class Ground:
    """What all nodes of a tier stand on."""

    labels: Labels
    tier: str
    role: Role
    tenancy: Tenancy
    public_address: bool
    security_group_id: pulumi.Input[str]
    role_name: pulumi.Input[str]
    profile_name: pulumi.Input[str]
    bucket: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    signers: str
    ready: Sequence[pulumi.Resource]
    """Routes, endpoints, rules and permissions that a node needs when it boots."""


@dataclass(frozen=True)
class NodeSpec:
    """One generation of a slot."""

    ground: Ground
    slot: Slot
    node: Node
    subnet_id: pulumi.Input[str]
    user_data: str
    config: pulumi.Resource
    """The node's base configuration in the bucket."""


class VpneNode(pulumi.ComponentResource):
    """`ecm:aws:VpneNode`: network interface and instance; a public address where the tier exits."""

    def __init__(self, name: str, spec: NodeSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:VpneNode", name, None, opts)
        self._name = name
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        self.interface = self._interface()
        self.public_ip = self._public_address() if spec.ground.public_address else None
        self.instance = self._instance()
        own = (spec.slot.id, spec.node.generation)
        iam.RolePolicy(
            name,
            role=spec.ground.role_name,
            policy=publish(spec.ground.bucket_arn, (public_key_key(*own), report_key(*own)), self.instance.arn),
            opts=self._opts,
        )
        self.register_outputs({"instanceId": self.instance.id, "interfaceId": self.interface.id})

    def _tags(self) -> dict[str, str]:
        ground, generation = self._spec.ground, str(self._spec.node.generation)
        return ground.labels.tags(
            "node", self._name, role=ground.role.value, slot=self._spec.slot.id, generation=generation
        )

    def _interface(self) -> ec2.NetworkInterface:
        return ec2.NetworkInterface(
            self._name,
            subnet_id=self._spec.subnet_id,
            private_ips=[str(self._spec.node.private_ip)],
            security_groups=[self._spec.ground.security_group_id],
            source_dest_check=False,  # it forwards packets that are neither from nor for its own address
            description=f"{self._spec.slot.id} generation {self._spec.node.generation}",
            tags=self._tags(),
            opts=self._opts,
        )

    def _public_address(self) -> pulumi.Output[str]:
        address = ec2.Eip(self._name, domain="vpc", tags=self._tags(), opts=self._opts)
        ec2.EipAssociation(
            self._name,
            allocation_id=address.allocation_id,
            network_interface_id=self.interface.id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self._spec.ground.ready)),
        )
        return address.public_ip

    def _instance(self) -> ec2.Instance:
        ground, node = self._spec.ground, self._spec.node
        return ec2.Instance(
            self._name,
            ami=node.ami,
            instance_type=node.shape,
            primary_network_interface=ec2.InstancePrimaryNetworkInterfaceArgs(network_interface_id=self.interface.id),
            iam_instance_profile=ground.profile_name,
            user_data=self._spec.user_data,
            tenancy=ground.tenancy.value,
            monitoring=False,  # the agent measures every few seconds; EC2's own minute values add nothing
            metadata_options=ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,
                instance_metadata_tags="enabled",
            ),
            root_block_device=ec2.InstanceRootBlockDeviceArgs(
                encrypted=True,
                volume_type="gp3",
                volume_size=ROOT_GIB,
                delete_on_termination=True,
                tags=self._tags(),
            ),
            tags={**self._tags(), CONFIG_TAG: ground.bucket, SIGNERS_TAG: ground.signers},
            # User data acts on the first boot only: another text is for the next generation, and is no reason to stop
            # a running instance.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*ground.ready, self._spec.config], ignore_changes=["userData"]
            ),
        )
