"""Clients of a WireGuard interface as clients of its VPN: they keep their keys and addresses."""

from __future__ import annotations

from ecm.adopt.fleet import named
from ecm.adopt.space import AdoptError
from ecm.adopt.wireguard import Interface, Peer
from ecm.model.rendered import Peer as Client
from ecm.model.rendered import PeerTable


def peer_tables(interfaces: tuple[Interface, ...]) -> tuple[PeerTable, ...]:
    """Return the clients of each VPN that has some, called after their addresses; AdoptError where two share one."""
    return tuple(_table(vpn, one) for vpn, one in named(interfaces) if one.clients)


def _table(vpn: str, one: Interface) -> PeerTable:
    seen: dict[str, Client] = {}
    for peer in one.clients:
        client = _client(peer)
        if client.id in seen:
            raise AdoptError(f"{one.name}: two peers may use {client.address}; WireGuard serves the last one only")
        seen[client.id] = client
    return PeerTable(vpn=vpn, peers=tuple(seen[key] for key in sorted(seen)))


def _client(peer: Peer) -> Client:
    address = peer.networks[0].network_address
    return Client(id=f"c-{str(address).replace('.', '-')}", public_key=peer.public_key, address=address)
