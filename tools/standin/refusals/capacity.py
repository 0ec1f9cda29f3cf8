"""Capacity, quotas, shapes and images of RunInstances. Test double, not AWS."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from tools.standin.refusals.overlay import Moto, Overlays, faults, refuse

_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
OVERLAYS = Overlays()

_GONE = ("terminated", "shutting-down")


@cache
def _offered(region: str) -> frozenset[tuple[str, str]]:
    rows = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return frozenset((row["InstanceType"], row["Location"]) for row in rows)


def _vcpus(shape: str) -> int:
    return int(INSTANCE_TYPES[shape]["VCpuInfo"]["DefaultVCpus"])


def _zone(backend: Moto, options: dict[str, Any]) -> str:
    for nic in options.get("nics") or []:
        if nic.get("NetworkInterfaceId"):
            return str(backend.get_network_interface(nic["NetworkInterfaceId"]).subnet.availability_zone)
    subnet = options.get("subnet_id")
    return str(backend.get_subnet(subnet).availability_zone) if subnet else f"{backend.region_name}a"


def _check_shape(backend: Moto, shape: str, zone: str, count: int) -> None:
    if shape not in INSTANCE_TYPES:
        refuse("InvalidParameterValue", f"Invalid value '{shape}' for InstanceType.")
    if (shape, zone) not in _offered(backend.region_name):
        words = f"Your requested instance type ({shape}) is not supported in your requested Availability Zone ({zone})."
        refuse("Unsupported", words)
    if not faults().capacity(shape, zone):
        words = f"We currently do not have sufficient {shape} capacity in the Availability Zone you requested ({zone})."
        refuse("InsufficientInstanceCapacity", words)
    quota = faults().quotas.get("vcpus")
    if quota is not None:
        live = (i for r in backend.reservations.values() for i in r.instances if i.state not in _GONE)
        have = sum(_vcpus(i.instance_type) for i in live)
        if have + count * _vcpus(shape) > quota:
            words = f"You have requested more vCPU capacity than your current vCPU limit of {quota} allows."
            refuse("VcpuLimitExceeded", words)


def _check_image(backend: Moto, image_id: str, shape: str) -> None:
    image = backend.describe_images(ami_ids=[image_id])[0]
    architecture = faults().images and image.architecture
    supported = INSTANCE_TYPES[shape]["ProcessorInfo"]["SupportedArchitectures"]
    if architecture and architecture not in supported:
        words = f"The architecture '{architecture}' of the specified AMI does not match that of the instance type."
        refuse("InvalidParameterValue", f"{words} {shape} has {', '.join(supported)}.")


def _know(backend: Moto, image_id: str) -> None:
    """Without a list of images every well-formed id is an image that exists."""
    known = faults().images
    if not _AMI.fullmatch(image_id):
        refuse("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')
    if known is not None and image_id not in known:
        refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    architecture = (known or {}).get(image_id, "arm64")
    if image_id not in backend.amis:
        backend.amis[image_id] = Ami(
            backend,
            ami_id=image_id,
            name=image_id,
            architecture=architecture,
            virtualization_type="hvm",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            region_name=backend.region_name,
        )
    backend.amis[image_id].architecture = architecture


@OVERLAYS.over(EC2Backend, "describe_images")
def _describe_images(original: Moto, self: Moto, ami_ids: Moto = None, **rest: Moto) -> Moto:
    for image_id in ami_ids or []:
        _know(self, image_id)
    return original(self, ami_ids=ami_ids, **rest)


@OVERLAYS.over(EC2Backend, "run_instances")
def _run_instances(original: Moto, self: Moto, image_id: str, count: int, *rest: Moto, **options: Moto) -> Moto:
    _check_shape(self, options["instance_type"], _zone(self, options), count)
    _check_image(self, image_id, options["instance_type"])
    for nic in options.get("nics") or []:
        if nic.get("NetworkInterfaceId") and self.get_network_interface(nic["NetworkInterfaceId"]).attachment_id:
            words = f"Interface: [{nic['NetworkInterfaceId']}] in use."
            refuse("InvalidNetworkInterface.InUse", words)
    return original(self, image_id, count, *rest, **options)
