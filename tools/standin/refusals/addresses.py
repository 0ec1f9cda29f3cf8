"""Private addresses, network interfaces and elastic addresses. Test double, not AWS."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import count

import moto.ec2.models.elastic_ip_addresses as elastic
from moto.ec2.models import EC2Backend, vpcs
from moto.ec2.models.route_tables import Route

from tools.standin.refusals.overlay import Moto, Overlays, faults, refuse

# Elastic addresses come from the range that is reserved for benchmarks (RFC 2544), not from 127.0.0.0/8 as moto's do.
_PUBLIC = int(IPv4Address("198.18.0.0"))
_allocated = count(1)

OVERLAYS = Overlays()


def _taken(backend: Moto, subnet: Moto) -> set[str]:
    interfaces = (eni for eni in backend.enis.values() if eni.subnet.id == subnet.id)
    return {address["PrivateIpAddress"] for eni in interfaces for address in eni.private_ip_addresses}


def _check_address(backend: Moto, subnet: Moto, ip: str) -> None:
    network = IPv4Network(subnet.cidr_block)
    address = IPv4Address(ip)
    if address not in network:
        refuse("InvalidParameterValue", f"Address {ip} does not fall within the subnet's address range")
    offset = int(address) - int(network.network_address)
    if offset < 4 or address == network.broadcast_address:
        refuse("InvalidParameterValue", f"Address {ip} is in subnet's reserved address range")
    if ip in _taken(backend, subnet):
        refuse("InvalidIPAddress.InUse", f"Address {ip} is in use.")


def _free(backend: Moto, subnet: Moto) -> str:
    """The highest free address: programs that choose addresses count from below."""
    taken = _taken(backend, subnet)
    network = IPv4Network(subnet.cidr_block)
    for offset in range(network.num_addresses - 2, 3, -1):
        ip = str(network.network_address + offset)
        if ip not in taken:
            return ip
    return refuse("InsufficientFreeAddressesInSubnet", f"There are not enough free addresses in subnet '{subnet.id}'.")


def _quota(name: str, have: int, code: str, words: str) -> None:
    quota = faults().quotas.get(name)
    if quota is not None and have >= quota:
        refuse(code, words)


def gateways_of(backend: Moto, vpc_id: str) -> list[Moto]:
    """Return the internet gateways that are attached to a VPC."""
    return [g for g in backend.internet_gateways.values() if g.vpc is not None and g.vpc.id == vpc_id]


@OVERLAYS.over(vpcs, "random_private_ip")
def _endpoint_address(_original: Moto, *_args: Moto, **_options: Moto) -> None:
    """An endpoint's interface gets a free address of its subnet, chosen as it is made; moto's may lie outside."""


@OVERLAYS.over(elastic, "random_ip")
def _elastic_address(_original: Moto) -> str:
    return str(IPv4Address(_PUBLIC + next(_allocated)))


@OVERLAYS.over(Route, "state")
def _state(_original: Moto, self: Moto) -> str:
    """A route to an interface that is gone, or attached to nothing that runs, is a blackhole."""
    interface = self.interface
    if interface is None:
        return "active"
    there = interface.id in interface.ec2_backend.enis and interface.instance is not None
    return "active" if there and interface.instance.state == "running" else "blackhole"


@OVERLAYS.over(EC2Backend, "create_network_interface")
def _create_network_interface(
    original: Moto,
    self: Moto,
    subnet: Moto,
    private_ip_address: Moto,
    private_ip_addresses: Moto = None,
    *rest: Moto,
    **options: Moto,
) -> Moto:
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


@OVERLAYS.over(EC2Backend, "assign_private_ip_addresses")
def _assign_private_ip_addresses(
    original: Moto, self: Moto, eni_id: str, private_ip_addresses: Moto = None, *rest: Moto
) -> Moto:
    for ip in private_ip_addresses or []:
        _check_address(self, self.get_network_interface(eni_id).subnet, ip)
    return original(self, eni_id, private_ip_addresses, *rest)


@OVERLAYS.over(EC2Backend, "unassign_private_ip_addresses")
def _unassign_private_ip_addresses(original: Moto, self: Moto, eni_id: str, private_ip_address: Moto = None) -> Moto:
    if self.get_network_interface(eni_id).private_ip_address in (private_ip_address or []):
        refuse("InvalidParameterValue", "The primary private address of an interface cannot be unassigned")
    return original(self, eni_id, private_ip_address)


@OVERLAYS.over(EC2Backend, "delete_network_interface")
def _delete_network_interface(original: Moto, self: Moto, eni_id: str) -> Moto:
    eni = self.enis.get(eni_id)
    if eni is not None and eni.attachment_id:
        refuse("InvalidParameterValue", f"Network interface '{eni_id}' is currently in use.")
    answer = original(self, eni_id)
    for address in self.addresses:
        if address.eni is eni:
            address.eni, address.association_id = None, None
    return answer


@OVERLAYS.over(EC2Backend, "allocate_address")
def _allocate_address(original: Moto, self: Moto, *args: Moto, **options: Moto) -> Moto:
    words = "The maximum number of addresses has been reached."
    _quota("addresses", len(self.addresses), "AddressLimitExceeded", words)
    return original(self, *args, **options)


@OVERLAYS.over(EC2Backend, "associate_address")
def _associate_address(original: Moto, self: Moto, **options: Moto) -> Moto:
    eni: Moto = options.get("eni")
    if eni:
        if not gateways_of(self, eni.vpc_id):
            refuse("Gateway.NotAttached", f"Network {eni.vpc_id} is not attached to any internet gateway")
        taken = any(address.eni is eni for address in self.addresses)
        if taken and not options.get("reassociate"):
            refuse("Resource.AlreadyAssociated", f"resource {eni.id} is already associated with another address")
    return original(self, **options)


@OVERLAYS.over(EC2Backend, "release_address")
def _release_address(original: Moto, self: Moto, address: Moto = None, allocation_id: Moto = None) -> Moto:
    for held in self.addresses:
        if held.allocation_id == allocation_id and held.association_id:
            refuse("InvalidIPAddress.InUse", f"Address {held.public_ip} is in use.")
    return original(self, address=address, allocation_id=allocation_id)


@OVERLAYS.over(EC2Backend, "disassociate_address")
def _disassociate_address(original: Moto, self: Moto, *args: Moto, **options: Moto) -> Moto:
    for held in self.addresses:
        wanted = held.association_id and held.association_id == options.get("association_id")
        if wanted and getattr(held, "balancer", None):
            refuse("OperationNotPermitted", "You do not have permission to access the specified resource.")
    return original(self, *args, **options)
