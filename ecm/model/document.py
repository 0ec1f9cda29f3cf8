"""The base configuration of a node, as `render` writes it and the agent reads it: `templates/node/README.md`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from ecm.model.contract import HEALTH_PATH, HEALTH_PORT, UPLINK
from ecm.model.fields import (
    Address,
    Checked,
    Ed25519,
    Interface,
    Label,
    Network,
    Number,
    ObjectKey,
    Path,
    Place,
    Port,
    Token,
    Word,
)

NODE_TOKEN = "@private:node@"  # noqa: S105 - a placeholder, not a secret
CLIENTS_TABLE = 900
"""The agent's table: a route to each client whose freshest handshake this node holds."""
SIBLINGS_TABLE = 901
"""BIRD's table, which no rule reads: the clients that sibling nodes hold, by the time of their handshake."""
FORWARD_TABLES = 1000
"""And a chain's number: its table that leads towards its exit, on every node but those that end it."""
AGENT_PROTOCOL = 201
"""The routing protocol number that marks the agent's routes."""
CHOICES: Final = "choices"
"""The firewall's map from (source, destination, protocol, port, mark in the base) to the mark that a new flow gets."""
BIRD_FILE = "/etc/ecm/bird.conf"
NFTABLES_FILE = "/etc/ecm/nftables.conf"
SYSCTL_FILE = "/etc/sysctl.d/90-ecm.conf"
CLASSES_FILE = "/etc/ecm/tc/classes.batch"
LEAVES_FILE = "/etc/ecm/tc/leaves.batch"


class NodeIdentity(Checked):
    """Who the configuration is for; the agent refuses another's."""

    stack: Label
    vpn: Label
    tier: Label
    role: Label
    slot: Place
    generation: Number
    number: Number
    zone: Label
    private_ip: Address
    uplink: Literal["ens5"] = UPLINK


class Neighbour(Checked):
    """A node whose public key the agent may take, and where it is published."""

    slot: Place
    generation: Number
    token: Token
    public_key: ObjectKey
    """Key of the object in the configuration bucket."""


class Sibling(Checked):
    """Another node of the same ingress tier: whom a client may move to."""

    slot: Place
    generation: Number
    address: Address


class Secret(Checked):
    """A key of Secrets Manager and the token that stands for it."""

    secret: ObjectKey
    token: Token


class Keys(Checked):
    """Where keys come from and go to: none is in this document."""

    publish: ObjectKey
    """Key of the object that the agent writes its public key to."""
    private: Token = NODE_TOKEN
    edge: Secret | None
    """The private key that the ingress tier's nodes share."""
    pairs: tuple[Secret, ...]


class Device(Checked):
    """A WireGuard interface as the agent creates it. No route follows its allowed addresses."""

    name: Interface
    kind: Literal["edge", "tunnel"]
    config: Path
    mtu: Number
    address: Address | None
    peer_address: Address | None
    multicast: bool
    """OSPF needs the flag, which WireGuard interfaces lack until it is set."""


class Rule(Checked):
    """One `ip rule`; the agent keeps exactly these at priorities 100 to 499."""

    priority: Number
    action: Literal["lookup", "unreachable"]
    table: Number | None = None
    to: Network | None = None
    fwmark: Word | None = None
    mask: Word | None = None


class Clients(Checked):
    """What an ingress node does for its clients."""

    peers: ObjectKey
    interfaces: tuple[Interface, ...]
    network: Network
    """Every client's address lies within."""
    table: Number = CLIENTS_TABLE
    siblings_table: Number = SIBLINGS_TABLE
    protocol: Number = AGENT_PROTOCOL
    siblings: tuple[Sibling, ...]


class HealthCheck(Checked):
    """The agent's HTTP endpoint, and whether it answers 503 to take no new traffic."""

    port: Port = HEALTH_PORT
    path: Literal["/healthz"] = HEALTH_PATH
    draining: bool


class Named(Checked):
    """What a number of the packet mark stands for."""

    number: Number
    id: Label


class Names(Checked):
    """The numbers that this node's packet marks may hold, for metrics."""

    applications: tuple[Named, ...]
    chains: tuple[Named, ...]
    classes: tuple[Named, ...]


class ChainMark(Checked):
    """A chain that an overlay may choose, and the mark of an application's flows on it."""

    chain: Label
    traffic_class: Label
    mark: Word
    table: Number | None
    """Routing table that leads towards the chain's exit; none: the chain ends on the node."""


class Choosable(Checked):
    """An application, its mark in the base, and what an overlay may put in its place."""

    application: Label
    base: Word
    choices: tuple[ChainMark, ...]


class OverlayTerms(Checked):
    """Whose overlay an ingress node takes, from where, and all that it may choose."""

    object: ObjectKey
    signers: tuple[Ed25519, ...] = Field(min_length=1, max_length=8)
    applications: tuple[Choosable, ...]


class Document(Checked):
    """The document, version 1."""

    version: Literal[1] = 1
    node: NodeIdentity
    state: Literal["active", "draining"]
    health: HealthCheck
    names: Names
    keys: Keys
    peers: tuple[Neighbour, ...]
    interfaces: tuple[Device, ...] = Field(max_length=4096)
    rules: tuple[Rule, ...] = Field(max_length=4096)
    clients: Clients | None
    files: dict[Path, str] = Field(max_length=8192)
    overlay: OverlayTerms | None = Field(default=None, exclude_if=lambda value: value is None)
    """None: the node takes none; agents of before there were overlays read such a document, too."""
