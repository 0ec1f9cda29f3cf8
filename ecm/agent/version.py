"""One version of a node's configuration: verified bytes, and what they say. Nothing here touches the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from ecm.model.base import digest_bytes
from ecm.model.document import SYSCTL_FILE, Document
from ecm.model.fields import Checked, Label

MAX_BASE: Final = 16 << 20
MAX_PEERS: Final = 64 << 20
HOST_FILES: Final = frozenset(
    {
        SYSCTL_FILE,
        "/etc/modules-load.d/ecm.conf",
        "/etc/systemd/system/ecm-firewall.service",
        "/etc/systemd/system/bird.service.d/ecm.conf",
        "/etc/systemd/system/ecm-agent.service.d/ecm.conf",
    }
)
"""All that a document may hold beside files below /etc/ecm."""
_OWN_FILE: Final = re.compile(r"/etc/ecm/(?:[a-z0-9_-][a-z0-9._-]*/)*[a-z0-9_-][a-z0-9._-]*")
_Model = TypeVar("_Model", bound=BaseModel)

PublicKey = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\z")]


class VersionError(ValueError):
    """Configuration that this node does not take."""


class Client(Checked):
    """A client of the VPN: the only address that its tunnel may use is its own."""

    id: Label
    public_key: PublicKey
    address: IPv4Address


class Peers(Checked):
    """The document `vpns/<vpn>/peers.json`."""

    version: Literal[1]
    vpn: Label
    peers: tuple[Client, ...] = Field(max_length=1 << 20)


@dataclass(frozen=True)
class Identity:
    """Whose configuration this node takes."""

    stack: str
    slot: str
    generation: int


@dataclass(frozen=True)
class Version:
    """A node's configuration as it was signed."""

    serial: int
    base: bytes = field(repr=False)
    peers: bytes | None = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """What names the version: two that say the same have the same, whatever plan they came with."""
        return digest_bytes(self.base + b"\0" + (self.peers or b""))

    @cached_property
    def document(self) -> Document:
        """The node's document."""
        return _parsed(Document, self.base, "base.json")

    @cached_property
    def clients(self) -> tuple[Client, ...]:
        """The VPN's clients; none where no client connects to this node."""
        return () if self.peers is None else _parsed(Peers, self.peers, "peers.json").peers


def check(version: Version, who: Identity) -> None:
    """Refuse a version that is another node's, names files or clients that it may not, or is not understood."""
    document = version.document
    node = document.node
    if (node.stack, node.slot, node.generation) != (who.stack, who.slot, who.generation):
        raise VersionError(
            f"base.json is for {node.stack}/{node.slot} generation {node.generation}, "
            f"this node is {who.stack}/{who.slot} generation {who.generation}"
        )
    for path in document.files:
        if path not in HOST_FILES and not _OWN_FILE.fullmatch(path):
            raise VersionError(f"base.json: files: {path}: a node has no such file")
    missing = [d.config for d in document.interfaces if d.config not in document.files]
    if missing:
        raise VersionError(f"base.json: interfaces: {missing[0]} is not among the files")
    _check_clients(version, document)


def _check_clients(version: Version, document: Document) -> None:
    if document.clients is None:
        return
    if version.peers is None:
        raise VersionError("there is no peers.json for a node that clients connect to")
    if _parsed(Peers, version.peers, "peers.json").vpn != document.node.vpn:
        raise VersionError(f"peers.json is not of VPN {document.node.vpn}")
    keys, addresses = set(), set()
    for client in version.clients:
        if client.address not in document.clients.network:
            raise VersionError(f"peers.json: {client.id}: {client.address} is outside {document.clients.network}")
        keys.add(client.public_key)
        addresses.add(client.address)
    if not len(keys) == len(addresses) == len(version.clients):
        raise VersionError("peers.json: two clients share a key or an address")


def _parsed(model: type[_Model], data: bytes, what: str) -> _Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise VersionError(f"{what}: {'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from None
