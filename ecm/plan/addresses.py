"""Stable addresses and numbers: what a neighbour gains or loses never moves them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from ecm.model.fleet import Network
from ecm.model.plan import NetworkPlan, Subnet, SubnetKind

_KINDS = (SubnetKind.PUBLIC, SubnetKind.PRIVATE, SubnetKind.ENTRY)
_RESERVED = 16
"""Addresses left free at the start of a subnet; AWS itself keeps the first four and the last."""


def subnets(network: Network, zones: tuple[str, ...]) -> tuple[Subnet, ...]:
    """Return one subnet per zone and kind, each a 32nd of the VPC's range, placed by the zone's letter.

    The place depends on nothing but the letter and the kind, so a zone added later moves no other subnet.
    """
    parts = list(network.vpc_cidr.subnets(prefixlen_diff=5))
    return tuple(
        Subnet(
            name=f"{kind.value}-{zone}",
            zone=zone,
            kind=kind,
            cidr=parts[(ord(zone[-1]) - ord("a")) % 10 * len(_KINDS) + _KINDS.index(kind)],
        )
        for zone in sorted(zones)
        for kind in _KINDS
    )


@dataclass
class AddressPool:
    """Hands out free node addresses; everything that the previous plan used is taken until the plan after."""

    network: NetworkPlan
    taken: set[IPv4Address]
    _next: dict[IPv4Network, int] = field(default_factory=dict)

    def subnet(self, zone: str, kind: SubnetKind) -> IPv4Network:
        """Return the range of the subnet of `zone` and `kind`."""
        return next(s.cidr for s in self.network.subnets if (s.zone, s.kind) == (zone, kind))

    def take(self, zone: str, kind: SubnetKind) -> IPv4Address:
        """Return the lowest free address of the subnet; ValueError when it is full."""
        cidr = self.subnet(zone, kind)
        for offset in range(self._next.get(cidr, _RESERVED), cidr.num_addresses - 1):
            address = cidr[offset]
            if address not in self.taken:
                self.taken.add(address)
                self._next[cidr] = offset + 1
                return address
        raise ValueError(f"subnet {cidr} has no free address left; use a larger network.vpc_cidr")


def stable_numbers(keys: Iterable[str], previous: dict[str, int], *, first: int) -> dict[str, int]:
    """Return a number for each key: the previous one where there is one, else the lowest that nobody holds."""
    ordered = sorted(set(keys))
    numbers = {key: previous[key] for key in ordered if key in previous}
    taken = set(previous.values())
    candidate = first
    for key in ordered:
        if key in numbers:
            continue
        while candidate in taken:
            candidate += 1
        numbers[key] = candidate
        taken.add(candidate)
    return numbers
