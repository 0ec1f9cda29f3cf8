"""Standard WireGuard clients: one tunnel, everything through it, a keepalive every 25 s."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ecm.lab.commands import batch, inside, run
from ecm.lab.kernel import Kernel
from ecm.lab.node import NICENESS, ONE_THREAD
from ecm.lab.state import Client, Folder, Lab, write
from ecm.lab.traffic import FIRST_PORT, PORTS
from ecm.lab.underlay import Underlay, client_cable
from ecm.model.contract import edge_secret
from ecm.model.plan import Desired
from ecm.model.rendered import Peer, PeerTable

KEEPALIVE_S: Final = 25
CLIENT_MTU: Final = 1420
_FIRST: Final = f"echo {NICENESS} >/proc/self/autogroup; {ONE_THREAD} exec wireguard-go {{}}"
QUIET: Final = """\
table ip quiet
delete table ip quiet
table ip quiet {{
  chain arriving {{
    type filter hook prerouting priority raw
    meta l4proto {{ tcp, udp }} th {side} {first}-{last} drop
  }}
}}
"""
"""The traffic's packets are read before this, and Linux must not answer what no program listens for."""


def new_key() -> tuple[str, str]:
    """Return a WireGuard private key and its public key."""
    private = X25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def public_key(private: str) -> str:
    """Return the public key of a private one."""
    raw = X25519PrivateKey.from_private_bytes(base64.b64decode(private)).public_key().public_bytes_raw()
    return _text(raw)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def new_clients(folder: Folder, desired: Desired, count: int, assisted: int) -> tuple[Client, ...]:
    """Return `count` clients of each VPN with keys of their own, of which `assisted` are, every other one first."""
    made: list[Client] = []
    chosen = [*range(0, count, 2), *range(1, count, 2)][:assisted]
    for vpn in desired.vpns:
        for at in range(count):
            number = len(made)
            private, public = new_key()
            client = Client(
                id=f"client{number}",
                vpn=vpn.id,
                number=number,
                public_key=public,
                address=IPv4Address(int(vpn.client_cidr.network_address) + 10 + at),
                assisted=at in chosen,
            )
            write(_key_file(folder, client), private.encode(), 0o600)
            made.append(client)
    return tuple(made)


def peer_tables(lab: Lab) -> tuple[PeerTable, ...]:
    """Return the peer table of every VPN."""
    return tuple(
        PeerTable(
            vpn=vpn.id,
            peers=tuple(
                sorted(
                    (Peer(id=c.id, public_key=c.public_key, address=c.address) for c in lab.clients if c.vpn == vpn.id),
                    key=lambda p: p.id,
                )
            ),
        )
        for vpn in lab.desired.vpns
    )


def _key_file(folder: Folder, client: Client) -> Path:
    return folder.path / "clients" / f"{client.id}.key"


def connect(folder: Folder, lab: Lab, client: Client, underlay: Underlay, kernel: Kernel) -> None:
    """Make a client's namespace, cable and tunnel, and let it connect."""
    space, device = folder.client_space(client), folder.client_device(client)
    run("ip", "netns", "add", space)
    underlay.plug(client_cable(space, client.outer))
    if kernel.kernel_wireguard:
        run("ip", "-n", space, "link", "add", device, "type", "wireguard")
    else:
        inside(
            space,
            "setsid",
            "sh",
            "-c",
            f"echo {NICENESS} >/proc/self/autogroup; {ONE_THREAD} exec wireguard-go {device}",
        )
    inside(space, "wg", "set", device, "listen-port", str(client.port), "private-key", str(_key_file(folder, client)))
    inside(space, "nft", "-f", "-", stdin=QUIET.format(side="dport", first=FIRST_PORT, last=FIRST_PORT + PORTS - 1))
    batch(
        space,
        [
            f"address add {client.address}/32 dev {device}",
            f"link set {device} mtu {CLIENT_MTU} up",
            *(f"route add {s.address}/32 dev {device}" for s in lab.servers if s.vpn == client.vpn),
        ],
    )
    add_peer(folder, lab, client)


def add_peer(folder: Folder, lab: Lab, client: Client) -> None:
    """Tell a client's tunnel where its VPN's entry is; with a keepalive it connects at once."""
    vpn = next(v for v in lab.desired.vpns if v.id == client.vpn)
    port = next(c.listener_port for c in lab.desired.classes if c.id in vpn.classes)
    _wg(
        folder, client,
        "set", folder.client_device(client),
        "peer", _edge_key(folder, lab, client),
        "endpoint", f"{lab.entry(vpn.id)}:{port}",
        "allowed-ips", "0.0.0.0/0",
        "persistent-keepalive", str(KEEPALIVE_S),
    )  # fmt: skip


def remove_peer(folder: Folder, lab: Lab, client: Client) -> None:
    """Let a client's tunnel forget its entry, with the session."""
    _wg(folder, client, "set", folder.client_device(client), "peer", _edge_key(folder, lab, client), "remove")


def handshake(folder: Folder, client: Client) -> int:
    """Return when a client's tunnel has last agreed on keys, in seconds since the epoch; 0: never."""
    listed = _wg(folder, client, "show", folder.client_device(client), "latest-handshakes", check=False)
    return max((int(line.split()[1]) for line in listed.splitlines() if len(line.split()) == 2), default=0)


def _edge_key(folder: Folder, lab: Lab, client: Client) -> str:
    vpn = next(v for v in lab.desired.vpns if v.id == client.vpn)
    return public_key((folder.secrets / edge_secret(lab.desired.stack, vpn.ingress)).read_text().strip())


def _wg(folder: Folder, client: Client, *words: str, check: bool = True) -> str:
    return inside(folder.client_space(client), "wg", *words, check=check)
