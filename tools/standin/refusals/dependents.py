"""Deletes that AWS refuses while something depends on the thing. Test double, not AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models import EC2Backend
from moto.elbv2.models import elbv2_backends

from tools.standin.refusals.addresses import gateways_of
from tools.standin.refusals.overlay import Moto, Overlays, refuse

OVERLAYS = Overlays()


def _balancers(backend: Moto) -> list[Any]:
    return list(elbv2_backends[backend.account_id][backend.region_name].load_balancers.values())


def _endpoints(backend: Moto) -> list[Any]:
    return [e for e in backend.vpc_end_points.values() if str(e.state).lower() != "deleted"]


def _in_vpc(backend: Moto, vpc_id: str) -> Iterator[str]:
    """What stands in a VPC and stops its deletion."""
    yield from (s.id for zone in backend.subnets.values() for s in zone.values() if s.vpc_id == vpc_id)
    yield from (eni.id for eni in backend.enis.values() if eni.vpc_id == vpc_id)
    yield from (gateway.id for gateway in gateways_of(backend, vpc_id))
    yield from (endpoint.id for endpoint in _endpoints(backend) if endpoint.vpc_id == vpc_id)
    yield from (g.id for g in backend.groups[vpc_id].values() if g.name != "default")


def _refuse_dependent(what: str, id_: str, dependents: Iterator[str]) -> None:
    for dependent in dependents:
        words = f"The {what} '{id_}' has dependencies and cannot be deleted."
        refuse("DependencyViolation", f"{words} ({dependent})")


def _users_of_group(backend: Moto, group_id: str) -> Iterator[str]:
    yield from (eni.id for eni in backend.enis.values() if any(g.id == group_id for g in eni.group_set))
    yield from (e.id for e in _endpoints(backend) if group_id in (e.security_group_ids or []))
    yield from (b.arn for b in _balancers(backend) if group_id in (b.security_groups or []))
    for groups in backend.groups.values():
        for group in groups.values():
            rules = [*group.ingress_rules, *group.egress_rules] if group.id != group_id else []
            yield from (group.id for rule in rules if (rule.source_group or {}).get("GroupId") == group_id)


def _users_of_list(backend: Moto, list_id: str) -> Iterator[str]:
    for groups in backend.groups.values():
        for group in groups.values():
            for rule in (*group.ingress_rules, *group.egress_rules):
                listed = rule.prefix_list_id
                if (listed.get("PrefixListId") if isinstance(listed, dict) else listed) == list_id:
                    yield str(group.id)
    for table in backend.route_tables.values():
        for route in table.routes:
            if route.destination_prefix_list is not None and route.destination_prefix_list.id == list_id:
                yield str(table.id)


def _public_addresses(backend: Moto, vpc_id: str) -> Iterator[str]:
    for address in backend.addresses:
        balancer = getattr(address, "balancer", None)
        if (address.eni is not None and address.eni.vpc_id == vpc_id) or (balancer and balancer.vpc_id == vpc_id):
            yield str(address.public_ip)


@OVERLAYS.over(EC2Backend, "delete_vpc")
def _delete_vpc(original: Moto, self: Moto, vpc_id: str) -> Moto:
    self.get_vpc(vpc_id)
    _refuse_dependent("vpc", vpc_id, _in_vpc(self, vpc_id))
    return original(self, vpc_id)


@OVERLAYS.over(EC2Backend, "delete_subnet")
def _delete_subnet(original: Moto, self: Moto, subnet_id: str) -> Moto:
    interfaces = (eni.id for eni in self.enis.values() if eni.subnet.id == subnet_id)
    _refuse_dependent("subnet", subnet_id, interfaces)
    balancers = (b.arn for b in _balancers(self) if any(s.id == subnet_id for s in b.subnets))
    _refuse_dependent("subnet", subnet_id, balancers)
    answer = original(self, subnet_id)
    for table in self.route_tables.values():  # AWS ends the association together with the subnet
        stale = [key for key, subnet in table._associations.items() if subnet == subnet_id]
        for key in stale:
            table._associations.pop(key)
    return answer


@OVERLAYS.over(EC2Backend, "delete_security_group")
def _delete_security_group(original: Moto, self: Moto, name: Moto = None, group_id: Moto = None) -> Moto:
    group = self.get_security_group_from_id(group_id) if group_id else None
    if group is not None and group.name != "default":
        for user in _users_of_group(self, group_id):
            refuse("DependencyViolation", f"resource {group_id} has a dependent object ({user})")
    return original(self, name, group_id)


@OVERLAYS.over(EC2Backend, "delete_managed_prefix_list")
def _delete_managed_prefix_list(original: Moto, self: Moto, prefix_list_id: str) -> Moto:
    if prefix_list_id not in self.managed_prefix_lists:
        refuse("InvalidPrefixListID.NotFound", f"The prefix list ID '{prefix_list_id}' does not exist.")
    for user in _users_of_list(self, prefix_list_id):
        refuse("DependencyViolation", f"The prefix list '{prefix_list_id}' is in use ({user})")
    return original(self, prefix_list_id)


@OVERLAYS.over(EC2Backend, "detach_internet_gateway")
def _detach_internet_gateway(original: Moto, self: Moto, internet_gateway_id: str, vpc_id: str) -> Moto:
    for _ in _public_addresses(self, vpc_id):
        words = f"Network {vpc_id} has some mapped public address(es). Please unmap those before detaching the gateway."
        refuse("DependencyViolation", words)
    return original(self, internet_gateway_id, vpc_id)
