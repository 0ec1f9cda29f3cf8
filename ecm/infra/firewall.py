"""Security group rules, one resource each. No rule ever opens port 22: Session Manager is the way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import vpc

from ecm.infra.naming import Labels

ALL = "-1"
"""Every protocol, in EC2's spelling."""


@dataclass(frozen=True)
class Ports:
    """A protocol and its ports; without ports, every protocol."""

    protocol: str = ALL
    first: int | None = None
    last: int | None = None

    @classmethod
    def udp(cls, first: int, last: int | None = None) -> Ports:
        """Return UDP ports."""
        return cls("udp", first, first if last is None else last)

    @classmethod
    def tcp(cls, port: int) -> Ports:
        """Return one TCP port."""
        return cls("tcp", port, port)

    @classmethod
    def of(cls, text: str) -> Ports:
        """Return the ports that an application writes as `tcp/443` or `udp/3478-3481`."""
        protocol, _, numbers = text.partition("/")
        first, _, last = numbers.partition("-")
        return cls(protocol, int(first), int(last or first))

    def __str__(self) -> str:
        """Return the same text, for a rule's name."""
        if self.first is None:
            return "all"
        return f"{self.protocol}/{self.first}-{self.last}"


EVERY_PORT_BUT_SSH = (Ports("icmp", -1, -1), Ports("tcp", 1, 21), Ports("tcp", 23, 65535), Ports("udp", 1, 65535))
"""What an application without ports of its own may use on its way into a node. A security group cannot tell packets
that are forwarded from those that are for the node itself."""


@dataclass(frozen=True)
class Other:
    """The other side of a rule: exactly one of addresses, a security group or a prefix list."""

    cidr: str | None = None
    group: pulumi.Input[str] | None = None
    prefix_list: pulumi.Input[str] | None = None


@dataclass(frozen=True)
class Firewall:
    """Rules of one security group."""

    labels: Labels
    component: str
    group_id: pulumi.Input[str]
    opts: pulumi.ResourceOptions

    def accept(self, name: str, ports: Ports, source: Other, why: str) -> vpc.SecurityGroupIngressRule:
        """Declare that `source` may reach `ports`."""
        return vpc.SecurityGroupIngressRule(name, **self._arguments(name, ports, source, why), opts=self.opts)

    def reach(self, name: str, ports: Ports, target: Other, why: str) -> vpc.SecurityGroupEgressRule:
        """Declare that the group's members may reach `ports` of `target`."""
        return vpc.SecurityGroupEgressRule(name, **self._arguments(name, ports, target, why), opts=self.opts)

    def _arguments(self, name: str, ports: Ports, other: Other, why: str) -> dict[str, Any]:
        return {
            "security_group_id": self.group_id,
            "ip_protocol": ports.protocol,
            "from_port": ports.first,
            "to_port": ports.last,
            "cidr_ipv4": other.cidr,
            "referenced_security_group_id": other.group,
            "prefix_list_id": other.prefix_list,
            "description": why,
            "tags": self.labels.tags(self.component, name),
        }
