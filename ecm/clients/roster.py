"""The clients of one VPN in their shards, and what adding, changing or removing one makes of a shard. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from pydantic import ValidationError

from ecm.model.fleet import Vpn
from ecm.model.rendered import Peer


class ClientError(Exception):
    """A change of clients that cannot be; nothing was changed."""


@dataclass(frozen=True)
class Shard:
    """One file of clients as it is to be, and the client that the change is about."""

    name: str
    peers: tuple[Peer, ...]
    """Sorted by id; none: the file goes."""
    changed: Peer


def shard_of(client: str) -> str:
    """Return the file that a new client called `client` goes into: one of 256, so that no file grows large."""
    return f"s-{hashlib.sha256(client.encode()).hexdigest()[:2]}"


@dataclass(frozen=True)
class Roster:
    """The clients of `vpn`, by shard; no two share an id, a key or an address."""

    vpn: Vpn
    shards: Mapping[str, tuple[Peer, ...]]

    def peers(self) -> tuple[Peer, ...]:
        """Return every client, sorted by id."""
        return tuple(sorted((p for peers in self.shards.values() for p in peers), key=lambda p: p.id))

    def peer(self, client: str) -> Peer:
        """Return the client called `client`; ClientError where there is none."""
        return self._find(client)[1]

    def add(self, client: str, public_key: str, address: IPv4Address | None = None) -> Shard:
        """Return the shard with a new client, at `address` or the lowest that is free.

        ClientError where the id, key or address is taken or none of the VPN's, or no address is left.
        """
        if any(p.id == client for p in self.peers()):
            raise ClientError(f"client {client}: VPN {self.vpn.id} has one; choose another name, or rotate its key")
        if address is None:
            address = self._free_address()
        else:
            self._check_address(address)
        return self._with(shard_of(client), self._peer(client, public_key, address))

    def rotate(self, client: str, public_key: str) -> Shard:
        """Return the shard with another public key for a client; ClientError where it is another's or its own already.

        The address stays: the old key is cut when the nodes take the change.
        """
        shard, peer = self._find(client)
        return self._with(shard, self._peer(client, public_key, peer.address))

    def revoke(self, client: str) -> Shard:
        """Return the shard without a client."""
        shard, peer = self._find(client)
        return Shard(shard, tuple(p for p in self.shards[shard] if p.id != client), peer)

    def _find(self, client: str) -> tuple[str, Peer]:
        for shard, peers in self.shards.items():
            for peer in peers:
                if peer.id == client:
                    return shard, peer
        raise ClientError(f"client {client}: VPN {self.vpn.id} has none of that name; see: ecm client list")

    def _peer(self, client: str, public_key: str, address: IPv4Address) -> Peer:
        owner = next((p.id for p in self.peers() if p.public_key == public_key), None)
        if owner is not None:
            raise ClientError(f"client {client}: the public key is {owner}'s; each client has its own")
        try:
            return Peer(id=client, public_key=public_key, address=address)
        except ValidationError as error:
            wrong = {str(e["loc"][0]) for e in error.errors(include_url=False)}
            remedy = {
                "id": "the name: lower case letters, digits and single hyphens, 24 at most, a letter first",
                "public_key": "the public key: 32 bytes in base64, as wg pubkey prints",
            }
            named = "; ".join(remedy[field] for field in sorted(wrong) if field in remedy)
            raise ClientError(f"client {client[:40]!a}: cannot be added; correct {named}") from None

    def _with(self, shard: str, peer: Peer) -> Shard:
        others = (p for p in self.shards.get(shard, ()) if p.id != peer.id)
        return Shard(shard, tuple(sorted((*others, peer), key=lambda p: p.id)), peer)

    def _check_address(self, address: IPv4Address) -> None:
        cidr = self.vpn.client_cidr
        if address not in cidr or address in _reserved(self.vpn):
            raise ClientError(f"address {address}: is no client's of VPN {self.vpn.id}; choose one of {cidr}")
        owner = next((p.id for p in self.peers() if p.address == address), None)
        if owner is not None:
            raise ClientError(f"address {address}: is {owner}'s; choose another, or leave --address out")

    def _free_address(self) -> IPv4Address:
        taken = {p.address for p in self.peers()} | _reserved(self.vpn)
        found = next((a for a in _addresses(self.vpn) if a not in taken), None)
        if found is None:
            raise ClientError(
                f"VPN {self.vpn.id}: no address of {self.vpn.client_cidr} is free; revoke clients that are gone, "
                "or give the VPN a wider client_cidr"
            )
        return found


def _addresses(vpn: Vpn) -> Iterator[IPv4Address]:
    first, last = int(vpn.client_cidr.network_address), int(vpn.client_cidr.broadcast_address)
    return (IPv4Address(number) for number in range(first, last + 1))


def _reserved(vpn: Vpn) -> set[IPv4Address]:
    """First and last of a range, which programs take for a network and a broadcast."""
    cidr = vpn.client_cidr
    return {cidr.network_address, cidr.broadcast_address} if cidr.prefixlen < 31 else set()
