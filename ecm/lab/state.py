"""What a lab is: a folder whose files say what runs, so that any process can watch, drill or remove it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from ecm import files
from ecm.lab.errors import LabError
from ecm.model.base import Frozen, Name, canonical
from ecm.model.plan import Desired

CLIENTS_NETWORK: Final = IPv4Network("172.30.1.0/24")
"""Where the clients stand on the lab's internet."""
ENTRY_NETWORK: Final = IPv4Network("172.30.0.0/24")
"""Where the load balancer has an address for each VPN."""
CLIENT_PORT: Final = 41000
"""UDP port that the first client sends from; the load balancer's hash depends on it."""


class Condition(StrEnum):
    """What a drill has done to a node."""

    UP = "up"
    KILLED = "killed"
    FROZEN = "frozen"
    PARTITIONED = "partitioned"
    CORDONED = "cordoned"


class Client(Frozen):
    """A standard WireGuard client, alone in its namespace."""

    id: Name
    vpn: Name
    number: int
    public_key: str
    address: IPv4Address
    """Within the VPN."""
    assisted: bool
    """It probes its tunnel and takes another way when the answers stop."""

    @property
    def outer(self) -> IPv4Address:
        """Its address on the lab's internet."""
        return CLIENTS_NETWORK[10 + self.number]

    @property
    def port(self) -> int:
        """UDP port that it sends from at first."""
        return CLIENT_PORT + self.number


class Server(Frozen):
    """Where an application's flows go: an address behind the egress tier."""

    application: Name
    vpn: Name
    number: int
    address: IPv4Address
    protocol: Literal["udp", "tcp"]
    port: int


class Flows(Frozen):
    """The traffic that the lab carries."""

    count: int = Field(ge=1, le=20_000)
    packets_per_s: float = Field(gt=0, le=1000)
    """Of each flow, each way."""
    lifetime_s: float = Field(ge=0)
    """A flow gives way to a new one, from another port, after this long; 0: never."""


class Lab(Frozen):
    """Everything that the processes of a lab share."""

    version: Literal[1] = 1
    desired: Desired
    clients: tuple[Client, ...]
    servers: tuple[Server, ...]
    flows: Flows
    mode: Literal["rehash", "pinned"] = "rehash"
    """What the load balancer does with a flow whose target fails."""
    conditions: dict[str, Condition] = Field(default_factory=dict)
    """Of nodes that are not up, by `slot#generation`."""

    def entry(self, vpn: str) -> IPv4Address:
        """Return the load balancer's address for a VPN."""
        return ENTRY_NETWORK[10 + [v.id for v in self.desired.vpns].index(vpn)]


class Folder:
    """The lab's files."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def tag(self) -> str:
        """Four hex digits that tell this lab's interfaces and namespaces from another's."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:4]

    @property
    def prefix(self) -> str:
        """What the names of all its namespaces begin with."""
        return f"ecmlab-{self.tag}-"

    @property
    def net(self) -> str:
        """The namespace of the lab's internet and VPC router, with the load balancer."""
        return f"{self.prefix}net"

    @property
    def world(self) -> str:
        """The namespace of the application servers."""
        return f"{self.prefix}world"

    def space(self, node: str) -> str:
        """Return the namespace of a node, by `slot#generation`."""
        return self.prefix + node.replace("/", "_").replace("#", "_g")

    def client_space(self, client: Client) -> str:
        """Return a client's namespace."""
        return f"{self.prefix}{client.id}"

    def client_device(self, client: Client) -> str:
        """Return a client's tunnel interface; its name is unique, because wireguard-go's sockets share one folder."""
        return f"wg{self.tag}c{client.number}"

    def node(self, node: str) -> Path:
        """Return the folder that is a node's disk."""
        return self.path / "nodes" / node.replace("/", "_").replace("#", "_g")

    @property
    def bucket(self) -> Path:
        """The configuration bucket."""
        return self.path / "bucket"

    @property
    def secrets(self) -> Path:
        """The secrets, one file each, that only their tiers' nodes read on AWS."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        """What the lab's own processes print."""
        return self.path / "logs"

    @property
    def recording(self) -> Path:
        """The packets' times."""
        return self.path / "recording"

    def exists(self) -> bool:
        """Return whether a lab was made here."""
        return (self.path / "lab.json").is_file()

    def read(self) -> Lab:
        """Return what the lab is; LabError when there is none."""
        try:
            return Lab.model_validate_json((self.path / "lab.json").read_bytes())
        except FileNotFoundError as error:
            raise LabError(f"no lab in {self.path}: start one with `ecm lab up`") from error
        except ValueError as error:
            raise LabError(f"{self.path / 'lab.json'}: {error}; remove the lab with `ecm lab down`") from error

    def write(self, lab: Lab) -> None:
        """Replace what the lab is, at once."""
        write(self.path / "lab.json", canonical(lab))


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that its readers see the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, data, mode)


def nodes(desired: Desired) -> dict[str, tuple[str, IPv4Address]]:
    """Return (tier, private address) of every node generation, by `slot#generation`."""
    return {
        f"{slot.id}#{node.generation}": (tier.id, node.private_ip)
        for tier in desired.tiers
        for slot in tier.slots
        for node in slot.nodes
    }


def runs(lab: Lab, key: str) -> bool:
    """Return whether a node forwards packets: nothing that stops it has been done to it."""
    return lab.conditions.get(key, Condition.UP) in (Condition.UP, Condition.CORDONED)
