"""Load balancers: addresses that they hold, protocols of listeners, and the health of targets.

Test double, not AWS.
"""

from __future__ import annotations

from typing import Any, NoReturn

import moto.elbv2.models as balancing
from moto.ec2.utils import random_eip_association_id
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from tools.standin.faults import ANY
from tools.standin.refusals.addresses import gateways_of
from tools.standin.refusals.overlay import Moto, Overlays, faults

_NETWORK = ("UDP", "TCP_UDP", "TLS")
_FITS = {"UDP": ("UDP", "TCP_UDP"), "TCP": ("TCP", "TCP_UDP"), "TCP_UDP": ("TCP_UDP",), "TLS": ("TCP", "TLS")}

OVERLAYS = Overlays()


def _refuse(code: str, message: str) -> NoReturn:
    raise ELBClientError(code, message)


def _hold(backend: Moto, balancer: Moto, mappings: list[dict[str, Any]]) -> None:
    """Bind each mapping's elastic address to the balancer."""
    for mapping in mappings:
        wanted = mapping.get("AllocationId")
        for address in backend.ec2_backend.addresses:
            if wanted and address.allocation_id == wanted:
                address.balancer, address.association_id = balancer, random_eip_association_id()


def _check_allocations(backend: Moto, mappings: list[dict[str, Any]], balancer: Moto = None) -> None:
    known = {address.allocation_id: address for address in backend.ec2_backend.addresses}
    for mapping in mappings:
        wanted = mapping.get("AllocationId")
        if wanted and wanted not in known:
            _refuse("AllocationIdNotFound", f"The allocation IDs '{wanted}' do not exist")
        held = known.get(wanted)
        if (
            held is not None
            and held.association_id
            and (balancer is None or getattr(held, "balancer", None) is not balancer)
        ):
            _refuse("InvalidConfigurationRequest", f"The allocation ID '{wanted}' is already in use")


def _check_gateway(backend: Moto, mappings: list[dict[str, Any]], subnets: list[str], scheme: str) -> None:
    for subnet_id in [*subnets, *(m["SubnetId"] for m in mappings)]:
        subnet = backend.ec2_backend.get_subnet(subnet_id)
        if scheme == "internet-facing" and not gateways_of(backend.ec2_backend, subnet.vpc_id):
            _refuse("InvalidSubnet", f"VPC {subnet.vpc_id} has no internet gateway")


def _check_protocols(backend: Moto, protocol: str | None, actions: list[dict[str, Any]]) -> None:
    for action in actions or []:
        group = backend.target_groups.get(action.get("TargetGroupArn"))
        if group is None:
            _refuse("TargetGroupNotFound", "One or more target groups not found")
        elif protocol in _FITS and group.protocol not in _FITS[protocol]:
            words = (
                f"Listener protocol '{protocol}' is not supported with a target group of protocol '{group.protocol}'"
            )
            _refuse("InvalidConfigurationRequest", words)


@OVERLAYS.over(FakeTargetGroup, "register")
def _register(original: Moto, self: Moto, targets: list[dict[str, Any]]) -> Moto:
    """Moto registers instances that it has never seen."""
    for target in targets:
        instance = self.ec2_backend.get_instance_by_id(target["Id"]) if target["Id"].startswith("i-") else None
        if target["Id"].startswith("i-") and (instance is None or instance.state != "running"):
            _refuse("InvalidTarget", f"The following targets are not in a running state: '{target['Id']}'")
    return original(self, targets)


def _is_unhealthy(backend: Moto, instance_id: str) -> str | None:
    for fault in faults().unhealthy:
        if fault.instance in (ANY, instance_id):
            return fault.reason
        if fault.tags:
            instance = backend.get_instance_by_id(instance_id)
            tags = {tag["key"]: tag["value"] for tag in instance.get_tags()} if instance else {}
            if fault.tags.items() <= tags.items():
                return fault.reason
    return None


@OVERLAYS.over(FakeTargetGroup, "health_for")
def _health_for(original: Moto, self: Moto, target: dict[str, Any], ec2_backend: Moto) -> Moto:
    status = original(self, target, ec2_backend)
    reason = _is_unhealthy(ec2_backend, target["Id"]) if status.status == "healthy" else None
    if reason is None:
        return status
    words = "Health checks failed"
    return FakeHealthStatus(target["Id"], status.port, status.health_check_port, "unhealthy", reason, words)


@OVERLAYS.over(balancing, "make_arn_for_load_balancer")
def _network_arn(original: Moto, **names: Moto) -> str:
    """Moto names every balancer as an application load balancer."""
    return str(original(**names)).replace(":loadbalancer/app/", ":loadbalancer/net/")


@OVERLAYS.over(ELBv2Backend, "create_load_balancer")
def _create_load_balancer(original: Moto, self: Moto, *args: Moto, **options: Moto) -> Moto:
    mappings = options.get("subnet_mappings") or []
    _check_allocations(self, mappings)
    _check_gateway(self, mappings, options.get("subnet_ids") or [], options.get("scheme") or "internet-facing")
    if any(balancer.name == options.get("name") for balancer in self.load_balancers.values()):
        _refuse("DuplicateLoadBalancerName", f"A load balancer with the name '{options.get('name')}' exists")
    if options.get("loadbalancer_type") != "network":
        _refuse("ValidationError", "the embedded AWS has network load balancers only")
    balancer = original(self, *args, **options)
    _hold(self, balancer, mappings)
    return balancer


@OVERLAYS.over(ELBv2Backend, "set_subnets")
def _set_subnets(
    original: Moto, self: Moto, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]
) -> Moto:
    balancer = self.load_balancers.get(arn)
    _check_allocations(self, subnet_mappings, balancer)
    answer = original(self, arn, subnets, subnet_mappings)
    _hold(self, balancer, subnet_mappings)
    return answer


@OVERLAYS.over(ELBv2Backend, "delete_load_balancer")
def _delete_load_balancer(original: Moto, self: Moto, arn: str) -> Moto:
    balancer = self.load_balancers.get(arn)
    if balancer is not None and balancer.attrs.get("deletion_protection.enabled") == "true":
        _refuse(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    answer = original(self, arn)
    for address in self.ec2_backend.addresses:
        if balancer is not None and getattr(address, "balancer", None) is balancer:
            address.balancer, address.association_id = None, None
    return answer


@OVERLAYS.over(ELBv2Backend, "create_listener")
def _create_listener(original: Moto, self: Moto, *args: Moto, **options: Moto) -> Moto:
    _check_protocols(self, options.get("protocol"), options.get("actions") or [])
    balancer = self.load_balancers.get(options.get("load_balancer_arn"))
    # moto looks for the port among the listeners' ARNs, and so never finds it.
    if balancer is not None and any(str(x.port) == str(options.get("port")) for x in balancer.listeners.values()):
        _refuse("DuplicateListener", "A listener already exists on this port for this load balancer")
    return original(self, *args, **options)


@OVERLAYS.over(ELBv2Backend, "modify_listener")
def _modify_listener(original: Moto, self: Moto, arn: str, port: Moto, protocol: str | None, *rest: Moto) -> Moto:
    """Moto knows no listener of a network load balancer but TCP here; the actions are the last argument."""
    _check_protocols(self, protocol, rest[-1] or [])
    if protocol not in _NETWORK:
        return original(self, arn, port, protocol, *rest)
    listener = original(self, arn, port, None, *rest)
    listener.protocol = protocol
    return listener
