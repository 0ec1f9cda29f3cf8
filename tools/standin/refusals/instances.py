"""What EC2 does with instances and moto does not. Test double, not AWS."""

from __future__ import annotations

from base64 import b64encode

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses import instances as responses
from moto.ec2.responses.instances import InstanceResponse

from tools.standin.refusals.overlay import Moto, Overlays, refuse

OVERLAYS = Overlays()

_IMAGE_GIB = 8
"""Size of an image's root volume, where the request gives none."""
# Attributes that EC2 changes on a stopped instance only.
_WHEN_STOPPED = ("instance_type", "user_data", "kernel", "ramdisk", "ebs_optimized")


@OVERLAYS.over(EC2Backend, "modify_instance_attribute")
def _modify_instance_attribute(original: Moto, self: Moto, instance_id: str, key: str, value: Moto) -> Moto:
    if key in _WHEN_STOPPED and self.get_instance(instance_id).state != "stopped":
        refuse("IncorrectInstanceState", f"The instance '{instance_id}' is not in the 'stopped' state.")
    return original(self, instance_id, key, value)


@OVERLAYS.over(responses, "parse_user_data")
def _parse_user_data(original: Moto, value: Moto) -> Moto:
    """Moto decodes the user data of ModifyInstanceAttribute and then wants it to be encoded still."""
    return original(b64encode(value).decode() if isinstance(value, bytes) else value)


@OVERLAYS.over(Instance, "prep_nics")
def _prep_nics(original: Moto, self: Moto, *args: Moto, **options: Moto) -> Moto:
    """An instance stands in the zone of its interface."""
    answer = original(self, *args, **options)
    if 0 in self.nics:
        self._placement.zone = self.nics[0].subnet.availability_zone
    return answer


@OVERLAYS.over(Instance, "terminate")
def _terminate(original: Moto, self: Moto) -> Moto:
    """Interfaces that outlive the instance are free again."""
    answer = original(self)
    for interface in self.nics.values():
        if interface.instance is self:
            interface.instance, interface.attachment_id, interface.attach_time = None, None, None
            interface.status = "available"
    return answer


@OVERLAYS.over(InstanceResponse, "run_instances")
def _run_instances(original: Moto, self: Moto) -> Moto:
    """Keep the tenancy and termination protection that were asked for."""
    answer = original(self)
    for instance in answer.result.instances:
        instance.placement.tenancy = self._get_param("Placement.Tenancy") or "default"
        instance.disable_api_termination = bool(self._get_param("DisableApiTermination"))
    return answer


@OVERLAYS.over(InstanceResponse, "_validate_block_device_mapping")
def _sized(original: Moto, device_mapping: Moto) -> None:
    """A root volume without a size has that of its image."""
    volume = device_mapping.get("Ebs", {})
    if "SnapshotId" not in volume:
        volume.setdefault("VolumeSize", _IMAGE_GIB)
    original(device_mapping)
