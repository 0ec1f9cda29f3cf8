"""Where an application's flows go in the lab: an address of its own within its destinations."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Final, Literal

from ecm.lab.errors import LabError
from ecm.lab.state import Server
from ecm.model.fleet import WayIn
from ecm.model.plan import ApplicationRoute, Desired

_INTERNET: Final = tuple(
    IPv4Network(n) for n in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "192.88.99.0/24")
)
"""Where the servers of an application may stand whose destination is the whole internet: networks nobody has there."""
_ANY_PORT: Final = 9000


def servers_of(desired: Desired) -> tuple[Server, ...]:
    """Return a server for every application that clients reach; LabError when there is none."""
    found = []
    taken = [(d, a.vpn) for a in desired.applications for d in a.destinations]
    for at, application in enumerate(sorted(desired.applications, key=lambda a: (a.vpn, a.number))):
        if application.way_in is not WayIn.CLIENT:
            continue
        protocol, port = _service(application)
        found.append(
            Server(
                application=application.application,
                vpn=application.vpn,
                number=at,
                address=_address(application, at, taken),
                protocol=protocol,
                port=port,
            )
        )
    if not found:
        raise LabError("no application of this plan is reached by clients: the lab has no traffic to carry")
    return tuple(found)


def _address(application: ApplicationRoute, at: int, taken: list[tuple[IPv4Network, str]]) -> IPv4Address:
    """Return an address that no narrower destination of the VPN claims."""
    for destination in application.destinations:
        for network in (destination,) if destination.prefixlen > 8 else _INTERNET:
            address = network[min(10 + at, network.num_addresses - 1)]
            claims = [d for d, vpn in taken if vpn == application.vpn and address in d]
            if all(d.prefixlen <= destination.prefixlen for d in claims):
                return address
    raise LabError(f"application {application.application}: every destination is another application's, too")


def _service(application: ApplicationRoute) -> tuple[Literal["udp", "tcp"], int]:
    if not application.ports:
        return "udp", _ANY_PORT
    protocol, _, span = sorted(application.ports, key=lambda p: not p.startswith("udp"))[0].partition("/")
    return ("udp" if protocol == "udp" else "tcp"), int(span.partition("-")[0])
