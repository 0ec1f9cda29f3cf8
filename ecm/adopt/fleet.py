"""The fleet file of an adopted network: facts where there are facts, and a comment where a person has to decide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from ecm.adopt.space import AdoptError, free_part
from ecm.adopt.wireguard import Interface
from ecm.model.adopted import Adopted, Existing
from ecm.model.fleet import Network

_SHOWN: Final = 60
"""Characters of somebody's name in a comment."""
_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Asked:
    """What the command line and the policies say."""

    stack: str
    region: str
    vpc_cidr: IPv4Network | None
    """ECM's part of the VPC; none: a free one is chosen."""
    client_cidr: IPv4Network | None
    """Of the only VPN, where its configuration does not say it."""
    profile: str
    image: str
    ports: tuple[int, ...]
    """Where ECM's entries listen."""


def fleet_text(asked: Asked, existing: Existing, interfaces: tuple[Interface, ...]) -> str:
    """Return the text of the fleet file; AdoptError where something that it needs cannot be known or is not free."""
    clients = {vpn: _client_cidr(asked, one, len(interfaces)) for vpn, one in named(interfaces)}
    network = network_of(asked, existing, tuple(clients.values()))
    zones = sorted({s.zone for s in existing.adopted.subnets})
    if not zones:
        raise AdoptError(
            f"{existing.vpc_id}: has no subnet in an availability zone, so the fleet's zones are not known"
        )
    lines = [
        "# yaml-language-server: $schema=../policies/schemas/fleet.schema.json",
        f"# Written by `ecm adopt` from {existing.vpc_id} and {_files(interfaces)}; what follows CHECK: is a guess.",
        f"stack: {asked.stack}",
        f"region: {asked.region}",
        f"zones: [{', '.join(zones)}]  # of the VPC's subnets",
        "network:",
        *_network(network, existing),
        "vpns:",
        *(line for vpn, one in named(interfaces) for line in _vpn(vpn, one, clients[vpn], asked)),
        "applications:",
        *(line for vpn, _ in named(interfaces) for line in _application(vpn, asked)),
        "tiers:",
        "  # CHECK: one tier that forwards by itself; add transit and egress tiers where traffic leaves elsewhere.",
        *(f"  - {{id: {vpn}-in, role: ingress, image: {asked.image}}}" for vpn, _ in named(interfaces)),
        "chains:",
        *(f"  - {{id: {vpn}-direct, vpn: {vpn}, tiers: [{vpn}-in]}}" for vpn, _ in named(interfaces)),
    ]
    return "\n".join(lines) + "\n"


def network_of(asked: Asked, existing: Existing, clients: tuple[IPv4Network, ...]) -> Network:
    """Return the network, with ECM's part of it beside all subnets and clients."""
    part = asked.vpc_cidr or free_part(existing.vpc_id, existing.ranges, (*existing.taken, *clients))
    if not any(part.subnet_of(whole) for whole in existing.ranges):
        raise AdoptError(f"{part} is not in {existing.vpc_id}: its ranges are {', '.join(map(str, existing.ranges))}")
    for other in existing.taken:
        if part.overlaps(other):
            raise AdoptError(f"{part} overlaps the subnet {other} of {existing.vpc_id}; give a part that is free")
    if not 16 <= part.prefixlen <= 20:
        raise AdoptError(f"{part}: give a part of /16 to /20, or leave it out")
    return Network(
        vpc_cidr=part,
        vpc_id=existing.vpc_id,
        internet_gateway_id=existing.internet_gateway_id,
        adopted=existing.adopted,
    )


def named(interfaces: tuple[Interface, ...]) -> list[tuple[str, Interface]]:
    """Return each interface with the id of its VPN, from its name; AdoptError where two would be the same."""
    named: dict[str, Interface] = {}
    for one in interfaces:
        plain = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")
        vpn = (plain if plain[:1].isalpha() else f"vpn-{plain}".rstrip("-"))[:16].rstrip("-")
        if vpn in named:
            raise AdoptError(f"{one.name}: another file has the same name, {vpn}; rename one: a VPN is called after it")
        named[vpn] = one
    return sorted(named.items())


def _client_cidr(asked: Asked, one: Interface, count: int) -> IPv4Network:
    found = asked.client_cidr if count == 1 and asked.client_cidr is not None else one.client_cidr()
    if found is None:
        raise AdoptError(
            f"{one.name}: says neither its address nor a client's, so the range of its clients is not known\n"
            "    Give its wg-quick file instead of `wg showconf`, or --client-cidr RANGE"
        )
    outside = [p.address for p in one.clients if p.address is not None and p.address not in found]
    if outside:
        raise AdoptError(f"{one.name}: the client {outside[0]} is outside {found}; give a wider --client-cidr")
    return found


def _files(interfaces: tuple[Interface, ...]) -> str:
    return ", ".join(comment(one.name) for one in interfaces)


def comment(text: str) -> str:
    """Return somebody's text as it may stand in a comment: one line, nothing that a terminal or YAML would act on."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 3] + "..."


def _quoted(text: str) -> str:
    """Return `text` as a YAML scalar in double quotes, all of it ASCII."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isascii() and c.isprintable() else f"\\U{ord(c):08x}" for c in plain) + '"'


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _network(network: Network, existing: Existing) -> list[str]:
    adopted = existing.adopted
    lines = [
        f"  vpc_cidr: {network.vpc_cidr}  # the part that ECM carves its own subnets from; free when this was written",
        f"  vpc_id: {network.vpc_id}{_called(existing, str(network.vpc_id))}",
        f"  internet_gateway_id: {network.internet_gateway_id}{_called(existing, str(network.internet_gateway_id))}",
    ]
    if not (adopted.vpc.dns_support and adopted.vpc.dns_hostnames):
        lines.append("  # CHECK: DNS support or hostnames are off; private names of ECM's endpoints need both.")
    return [*lines, *_adopted(adopted, existing)]


def _adopted(adopted: Adopted, existing: Existing) -> list[str]:
    vpc = adopted.vpc
    dns = f"dns_support: {_flag(vpc.dns_support)}, dns_hostnames: {_flag(vpc.dns_hostnames)}"
    lines = [
        "  # Declared as they stand: never replaced, retagged or deleted. Facts of AWS, not wishes.",
        "  adopted:",
        f"    vpc: {{cidr: {vpc.cidr}, {dns}, tenancy: {vpc.tenancy}}}",
        "    subnets:",
        *(
            f"      - {{id: {s.id}, zone: {s.zone}, cidr: {s.cidr}, "
            f"public_ip_on_launch: {_flag(s.public_ip_on_launch)}}}{_called(existing, s.id)}"
            for s in adopted.subnets
        ),
        "    route_tables:",
        *(f"      - {table}{_called(existing, table)}" for table in adopted.route_tables),
    ]
    if adopted.security_groups:
        lines.append("    security_groups:")
    lines += [
        f"      - {{id: {g.id}, name: {_quoted(g.name)}, description: {_quoted(g.description)}}}"
        for g in adopted.security_groups
    ]
    return [*lines, *(f"    # Not adopted: {comment_all(text)}" for text in existing.left)]


def comment_all(text: str) -> str:
    """Return a text of ECM's own as a comment, whole."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _called(existing: Existing, id_: str) -> str:
    name = existing.names.get(id_)
    return f"  # {comment(name)}" if name else ""


def _vpn(vpn: str, one: Interface, cidr: IPv4Network, asked: Asked) -> list[str]:
    port = f"udp {one.listen_port}" if one.listen_port else "a port that its configuration does not say"
    entries = ", ".join(map(str, asked.ports))
    lines = [
        f"  # {comment(one.name)}: {len(one.clients)} clients, {len(one.sites)} peers with networks behind them.",
        f"  # It listens on {port}; ECM's entries listen on udp {entries}, one port a traffic class.",
    ]
    if one.sites:
        ranges = [str(n) for peer in one.sites for n in peer.networks]
        more = ", ..." if len(ranges) > _EXAMPLES else ""
        said = ", ".join(ranges[:_EXAMPLES]) + more or "no IPv4 address"
        lines.append(f"  # CHECK: a client has one address; these have other ranges and are no clients: {said}.")
    if one.ipv6:
        lines.append(f"  # CHECK: {one.ipv6} IPv6 addresses are left out: tunnels of clients carry IPv4.")
    return [
        *lines,
        f"  - id: {vpn}",
        f"    client_cidr: {cidr}",
        "    time_zone: UTC  # CHECK: whose day and week the traffic follows, such as Europe/Berlin",
    ]


def _application(vpn: str, asked: Asked) -> list[str]:
    return [
        "  # CHECK: WireGuard knows no applications. Divide this by destination, port and need; the profile is the",
        "  # least demanding of policies/qos.yaml. Bandwidth comes from telemetry, not from here.",
        f"  - {{id: {vpn}-all, vpn: {vpn}, profile: {asked.profile}, destinations: [0.0.0.0/0]}}",
    ]
