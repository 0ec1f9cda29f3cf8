"""Private addresses, network interfaces and elastic addresses. Test double, not AWS."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Any

import moto.ec2.models.elastic_ip_addresses as elastic
import moto.ec2.models.vpcs as vpcs
from moto.ec2.models import EC2Backend
from moto.ec2.models.route_tables import Route

from tools.standin.refusals.overlay import faults, overlay, refuse

# Elastic addresses come from the range that is reserved for benchmarks (RFC 2544), not from 127.0.0.0/8 as moto's do.
_PUBLIC = int(IPv4Address("198.18.0.0"))
_allocated = count(1)


def _taken(backend: Any, subnet: Any) -> set[str]:
    interfaces = (eni for eni in backend.enis.values() if eni.subnet.id == subnet.id)
    return {address["PrivateIpAddress"] for eni in interfaces for address in eni.private_ip_addresses}


def _check_address(backend: Any, subnet: Any, ip: str) -> None:
    network = IPv4Network(subnet.cidr_block)
    address = IPv4Address(ip)
    if address not in network:
        refuse("InvalidParameterValue", f"Address {ip} does not fall within the subnet's address range")
    offset = int(address) - int(network.network_address)
    if offset < 4 or address == network.broadcast_address:
        refuse("InvalidParameterValue", f"Address {ip} is in subnet's reserved address range")
    if ip in _taken(backend, subnet):
        refuse("InvalidIPAddress.InUse", f"Address {ip} is in use.")


def _free(backend: Any, subnet: Any) -> str:
    """The highest free address: programs that choose addresses count from below."""
    taken = _taken(backend, subnet)
    network = IPv4Network(subnet.cidr_block)
    for offset in range(network.num_addresses - 2, 3, -1):
        ip = str(network.network_address + offset)
        if ip not in taken:
            return ip
    refuse("InsufficientFreeAddressesInSubnet", f"There are not enough free addresses in subnet '{subnet.id}'.")
    raise AssertionError


def _quota(name: str, have: int, code: str, words: str) -> None:
    quota = faults().quotas.get(name)
    if quota is not None and have >= quota:
        refuse(code, words)


def install() -> None:
    """Lay the checks over interfaces, elastic addresses and routes."""
    vpcs.random_private_ip = lambda *_args, **_options: None  # type: ignore[assignment] - chosen within the subnet below
    elastic.random_ip = lambda: str(IPv4Address(_PUBLIC + next(_allocated)))
    _interfaces()
    _elastic_addresses()

    @property  # type: ignore[misc]
    def state(self: Any) -> str:
        """A route to an interface that is gone, or attached to nothing, is a blackhole."""
        interface = self.interface
        if interface is None:
            return "active"
        there = interface.id in interface.ec2_backend.enis and interface.instance is not None
        return "active" if there and interface.instance.state == "running" else "blackhole"

    Route.state = state


def _interfaces() -> None:
    @overlay(EC2Backend, "create_network_interface")
    def create_network_interface(
        original: Any, self: Any, subnet: Any, private_ip_address: Any, private_ip_addresses: Any = None, *rest: Any, **options: Any
    ) -> Any:
        _quota(
            "interfaces",
            len(self.enis),
            "NetworkInterfaceLimitExceeded",
            "The maximum number of network interfaces has been reached.",
        )
        place = self.get_subnet(subnet) if isinstance(subnet, str) else subnet
        asked = [a["PrivateIpAddress"] if isinstance(a, dict) else a for a in private_ip_addresses or []]
        for ip in [*asked, *([private_ip_address] if private_ip_address else [])]:
            _check_address(self, place, ip)
        if not asked and not private_ip_address:
            private_ip_address = _free(self, place)
        for group in (rest[0] if rest else options.get("group_ids")) or []:
            if self.get_security_group_from_id(group) is None:
                refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        return original(self, place, private_ip_address, private_ip_addresses, *rest, **options)

    @overlay(EC2Backend, "assign_private_ip_addresses")
    def assign_private_ip_addresses(original: Any, self: Any, eni_id: str, private_ip_addresses: Any = None, *rest: Any) -> Any:
        for ip in private_ip_addresses or []:
            _check_address(self, self.get_network_interface(eni_id).subnet, ip)
        return original(self, eni_id, private_ip_addresses, *rest)

    @overlay(EC2Backend, "unassign_private_ip_addresses")
    def unassign_private_ip_addresses(original: Any, self: Any, eni_id: str, private_ip_address: Any = None) -> Any:
        if self.get_network_interface(eni_id).private_ip_address in (private_ip_address or []):
            refuse("InvalidParameterValue", "The primary private address of an interface cannot be unassigned")
        return original(self, eni_id, private_ip_address)

    @overlay(EC2Backend, "delete_network_interface")
    def delete_network_interface(original: Any, self: Any, eni_id: str) -> Any:
        eni = self.enis.get(eni_id)
        if eni is not None and eni.attachment_id:
            refuse("InvalidParameterValue", f"Network interface '{eni_id}' is currently in use.")
        answer = original(self, eni_id)
        for address in self.addresses:
            if address.eni is eni:
                address.eni, address.association_id = None, None
        return answer


def _elastic_addresses() -> None:
    @overlay(EC2Backend, "allocate_address")
    def allocate_address(original: Any, self: Any, *args: Any, **options: Any) -> Any:
        words = "The maximum number of addresses has been reached."
        _quota("addresses", len(self.addresses), "AddressLimitExceeded", words)
        return original(self, *args, **options)

    @overlay(EC2Backend, "associate_address")
    def associate_address(original: Any, self: Any, **options: Any) -> Any:
        eni = options.get("eni")
        if eni is not None and not self.internet_gateways_of(eni.vpc_id):
            refuse("Gateway.NotAttached", f"Network {eni.vpc_id} is not attached to any internet gateway")
        taken = eni is not None and any(address.eni is eni for address in self.addresses)
        if taken and not options.get("reassociate"):
            refuse("Resource.AlreadyAssociated", f"resource {eni.id} is already associated with another address")
        return original(self, **options)

    @overlay(EC2Backend, "release_address")
    def release_address(original: Any, self: Any, address: Any = None, allocation_id: Any = None) -> Any:
        for held in self.addresses:
            if held.allocation_id == allocation_id and held.association_id:
                refuse("InvalidIPAddress.InUse", f"Address {held.public_ip} is in use.")
        return original(self, address=address, allocation_id=allocation_id)

    @overlay(EC2Backend, "disassociate_address")
    def disassociate_address(original: Any, self: Any, *args: Any, **options: Any) -> Any:
        for held in self.addresses:
            wanted = held.association_id and held.association_id == options.get("association_id")
            if wanted and getattr(held, "balancer", None):
                refuse("OperationNotPermitted", "You do not have permission to access the specified resource.")
        return original(self, *args, **options)

    def internet_gateways_of(self: Any, vpc_id: str) -> list[Any]:
        return [g for g in self.internet_gateways.values() if g.vpc is not None and g.vpc.id == vpc_id]

    EC2Backend.internet_gateways_of = internet_gateways_of  # type: ignore[attr-defined]
