"""A stand-in for the network load balancer: a flow hash over the healthy targets, and HTTP health checks.

What is modelled: UDP listeners; a flow, by source address and port, keeps its target until it is idle for 120 s; new
flows are hashed over the healthy targets; the client's address is preserved; HTTP checks every 5 s, 2 s timeout, two in
a row decide; where no target is healthy, all get traffic (fail-open). Two modes, because the documentation does not say
which one is true of a live UDP flow whose target fails: `rehash` forgets such flows, so that their next packet finds a
healthy target; `pinned` keeps them. Not modelled: zones, the time that a registration takes, the flow limits. The
packets are the kernel's work (a hash map of nftables, connection tracking); the process decides over the map only.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from ecm.lab.commands import run
from ecm.lab.state import Folder, Lab, write
from ecm.lab.underlay import Underlay
from ecm.model.contract import HEALTH_PATH, HEALTH_PORT

INTERVAL_S: Final = 5.0
TIMEOUT_S: Final = 2.0
THRESHOLD: Final = 2
_SEED: Final = 16
"""Spreads the first eight clients evenly over two and over three targets."""
_LOOK_S: Final = 0.2


@dataclass
class Target:
    """A node behind the load balancer."""

    node: str
    vpn: str
    address: IPv4Address
    healthy: bool | None = None
    """None: registered, not yet decided."""
    streak: int = 0
    """Checks in a row that say otherwise than `healthy`."""
    changed: float = field(default_factory=time.time)  # noqa: TID251 - shown to people

    def note(self, ok: bool) -> bool:
        """Take the result of a check; whether the target's health changed."""
        self.streak = self.streak + 1 if ok is not self.healthy else 0
        if self.streak < THRESHOLD:
            return False
        self.healthy, self.streak, self.changed = ok, 0, time.time()  # noqa: TID251 - shown to people
        return True


def targets(lab: Lab) -> tuple[Target, ...]:
    """Return every node of the VPNs' ingress tiers."""
    ingress = {vpn.ingress: vpn.id for vpn in lab.desired.vpns}
    return tuple(
        Target(f"{slot.id}#{node.generation}", ingress[tier.id], node.private_ip)
        for tier in lab.desired.tiers
        if tier.id in ingress
        for slot in tier.slots
        for node in slot.nodes
    )


def ruleset(lab: Lab, known: dict[str, Target]) -> str:
    """Return the nftables rules that spread each listener's new flows over its healthy targets, or over all."""
    lines = ["table ip balancer", "delete table ip balancer", "table ip balancer {", "  chain listeners {"]
    lines.append("    type nat hook prerouting priority dstnat")
    for vpn in lab.desired.vpns:
        mine = [t for t in known.values() if t.vpn == vpn.id]
        chosen = sorted((t for t in mine if t.healthy), key=lambda t: t.node) or sorted(mine, key=lambda t: t.node)
        if not chosen:
            continue
        choice = ", ".join(f"{at} : {t.address}" for at, t in enumerate(chosen))
        hashed = f"jhash ip saddr . udp sport mod {len(chosen)} seed {_SEED} map {{ {choice} }}"
        ports = sorted(c.listener_port for c in lab.desired.classes if c.id in vpn.classes)
        lines += [f"    ip daddr {lab.entry(vpn.id)} udp dport {port} dnat to {hashed}" for port in ports]
    return "\n".join([*lines, "  }", "}", ""])


class Balancer:
    """The running load balancer."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lab = folder.read()
        self._known: dict[str, Target] = {}
        self._lock = threading.Lock()
        self._source = str(Underlay(folder, self._lab).checkers[0])

    def run(self) -> None:
        """Balance until the process is ended; a changed plan is taken up as it comes."""
        seen: float | None = None
        while True:
            modified = (self._folder.path / "lab.json").stat().st_mtime
            if modified != seen:
                seen = modified
                self._take(self._folder.read())
            time.sleep(_LOOK_S)

    def _take(self, lab: Lab) -> None:
        wanted = {t.node: t for t in targets(lab)}
        with self._lock:
            self._lab = lab
            gone = [t for node, t in self._known.items() if node not in wanted]
            new = [t for node, t in wanted.items() if node not in self._known]
            for target in gone:
                del self._known[target.node]
            for target in new:
                self._known[target.node] = target
            self._apply()
        for target in new:
            threading.Thread(target=self._watch, args=(target,), daemon=True).start()
        for target in gone:
            self._forget(target)

    def _watch(self, target: Target) -> None:
        while self._known.get(target.node) is target:
            begun = time.monotonic()
            ok = _check(self._source, target.address)
            with self._lock:
                if target.note(ok):
                    self._apply()
                    failed = not target.healthy and any(t.healthy for t in self._known.values() if t.vpn == target.vpn)
                    if failed and self._lab.mode == "rehash":
                        self._forget(target)
            time.sleep(max(0.0, INTERVAL_S - (time.monotonic() - begun)))

    def _apply(self) -> None:
        run("nft", "-f", "-", stdin=ruleset(self._lab, self._known))
        state = {t.node: {"healthy": t.healthy, "vpn": t.vpn, "changed": t.changed} for t in self._known.values()}
        write(self._folder.path / "balancer.json", json.dumps(state, indent=2, sort_keys=True).encode())

    @staticmethod
    def _forget(target: Target) -> None:
        """Forget every flow of a target: its next packet is a new one."""
        run("conntrack", "-D", "--reply-src", str(target.address), "-p", "udp", check=False)


def _check(source: str, address: IPv4Address) -> bool:
    return page(source, address, HEALTH_PATH)[0] == 200


def page(source: str, address: IPv4Address, path: str) -> tuple[int, str]:
    """Return status and text of a page of a node's agent, asked as the load balancer asks; status 0: no answer."""
    connection = http.client.HTTPConnection(str(address), HEALTH_PORT, TIMEOUT_S, source_address=(source, 0))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
