"""What may be reached from where: no SSH, and nothing open to the world but the tunnels' ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from ecm.guardrails.rule import Bounds, Resource, ResourceRule

SSH: Final = 22
WORLD_BITS: Final = {4: 8, 6: 16}
"""A range with fewer fixed bits is the world: two halves of the internet are no way round the rule."""
_EVERY: Final = ("-1", "all")
_NAMES: Final = {"6": "tcp", "17": "udp"}
_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@dataclass(frozen=True)
class _Opening:
    """Ports of a protocol that are open to some addresses."""

    protocol: str
    first: int
    last: int
    cidrs: tuple[str, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any], protocol: str, cidrs: tuple[Any, ...]) -> _Opening:
        name = str(protocol).lower()
        name = _NAMES.get(name, name)
        first, last = facts.get("fromPort"), facts.get("toPort")
        if name in _EVERY or first is None:
            return cls(name, 0, 65_535, tuple(str(c) for c in cidrs if c))
        return cls(name, int(first), int(first if last is None else last), tuple(str(c) for c in cidrs if c))

    def __str__(self) -> str:
        protocol = "every protocol" if self.protocol in _EVERY else self.protocol
        return f"{protocol} {self.first}" if self.first == self.last else f"{protocol} {self.first}-{self.last}"

    def holds(self, protocol: str, port: int) -> bool:
        return self.protocol in (*_EVERY, protocol) and self.first <= port <= self.last

    @property
    def to_world(self) -> tuple[str, ...]:
        return tuple(cidr for cidr in self.cidrs if _is_world(cidr))


def _is_world(cidr: str) -> bool:
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        return True  # what cannot be read is not trusted to be narrow
    return network.prefixlen < WORLD_BITS[network.version]


def _openings(resource: Resource) -> Iterator[_Opening]:
    props = resource.props
    if resource.type == _RULE:
        yield _Opening.of(props, props["ipProtocol"], (props.get("cidrIpv4"), props.get("cidrIpv6")))
    elif resource.type == _OLD_RULE and props["type"] == "ingress":
        yield _Opening.of(props, props["protocol"], _cidrs(props))
    elif resource.type == _GROUP:
        for rule in props.get("ingress") or ():
            yield _Opening.of(rule, rule["protocol"], _cidrs(rule))


def _cidrs(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(facts.get("cidrBlocks") or ()), *(facts.get("ipv6CidrBlocks") or ()))


def _no_ssh(resource: Resource, _: Bounds) -> Iterator[str]:
    for opening in _openings(resource):
        if opening.holds("tcp", SSH):
            yield f"{opening} lets SSH in. Leave port 22 out: Session Manager is the way in."


def _world(resource: Resource, bounds: Bounds) -> Iterator[str]:
    allowed = bounds.limits.guardrails.world_open_udp_ports
    for opening in _openings(resource):
        where = ", ".join(opening.to_world)
        if not where:
            continue
        if opening.protocol != "udp" or not set(range(opening.first, opening.last + 1)) <= set(allowed):
            ports = ", ".join(map(str, allowed))
            yield (
                f"{opening} is open to {where}. Only the tunnels' ports may be (udp {ports}): narrow the source, or "
                "write the port into guardrails.world_open_udp_ports of policies/limits.yaml."
            )


RULES: Final = (
    ResourceRule("no-ssh", "No security group lets port 22 in.", _no_ssh),
    ResourceRule("world-open-ports", "Only the tunnels' UDP ports are open to the world.", _world),
)
