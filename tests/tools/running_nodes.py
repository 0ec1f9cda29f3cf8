"""Nodes that run: the real agent, wireguard-go, BIRD and nftables in namespaces on one network, and a client."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from ecm import signing
from ecm.agent.keys import public_of
from ecm.model.base import digest_bytes
from ecm.model.fleet import Role
from ecm.model.plan import Desired
from ecm.model.rendered import ConfigObject, Peer, PeerTable, Rendered
from tests.builders import a_chain, a_route, a_tier, a_vpn
from tests.tools.namespaces import inside, namespace, run
from tests.unit.render_states import an_adjacency, naming, render, three_tiers

ROOT = Path(__file__).resolve().parents[2]
KEY = signing.new_key()
CLIENT, SERVER, GATEWAY = "10.200.0.7", "203.0.113.10", "10.40.255.1"


def two_tiers(table: PeerTable | None = None) -> Desired:
    """One chain of an ingress and an egress tier, two nodes each, with a pre-shared key between them."""
    desired = three_tiers(
        vpns=(a_vpn(peers=None),),
        tiers=(a_tier("edge"), a_tier("out", Role.EGRESS, pre_shared_key=True)),
        adjacencies=(an_adjacency("edge", "out"),),
        chains=(a_chain(("edge", "out"), "fast", 2),),
        applications=(a_route("web", 1, chain="fast"), a_route("bulk", 2, chain="fast", destinations=(), ports=())),
    )
    return naming(desired, *([table] if table else []))


class Nodes:
    """Running nodes by `slot#generation`; what is published to them changes while they run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.config, self.secrets = folder / "config", folder / "secrets"
        self.serial = 0
        self.spaces: dict[str, str] = {}
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.world = stack.enter_context(namespace("ecmw"))
        run("ip", "-n", self.world, "link", "add", "net", "type", "bridge")
        run("ip", "-n", self.world, "link", "set", "net", "up")
        run("ip", "-n", self.world, "addr", "add", f"{GATEWAY}/16", "dev", "net")
        run("ip", "-n", self.world, "addr", "add", f"{SERVER}/32", "dev", "lo")
        inside(self.world, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.secrets.mkdir(mode=0o700)

    def publish(self, rendered: Rendered, serial: int | None = None, *, objects: Sequence[ConfigObject] = ()) -> None:
        """Sign and publish what is rendered, or `objects` in its place."""
        self.serial = self.serial + 1 if serial is None else serial
        made_for = (self.stack_name(rendered), self.serial, digest_bytes(f"plan {self.serial}".encode()))
        signing.publish(self.config, objects or rendered.objects, made_for, KEY)

    @staticmethod
    def stack_name(rendered: Rendered) -> str:
        """The stack that the nodes are of."""
        name: str = json.loads(rendered.nodes[0].base.text)["node"]["stack"]
        return name

    def secret(self, name: str) -> str:
        """Make a key and keep it as a secret; the key."""
        path = self.secrets / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = run("wg", "genkey").strip()
        path.touch(0o600)
        path.write_text(private)
        return private

    def start(self, document: dict[str, Any]) -> str:
        """Make a node's namespace and start its agent; the node's key."""
        node = document["node"]
        key = f"{node['slot']}#{node['generation']}"
        space = self._stack.enter_context(namespace(f"ecm{len(self.spaces)}"))
        self.spaces[key] = space
        self.uplink(space, "ens5", node["private_ip"])
        for item in [*document["keys"]["pairs"], *filter(None, [document["keys"]["edge"]])]:
            if not (self.secrets / item["secret"]).exists():
                self.secret(item["secret"])
        self._settings(key, node)
        self._stack.callback(self._end, key)
        self.start_agent(key)
        return key

    def uplink(self, space: str, name: str, address: str) -> None:
        far = f"w{len(run('ip', '-n', self.world, '-o', 'link').splitlines())}"
        run("ip", "link", "add", name, "netns", space, "type", "veth", "peer", "name", far, "netns", self.world)
        run("ip", "-n", self.world, "link", "set", far, "master", "net", "up")
        run("ip", "-n", space, "addr", "add", f"{address}/16", "dev", name)
        run("ip", "-n", space, "link", "set", name, "up")
        run("ip", "-n", space, "route", "add", "default", "via", GATEWAY)

    def home(self, key: str) -> Path:
        """A node's own folder."""
        return self.folder / self.spaces[key]

    def _settings(self, key: str, node: dict[str, Any]) -> None:
        home = self.home(key)
        (home / "wireguard").mkdir(parents=True)
        settings = {
            "stack": node["stack"],
            "slot": node["slot"],
            "generation": node["generation"],
            "source": {"folder": str(self.config)},
            "secrets": str(self.secrets),
            "signers": [KEY.public],
            "directories": {"root": str(home), "state": str(home / "state"), "run": str(home / "run")},
            "wireguard": {"implementation": "userspace"},
            "bird": {"socket": str(home / "bird.ctl"), "start": True},
            "intervals": {"config_s": 0.5, "keys_s": 2, "clients_s": 0.5, "health_s": 0.5, "confirm_s": 6},
        }
        (home / "settings.yaml").write_text(yaml.safe_dump(settings))

    def start_agent(self, key: str) -> None:
        """Start a node's agent."""
        home = self.home(key)
        agent = f"exec {sys.executable} -m ecm.cli agent run --settings {home}/settings.yaml"
        script = f"mkdir -p /run/wireguard && mount --bind {home}/wireguard /run/wireguard && {agent}"
        command = ["ip", "netns", "exec", self.spaces[key], "unshare", "--mount", "sh", "-c", script]
        with (home / "log").open("ab") as log:
            self.agents[key] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop_agent(self, key: str, number: int = signal.SIGTERM) -> None:
        """End a node's agent; interfaces, rules, BIRD and firewall stay."""
        agent = self.agents.pop(key)
        agent.send_signal(number)
        agent.wait(timeout=20)

    def _end(self, key: str) -> None:
        for pid in run("ip", "netns", "pids", self.spaces[key]).split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
        if key in self.agents:
            self.agents.pop(key).wait(timeout=20)

    def wg(self, key: str, *words: str) -> str:
        """Run `wg` as a node sees it: wireguard-go's sockets lie in its own mount namespace."""
        script = f"mount --bind {self.home(key)}/wireguard /run/wireguard && exec wg {' '.join(words)}"
        return inside(self.spaces[key], "unshare", "--mount", "sh", "-c", script)

    def agent(self, key: str, *words: str) -> dict[str, Any]:
        """Run `ecm agent ... --json` for a node."""
        command = [sys.executable, "-m", "ecm.cli", "agent", *words, "--json"]
        command += ["--settings", f"{self.home(key)}/settings.yaml"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
        return found

    def get(self, key: str, path: str) -> tuple[int, str]:
        """Ask a node's HTTP server from within the node."""
        address = next(
            a["local"]
            for row in json.loads(inside(self.spaces[key], "ip", "-j", "addr", "show", "dev", "ens5"))
            for a in row["addr_info"]
        )
        code = (
            "import sys, http.client as h\n"
            "c = h.HTTPConnection(sys.argv[1], 8080, timeout=3); c.request('GET', sys.argv[2]); r = c.getresponse()\n"
            "print(r.status); print(r.read().decode())"
        )
        said = inside(self.spaces[key], sys.executable, "-c", code, address, path, check=False)
        status, _, body = said.partition("\n")
        return int(status or 0), body

    def healthy(self, key: str) -> bool:
        """Whether a node answers 200."""
        return self.get(key, "/healthz")[0] == 200

    def routes(self, key: str, table: int) -> str:
        """A node's routes in one table."""
        return run("ip", "-n", self.spaces[key], "route", "show", "table", str(table), check=False)

    def log(self, key: str) -> str:
        """What a node's agent has said."""
        return (self.home(key) / "log").read_text()


class WireGuardClient:
    """A client of the VPN, in a namespace on the same network."""

    def __init__(self, nodes: Nodes, stack: ExitStack) -> None:
        self._nodes = nodes
        self.private = run("wg", "genkey").strip()
        self.space = stack.enter_context(namespace("ecmc"))
        nodes.uplink(self.space, "eth0", "10.40.200.7")
        self.home = nodes.folder / "client"
        (self.home / "wireguard").mkdir(parents=True)
        stack.callback(self._end)

    @property
    def table(self) -> PeerTable:
        """The VPN's peer table."""
        return PeerTable(vpn="corp", peers=(Peer(id="laptop", public_key=public_of(self.private), address=CLIENT),))

    def connect(self, server: str, address: str, port: int) -> None:
        """Bring the tunnel up to one ingress node."""
        (self.home / "key").write_text(self.private)
        self._script("LOG_LEVEL=error wireguard-go wg0 >/dev/null 2>&1 </dev/null")
        self._script(f"wg set wg0 private-key {self.home}/key listen-port 51000")
        self.move(server, address, port)
        run("ip", "-n", self.space, "addr", "add", f"{CLIENT}/32", "dev", "wg0")
        run("ip", "-n", self.space, "link", "set", "wg0", "mtu", "1420", "up")
        run("ip", "-n", self.space, "route", "add", f"{SERVER}/32", "dev", "wg0")

    def move(self, server: str, address: str, port: int) -> None:
        """Go to another ingress node, as a load balancer that hashes anew sends the client, with a new handshake."""
        self._script(f"wg set wg0 peer {server} remove")
        self._script(f"wg set wg0 peer {server} allowed-ips 0.0.0.0/0 endpoint {address}:{port} persistent-keepalive 1")

    def reaches_server(self, timeout: float = 0.5) -> bool:
        """Whether a TCP connection through the chain is answered."""
        code = (
            "import socket, sys\n"
            "s = socket.create_connection((sys.argv[1], 443), timeout=float(sys.argv[2])); print(s.recv(64).decode())"
        )
        said = inside(self.space, sys.executable, "-c", code, SERVER, str(timeout), check=False)
        return bool(said.strip())

    def _script(self, script: str) -> None:
        mount = f"mkdir -p /run/wireguard && mount --bind {self.home}/wireguard /run/wireguard"
        inside(self.space, "unshare", "--mount", "sh", "-c", f"{mount} && {script}")

    def _end(self) -> None:
        for pid in run("ip", "netns", "pids", self.space).split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)


@contextmanager
def running_nodes(folder: Path) -> Iterator[tuple[Nodes, WireGuardClient]]:
    """Two tiers of two nodes, and a client that is in their peer table; everything is gone afterwards."""
    with ExitStack() as stack:
        nodes = Nodes(folder, stack)
        client = WireGuardClient(nodes, stack)
        rendered = render(two_tiers(client.table), client.table)
        nodes.publish(rendered)
        for node in rendered.nodes:
            nodes.start(json.loads(node.base.text))
        yield nodes, client


__all__ = ["CLIENT", "GATEWAY", "KEY", "SERVER", "HTTPConnection", "Nodes", "WireGuardClient", "running_nodes"]
