"""The lab's internet and VPC: one namespace that routes between nodes, clients and servers, a veth pair to each.

Every packet between nodes crosses it, so a node is cut off by taking its interface down here, as a power cut does: what
the node still sends goes nowhere, and nobody tells its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ecm.lab.commands import batch, inside, run
from ecm.lab.state import CLIENTS_NETWORK, ENTRY_NETWORK, Folder, Lab
from ecm.model.contract import UPLINK
from ecm.model.plan import SubnetKind

VPC_MTU: Final = 9001
INTERNET_MTU: Final = 1500
FLOW_IDLE_S: Final = 120
"""Idle time after which a network load balancer forgets a UDP flow."""
_SETTINGS: Final = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.all.send_redirects=0",
    f"net.netfilter.nf_conntrack_udp_timeout={FLOW_IDLE_S}",
    f"net.netfilter.nf_conntrack_udp_timeout_stream={FLOW_IDLE_S}",
)


@dataclass(frozen=True)
class Cable:
    """A veth pair from a namespace to the underlay."""

    space: str
    name: str
    address: IPv4Address
    mtu: int

    @property
    def port(self) -> str:
        """The underlay's end."""
        return f"p{int(self.address):08x}"


class Underlay:
    """The namespace `net` of a lab."""

    def __init__(self, folder: Folder, lab: Lab) -> None:
        self._space = folder.net
        self._lab = lab
        self._vpc = lab.desired.network.vpc_cidr

    @property
    def gateway(self) -> IPv4Address:
        """The VPC's router."""
        return self._vpc[1]

    @property
    def checkers(self) -> tuple[IPv4Address, ...]:
        """The load balancer's own addresses, one in each entry subnet, from which it checks the nodes' health."""
        entries = [s.cidr for s in self._lab.desired.network.subnets if s.kind is SubnetKind.ENTRY]
        return tuple(cidr[4] for cidr in sorted(entries))

    def up(self) -> None:
        """Make the namespace, its addresses, and the rule that tracks no connection between nodes."""
        run("ip", "netns", "add", self._space)
        for setting in _SETTINGS:
            inside(self._space, "sysctl", "-q", "-w", setting)
        entries = [self._lab.entry(v.id) for v in self._lab.desired.vpns]
        own = [self.gateway, ENTRY_NETWORK[1], *self.checkers, *entries]
        batch(self._space, ["link set lo up", *(f"address add {a}/32 dev lo" for a in own)])
        inside(self._space, "nft", "-f", "-", stdin=_FIREWALL.format(vpc=self._vpc))

    def plug(self, cable: Cable, *, behind: Iterable[IPv4Address] = ()) -> None:
        """Make a cable; `behind` are further addresses that it leads to."""
        run("ip", "link", "add", cable.name, "netns", cable.space, "type", "veth", "peer", "name", cable.port,
            "netns", self._space)  # fmt: skip
        gateway = self.gateway if cable.address in self._vpc else ENTRY_NETWORK[1]
        batch(
            cable.space,
            [
                "link set lo up",
                f"address add {cable.address}/32 dev {cable.name}",
                f"link set {cable.name} mtu {cable.mtu} up",
                f"route add default via {gateway} dev {cable.name} onlink",
            ],
        )
        batch(
            self._space,
            [
                f"link set {cable.port} mtu {cable.mtu} up",
                f"route add {cable.address}/32 dev {cable.port}",
                *(f"route add {address}/32 via {cable.address} dev {cable.port} onlink" for address in behind),
            ],
        )

    def unplug(self, address: IPv4Address) -> None:
        """Remove a cable that is still there."""
        run("ip", "-n", self._space, "link", "del", f"p{int(address):08x}", check=False)

    def cut(self, address: IPv4Address, *, cut: bool) -> None:
        """Take the underlay's end of a cable down, or up again with its route."""
        port = f"p{int(address):08x}"
        if cut:
            run("ip", "-n", self._space, "link", "set", port, "down")
        else:
            batch(self._space, [f"link set {port} up", f"route replace {address}/32 dev {port}"])

    def part(self, address: IPv4Address, others: Iterable[IPv4Address], *, parted: bool) -> None:
        """Let nothing pass between a node and `others`, in either direction, or let it pass again."""
        verb = "add" if parted else "delete"
        pairs = [pair for other in others for pair in ((address, other), (other, address))]
        lines = [f"{verb} element ip underlay parted {{ {one} . {two} }}" for one, two in pairs]
        inside(self._space, "nft", "-f", "-", stdin="\n".join(lines) + "\n", check=parted)


def node_cable(space: str, address: IPv4Address) -> Cable:
    """Return the cable of a node."""
    return Cable(space, UPLINK, address, VPC_MTU)


def client_cable(space: str, address: IPv4Address) -> Cable:
    """Return the cable of a client."""
    return Cable(space, "eth0", address, INTERNET_MTU)


def world_cable(space: str) -> Cable:
    """Return the cable of the application servers."""
    return Cable(space, "eth0", CLIENTS_NETWORK[-2], VPC_MTU)


_FIREWALL: Final = """\
table ip underlay {{
  set parted {{
    type ipv4_addr . ipv4_addr
  }}
  chain untracked {{
    type filter hook prerouting priority raw
    ip saddr {vpc} ip daddr {vpc} notrack
  }}
  chain forward {{
    type filter hook forward priority filter
    ip saddr . ip daddr @parted drop
  }}
}}
"""
