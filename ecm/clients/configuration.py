"""The file that connects a standard WireGuard client: wg-quick's, by what its applications are to have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import Final

from ecm.clients.roster import ClientError
from ecm.model.fleet import Fleet, WayIn
from ecm.model.policy import Qos
from ecm.model.rendered import Peer

KEEPALIVE_S: Final = 25
"""Below the 30 s and more after which routers on the way forget a UDP flow; servers never speak first."""
PRIVATE_PLACE: Final = "PASTE-THE-PRIVATE-KEY-HERE"


@dataclass(frozen=True)
class Entry:
    """Where a client of a VPN enters for some of its applications."""

    vpn: str
    traffic_class: str
    port: int
    destinations: tuple[IPv4Network, ...]
    """Of the applications that enter there, without overlaps."""
    applications: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """What else stands in a client's file."""

    host: str
    server_key: str
    """Public key that the ingress tier's nodes share."""
    dns: tuple[IPv4Address, ...] = ()
    private_key: str = PRIVATE_PLACE


def entry(
    fleet: Fleet, qos: Qos, vpn: str, *, applications: Sequence[str] = (), traffic_class: str | None = None
) -> Entry:
    """Return the entry of a client for `applications` (none: all that clients of the VPN may use).

    One interface has one entry, and an entry's port decides the class of all that comes in by it: ClientError where the
    applications have several classes and `traffic_class` chooses none of them, or none is left.
    """
    classes = {p.id: p.traffic_class for p in qos.profiles}
    own = {a.id: a for a in fleet.applications if a.vpn == vpn and a.way_in is WayIn.CLIENT}
    unknown = sorted(set(applications) - own.keys())
    if unknown:
        raise ClientError(f"application {unknown[0]}: no client of VPN {vpn} uses one; there is: {', '.join(own)}")
    wanted = [own[name] for name in applications] if applications else list(own.values())
    found = sorted({classes[a.profile] for a in wanted})
    if traffic_class is None and len(found) != 1:
        raise ClientError(
            f"VPN {vpn}: its applications have the classes {', '.join(found) or 'of none'}, each with an entry of its "
            "own; choose one with --class, or name --application, and export a file for each"
        )
    chosen = traffic_class or found[0]
    carried = [a for a in wanted if classes[a.profile] == chosen]
    if not carried:
        raise ClientError(f"class {chosen}: none of the applications is in it; there is: {', '.join(found)}")
    return Entry(
        vpn=vpn,
        traffic_class=chosen,
        port=next(c.listener_port for c in qos.classes if c.id == chosen),
        destinations=tuple(collapse_addresses(d for a in carried for d in a.destinations)),
        applications=tuple(sorted(a.id for a in carried)),
    )


def configuration(peer: Peer, at: Entry, terms: Terms) -> str:
    """Return the file of `peer` as wg-quick and every WireGuard app read it."""
    dns = f"DNS = {', '.join(map(str, terms.dns))}\n" if terms.dns else ""
    return (
        f"# {peer.id} of VPN {at.vpn}, class {at.traffic_class}: {', '.join(at.applications)}\n"
        "[Interface]\n"
        f"PrivateKey = {terms.private_key}\n"
        f"Address = {peer.address}/32\n"
        f"{dns}"
        "\n[Peer]\n"
        f"PublicKey = {terms.server_key}\n"
        f"Endpoint = {terms.host}:{at.port}\n"
        f"AllowedIPs = {', '.join(map(str, at.destinations))}\n"
        f"PersistentKeepalive = {KEEPALIVE_S}\n"
    )
