"""Client shards: small files `clients/<vpn>/*.json` of `{"peers": [...]}`, merged into one peer table per VPN."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from ecm.model.base import Frozen
from ecm.model.fleet import Vpn
from ecm.model.rendered import Peer, PeerTable
from ecm.store.objects import StoreError


class _Shard(Frozen):
    peers: tuple[Peer, ...]


def merge_shards(vpn: Vpn, shards: Iterable[tuple[str, bytes]]) -> PeerTable | None:
    """Return the peers of all shards (key, bytes), sorted by id; None when there are none.

    StoreError names the shard that is not readable, repeats an id, a key or an address, or uses an address outside the
    VPN's client_cidr.
    """
    seen: dict[str, str] = {}
    peers: list[Peer] = []
    for key, data in shards:
        for peer in read_shard(key, data):
            if peer.address not in vpn.client_cidr:
                raise StoreError(f"{key}: peer {peer.id}: {peer.address} is outside {vpn.id}'s {vpn.client_cidr}")
            for what in (f"id {peer.id}", f"public key {peer.public_key}", f"address {peer.address}"):
                if what in seen:
                    raise StoreError(f"{key}: {what} is already in {seen[what]}; each client has its own")
                seen[what] = key
            peers.append(peer)
    return PeerTable(vpn=vpn.id, peers=tuple(sorted(peers, key=lambda p: p.id))) if peers else None


def read_shard(key: str, data: bytes) -> tuple[Peer, ...]:
    """Return the peers of one shard; StoreError names what is wrong with it."""
    try:
        return _Shard.model_validate_json(data).peers
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StoreError(f'{key}: {where}: {first["msg"]}; write {{"peers": [{{id, public_key, address}}]}}') from None
