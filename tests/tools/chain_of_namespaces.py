"""A rendered stack as network namespaces: real BIRD, nftables and rules, a veth pair in place of each tunnel."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ecm.model.plan import Desired
from tests.tools.namespaces import inside, namespace, run
from tests.unit.render_states import documents, render

CLIENT, SERVER, GATEWAY = "10.200.0.7", "203.0.113.10", "10.40.255.1"


class Chain:
    """The namespaces of a stack, a client at one ingress node, and a server on the internet."""

    def __init__(self, desired: Desired, folder: Path, stack: ExitStack) -> None:
        self.documents = documents(render(desired))
        self.folder = folder
        self.spaces = {key: stack.enter_context(namespace(f"ecm{at}")) for at, key in enumerate(self.documents)}
        self.client = stack.enter_context(namespace("ecmc"))
        self.world = stack.enter_context(namespace("ecmw"))
        self._tunnels()
        self._uplinks()
        self._client(next(iter(self.documents)))
        for key in self.documents:
            self._host(key)
            stack.callback(self._stop, key)

    def _tunnels(self) -> None:
        waiting: dict[str, tuple[str, str]] = {}
        for key, document in self.documents.items():
            for device in (d for d in document["interfaces"] if d["kind"] == "tunnel"):
                if device["peer_address"] not in waiting:
                    waiting[device["address"]] = (key, device["name"])
                    continue
                other, name = waiting.pop(device["peer_address"])
                self._pair(self.spaces[other], name, self.spaces[key], device["name"])
        assert not waiting, "every tunnel has two ends"
        for key, document in self.documents.items():
            for device in (d for d in document["interfaces"] if d["kind"] == "tunnel"):
                space = self.spaces[key]
                peer = ("peer", device["peer_address"])
                run("ip", "-n", space, "addr", "add", device["address"], *peer, "dev", device["name"])

    @staticmethod
    def _pair(space: str, name: str, other: str, other_name: str) -> None:
        peer = ("peer", "name", other_name, "netns", other)
        run("ip", "link", "add", name, "netns", space, "type", "veth", *peer)
        run("ip", "-n", space, "link", "set", name, "up")
        run("ip", "-n", other, "link", "set", other_name, "up")

    def _uplinks(self) -> None:
        for address in (GATEWAY, SERVER):
            run("ip", "-n", self.world, "addr", "add", f"{address}/32", "dev", "lo")
        for at, (key, document) in enumerate(self.documents.items()):
            space, address = self.spaces[key], document["node"]["private_ip"]
            self._pair(space, "ens5", self.world, f"w{at}")
            run("ip", "-n", space, "addr", "add", f"{address}/32", "dev", "ens5")
            run("ip", "-n", space, "route", "add", "default", "via", GATEWAY, "dev", "ens5", "onlink")
            run("ip", "-n", self.world, "route", "add", f"{address}/32", "dev", f"w{at}")

    def _client(self, key: str) -> None:
        self._pair(self.client, "tun", self.spaces[key], "edge1")
        mac = inside(self.spaces[key], "cat", "/sys/class/net/edge1/address").strip()
        run("ip", "-n", self.client, "addr", "add", f"{CLIENT}/32", "dev", "tun")
        run("ip", "-n", self.client, "neigh", "add", "10.200.0.1", "lladdr", mac, "dev", "tun")
        run("ip", "-n", self.client, "route", "add", "default", "via", "10.200.0.1", "dev", "tun", "onlink")
        route = (f"{CLIENT}/32", "dev", "edge1", "table", "900", "proto", "201")
        run("ip", "-n", self.spaces[key], "route", "add", *route)

    def _host(self, key: str) -> None:
        document, space = self.documents[key], self.spaces[key]
        files = document["files"]
        settings = [line for line in files["/etc/sysctl.d/90-ecm.conf"].splitlines() if line.startswith("net.ipv4.")]
        inside(space, "sysctl", "-q", "-p", "-", stdin="\n".join(settings) + "\n")
        inside(space, "nft", "-f", "-", stdin=files["/etc/ecm/nftables.conf"])
        for rule in document["rules"]:
            words = ["priority", str(rule["priority"])]
            words += ["to", rule["to"]] if rule["to"] else []
            words += ["fwmark", f"{rule['fwmark']}/{rule['mask']}"] if rule["fwmark"] else []
            words += ["lookup", str(rule["table"])] if rule["table"] else ["unreachable"]
            run("ip", "-n", space, "rule", "add", *words)
        self._write(key, files["/etc/ecm/bird.conf"])
        base = str(self.folder / space)
        inside(space, "bird", "-c", f"{base}.conf", "-s", f"{base}.ctl", "-P", f"{base}.pid")

    def _write(self, key: str, text: str) -> None:
        (self.folder / f"{self.spaces[key]}.conf").write_text(text)

    def reconfigure(self, key: str, text: str) -> None:
        """Give one node another BIRD configuration, as the agent does."""
        self._write(key, text)
        run("birdc", "-s", str(self.folder / f"{self.spaces[key]}.ctl"), "configure")

    def _stop(self, key: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / f"{self.spaces[key]}.pid").read_text()), signal.SIGTERM)

    def silence(self, key: str) -> None:
        """Let a node fall silent: it is up, and nothing that it gets or sends passes."""
        hooks = ("prerouting", "output")
        rules = [f"add chain inet silent {h} {{ type filter hook {h} priority -400; policy drop; }}" for h in hooks]
        inside(self.spaces[key], "nft", "-f", "-", stdin="\n".join(["add table inet silent", *rules, ""]))

    def passed(self, key: str, chain: int) -> int:
        """Packets that a node has forwarded on a chain."""
        listed = inside(self.spaces[key], "nft", "list", "chain", "inet", "ecm", f"chain_{chain}")
        return sum(int(words.split()[1]) for words in listed.split("counter")[1:])

    def watched(self, key: str) -> bool:
        """Whether every tunnel of a node has a BFD session that notices silence in 600 ms (sessions begin slower)."""
        control = str(self.folder / f"{self.spaces[key]}.ctl")
        rows = [line for line in run("birdc", "-s", control, "show", "bfd", "sessions").splitlines() if " Up " in line]
        tunnels = [d for d in self.documents[key]["interfaces"] if d["kind"] == "tunnel"]
        return len(rows) == len(tunnels) and all("0.600" in row for row in rows)

    def routes(self, key: str, table: int) -> str:
        """A node's routes in one table."""
        return run("ip", "-n", self.spaces[key], "route", "show", "table", str(table), check=False)


@contextmanager
def chain_of_namespaces(desired: Desired, folder: Path) -> Iterator[Chain]:
    """A running chain; everything is gone afterwards."""
    with ExitStack() as stack:
        yield Chain(desired, folder, stack)
