"""Two edge nodes share a key and one clock is ahead: clients connect to both, because the edge never initiates.

A WireGuard peer refuses an initiation whose time is not later than the last one's from the same key. Were the node that
is ahead to initiate, the client would refuse the other node until its clock has passed that time.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.tools.namespaces import inside, namespace, need, run, until
from tests.tools.wireguard_ahead import build
from tests.unit.render_states import documents, render, three_tiers

pytestmark = [pytest.mark.tools, pytest.mark.slow]
EDGE = "edge/us-east-1a/0#1"
ENTRY, CLIENT, PORT = "192.0.2.100", "10.200.0.7", 51820
"""The address that clients connect to, a client's own within its VPN, and the first class's port."""


class Entry:
    """A client, two edge nodes with one key, and a router in the place of the load balancer."""

    def __init__(self, stack: ExitStack, program: Path, ahead_s: int, folder: Path) -> None:
        self.stack, self.program, self.folder = stack, program, folder
        self.spaces = {n: stack.enter_context(namespace(f"ecm-skew-{n}")) for n in ("client", "router", "a", "b")}
        self.keys = {who: run("wg", "genkey").strip() for who in ("client", "edge")}
        self.public = {who: run("wg", "pubkey", stdin=key).strip() for who, key in self.keys.items()}
        for number, (name, device) in enumerate({"client": "up0", "a": "ens5", "b": "ens5"}.items(), start=1):
            self._wire(name, device, number)
        self.names = {n: f"edge{os.getpid()}{n[0]}" for n in ("client", "a", "b")}
        for node, ahead in (("a", ahead_s), ("b", 0)):
            inside(self.spaces[node], "ip", "address", "add", f"{ENTRY}/32", "dev", "lo")
            self._wireguard(node, ahead, "edge", f"{CLIENT}/32", f"ListenPort = {PORT}\n")
            inside(self.spaces[node], "ip", "address", "add", "10.200.255.1/32", "dev", self.names[node])
            inside(self.spaces[node], "ip", "route", "add", f"{CLIENT}/32", "dev", self.names[node])
        self._wireguard("client", 0, "client", "0.0.0.0/0", "")
        inside(self.spaces["client"], "ip", "address", "add", f"{CLIENT}/32", "dev", self.names["client"])
        inside(self.spaces["client"], "ip", "route", "add", "10.200.255.1/32", "dev", self.names["client"])
        self.tell("client", f"endpoint {ENTRY}:{PORT}")

    def _wire(self, name: str, device: str, number: int) -> None:
        space, router = self.spaces[name], self.spaces["router"]
        run("ip", "-n", router, "link", "add", f"to-{name}", "type", "veth", "peer", "name", device, "netns", space)
        inside(router, "ip", "address", "add", f"10.9.{number}.1/24", "dev", f"to-{name}")
        inside(space, "ip", "address", "add", f"10.9.{number}.2/24", "dev", device)
        inside(router, "ip", "link", "set", f"to-{name}", "up")
        inside(space, "ip", "link", "set", device, "up")
        inside(space, "ip", "route", "add", "default", "via", f"10.9.{number}.1")
        inside(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _wireguard(self, name: str, ahead: int, key: str, allowed: str, listen: str) -> None:
        space, device = self.spaces[name], self.names[name]
        process = subprocess.Popen(
            ["ip", "netns", "exec", space, str(self.program), "-f", device],
            env={"WG_AHEAD_S": str(ahead), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.stack.callback(process.wait, 10)
        self.stack.callback(process.terminate)
        until(lambda: inside(space, "wg", "show", device, check=False), 20, "wireguard-go answers")
        peer = self.public["client" if key == "edge" else "edge"]
        text = (
            f"[Interface]\nPrivateKey = {self.keys[key]}\n{listen}[Peer]\nPublicKey = {peer}\nAllowedIPs = {allowed}\n"
        )
        inside(space, "wg", "setconf", device, "/dev/stdin", stdin=text)
        inside(space, "ip", "link", "set", device, "up")

    def filtered(self) -> None:
        """Load the very ruleset that is rendered for an edge node, on both."""
        file = self.folder / "nftables.conf"
        file.write_text(documents(render(three_tiers()))[EDGE]["files"]["/etc/ecm/nftables.conf"])
        for node in ("a", "b"):
            inside(self.spaces[node], "nft", "-f", str(file))

    def tell(self, name: str, what: str) -> None:
        """Change the one peer of a node."""
        peer = self.public["edge" if name == "client" else "client"]
        inside(self.spaces[name], "wg", "set", self.names[name], "peer", peer, *what.split())

    def leads_to(self, node: str) -> None:
        """Send what clients send to this node, as the load balancer does with new flows."""
        gateway = {"a": "10.9.2.2", "b": "10.9.3.2"}[node]
        inside(self.spaces["router"], "ip", "route", "replace", f"{ENTRY}/32", "via", gateway)

    def asks(self, name: str, address: str) -> None:
        """Send one packet through the tunnel; whether it arrives is another question."""
        inside(self.spaces[name], "bash", "-c", f"echo > /dev/udp/{address}/9", check=False)

    def handshake(self, node: str) -> int:
        """When the node's last handshake with the client was; 0: never."""
        return int(inside(self.spaces[node], "wg", "show", self.names[node], "latest-handshakes").split()[-1])

    def initiates(self, node: str) -> None:
        """Have a node send to a client that it has no session with, as to one that has been silent."""
        self.tell(node, "endpoint 10.9.1.2:" + self.client_port())
        self.asks(node, CLIENT)

    def client_port(self) -> str:
        """The port that the client sends from."""
        return inside(self.spaces["client"], "wg", "show", self.names["client"], "listen-port").strip()

    def dropped(self, node: str) -> int:
        """Initiations that the node's firewall kept back."""
        text = inside(self.spaces[node], "nft", "list", "chain", "inet", "ecm", "output")
        rule = next(line for line in text.splitlines() if "@edge_ports" in line)
        return int(rule.split("packets")[1].split()[0])


@pytest.fixture
def entry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Entry]:
    need("ip", "nft", "wg", "bash", "sysctl")
    program = build()
    with ExitStack() as stack:
        yield Entry(stack, program, request.param, tmp_path)


@pytest.mark.parametrize("entry", [5], indirect=True)
def test_with_a_clock_five_seconds_ahead_clients_connect_to_either_node(entry: Entry) -> None:
    entry.filtered()
    for node in ("a", "b"):
        entry.initiates(node)
        assert entry.dropped(node) > 0, "a silent client makes the server initiate: the drop counter rises"
        assert entry.handshake(node) == 0, "and nothing leaves"
    for node in ("a", "b", "a"):
        entry.leads_to(node)
        entry.tell("client", "remove")
        entry.tell("client", f"allowed-ips 0.0.0.0/0 endpoint {ENTRY}:{PORT}")
        before = time.time()  # noqa: TID251 - compared with what wg says
        entry.asks("client", "10.200.255.1")
        until(lambda at=before, to=node: entry.handshake(to) >= int(at), 10, f"connected to {node}")


@pytest.mark.parametrize("entry", [30], indirect=True)
def test_without_the_filter_the_node_that_is_behind_is_refused(entry: Entry) -> None:
    """30 s and not 5, so that the test outlasts a busy machine: it is refused for as long as the clocks differ."""
    entry.initiates("a")
    until(lambda: entry.handshake("a") > 0, 10, "the client takes the initiation of the node that is ahead")
    for _ in range(3):
        entry.initiates("b")
        time.sleep(1)
    sent = inside(entry.spaces["b"], "wg", "show", entry.names["b"], "transfer").split()
    assert int(sent[-1]) >= 148, "it did initiate"
    assert entry.handshake("b") == 0, "the client refuses it: its time lies before the last one's"
