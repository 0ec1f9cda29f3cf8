"""Rendered node configuration and the peer tables that it names; never a secret."""

from __future__ import annotations

from ipaddress import IPv4Address

from pydantic import Field

from ecm.model.base import Digest, Frozen, Name, PublicKey, SlotId, Text, digest_bytes


class Peer(Frozen):
    """A client of a VPN."""

    id: Name
    public_key: PublicKey
    address: IPv4Address


class PeerTable(Frozen):
    """The clients of one VPN, sorted by id."""

    vpn: Name
    peers: tuple[Peer, ...] = Field(min_length=1)


class ConfigObject(Frozen):
    """One object of the configuration bucket."""

    key: Text
    text: str

    @property
    def digest(self) -> Digest:
        """Digest of the object's bytes."""
        return digest_bytes(self.text.encode())


class NodeConfig(Frozen):
    """Everything rendered for one node."""

    slot: SlotId
    generation: int
    base: ConfigObject
    """JSON: every file of the node by path, that the agent pulls."""
    user_data: str
    """cloud-init that only starts the agent; the same for every version of the configuration."""


class Rendered(Frozen):
    """All rendered configuration of a plan."""

    nodes: tuple[NodeConfig, ...]
    """Sorted by (slot, generation)."""
    shared: tuple[ConfigObject, ...]
    """Objects that several nodes read, such as an ingress tier's peer table."""

    @property
    def objects(self) -> tuple[ConfigObject, ...]:
        """Every object, sorted by key."""
        return tuple(sorted((*(n.base for n in self.nodes), *self.shared), key=lambda o: o.key))
