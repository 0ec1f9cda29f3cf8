"""Real packets of two applications on their own chains; a lease moves the new flows of one, and ends of itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from ecm import signing
from ecm.agent.keys import public_of
from ecm.agent.source import FolderSource
from ecm.cli.publishing import SourceTarget
from ecm.lab.traffic import now
from ecm.model.contract import overlay_key
from ecm.model.fleet import Role
from ecm.model.plan import Desired, OverlayChoice, OverlayPlan
from ecm.model.request import Stated, TierRoom
from ecm.serve.offer import Offer, Terms
from ecm.serve.publisher import Publication
from ecm.serve.service import Settings
from ecm.serve.sqlite import SqliteFile
from tests.builders import a_chain, a_plan, a_route, a_tier, a_vpn
from tests.leases import STACK
from tests.overlays import SERVICE, an_overlay
from tests.serving import World as Served
from tests.serving import a_profile, a_state, served
from tests.tools.namespaces import inside, need, run, until
from tests.tools.running_nodes import CLIENT, SERVER, Nodes, WireGuardClient
from tests.unit.render_states import an_adjacency, naming, render, three_tiers

pytestmark = [pytest.mark.lab, pytest.mark.slow]

EDGE, MID, OUT = "edge/us-east-1a/0#1", "mid/us-east-1a/0#1", "out/us-east-1a/0#1"
GUARDED, FAST = "d0", "d1"
"""Where packets leave the edge: towards mid, and straight to out."""
SERVICES = {"web": 443, "bulk": 8443}

ECHO = """
import socket, threading
def serve(port):
    s = socket.create_server(("203.0.113.10", port))
    while True:
        c, _ = s.accept()
        threading.Thread(target=talk, args=(c,), daemon=True).start()
def talk(c):
    c.sendall(b"!")
    while data := c.recv(100):
        c.sendall(data)
for port in (443, 8443):
    threading.Thread(target=serve, args=(port,)).start()
print("ready", flush=True)
"""
FLOWS = """
import socket, sys, threading, time
host, every = sys.argv[1], float(sys.argv[2])
old = socket.create_connection((host, 443), timeout=5)
old.recv(1)
print("old", old.getsockname()[1], flush=True)
def begin(port):
    while True:
        try:
            with socket.create_connection((host, port), timeout=0.5) as new:
                new.recv(1); new.sendall(b"x"); new.recv(9)
        except OSError:
            pass
        time.sleep(every)
for port in (443, 8443):
    threading.Thread(target=begin, args=(port,), daemon=True).start()
while True:
    old.sendall(b"x"); old.recv(9)
    time.sleep(every)
"""
"""A connection that stays, and new ones all the time, over the tunnel."""
TAP = """
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print("ready", flush=True)
while True:
    data, where = s.recvfrom(2000)
    if where[2] == 4 and where[0][0] == "d" and len(data) > 40 - 1 and data[0] >> 4 == 4 and data[9] == 6:
        head = (data[0] & 15) * 4
        source, port = struct.unpack("!HH", data[head:head + 4])
        print(time.time(), where[0][:2], source, port, data[head + 13] >> 1 & 1, flush=True)
"""
"""What the edge sends into its tunnels: time, tunnel, ports, whether the packet begins a connection."""


class Packet(NamedTuple):
    """One packet as the edge sends it."""

    at: float
    tunnel: str
    source: int
    port: int
    begins: bool


@dataclass
class World:
    """Running nodes with two applications' flows, what is heard of them, and the service that decides."""

    nodes: Nodes
    old: int
    """Source port of the connection that stays."""
    heard: list[Packet]
    service: TestClient

    def until(self, fits: Callable[[Packet], bool], since: float, seconds: float = 12) -> Packet:
        """The first packet since a time that fits."""
        found: list[Packet] = []

        def look() -> bool:
            found[:] = [p for p in [*self.heard] if p.at >= since and fits(p)][:1]
            return bool(found)

        until(look, seconds, "a packet on the other chain")
        return found[0]

    def after(self, seconds: float) -> list[Packet]:
        """What is heard from now on for so long."""
        since = now()
        time.sleep(seconds)
        return [p for p in [*self.heard] if p.at >= since]

    def said(self) -> str:
        """What the edge's agent says to a person."""
        words = ["agent", "status", "--settings", f"{self.nodes.home(EDGE)}/settings.yaml"]
        return run(sys.executable, "-m", "ecm.cli", *words, check=False)

    def status(self) -> dict[str, Any]:
        """What the edge's agent says of overlays."""
        found: dict[str, Any] = self.nodes.agent(EDGE, "status")["overlay"]
        return found


def address(world: World, key: str) -> str:
    """A node's private address."""
    rows = json.loads(inside(world.nodes.spaces[key], "ip", "-j", "addr", "show", "dev", "ens5"))
    return str(rows[0]["addr_info"][0]["local"])


def begins(tunnel: str, service: str = "web") -> Callable[[Packet], bool]:
    return lambda p: p.begins and p.port == SERVICES[service] and p.tunnel == tunnel


def tunnels(packets: list[Packet], service: str) -> set[str]:
    """Where the new flows of a service went."""
    return {p.tunnel for p in packets if p.begins and p.port == SERVICES[service]}


def one_node_each() -> Desired:
    """Chains edge-mid-out and edge-out; `web` takes the first, `bulk` the second, and both may take either."""
    tiers = (a_tier("edge"), a_tier("mid", Role.TRANSIT), a_tier("out", Role.EGRESS))
    both = ("fast", "guarded")
    return three_tiers(
        vpns=(a_vpn(peers=None),),
        tiers=tuple(t.model_copy(update={"slots": t.slots[:1]}) for t in tiers),
        adjacencies=(an_adjacency("edge", "mid", 0), an_adjacency("edge", "out", 1), an_adjacency("mid", "out", 2)),
        chains=(a_chain(("edge", "mid", "out"), "guarded", 1), a_chain(("edge", "out"), "fast", 2)),
        applications=(
            a_route("web", 1, chain="guarded", ports=("tcp/443",)),
            a_route("bulk", 2, chain="fast", traffic_class="silver", ports=("tcp/8443",)),
        ),
        overlay=OverlayPlan(
            signers=(SERVICE.public,), choices=tuple(OverlayChoice(application=a, chains=both) for a in ("bulk", "web"))
        ),
    )


def offer(desired: Desired) -> Offer:
    """The guarded chain is cheaper, the fast one faster."""
    states = tuple(
        a_state("short", dict.fromkeys(("in", "out"), 100)).model_copy(
            update={
                "chain": chain,
                "tiers": tuple(TierRoom(tier=t, residual_mbps=100, origin="tests") for t in tiers),
                "latency_us": Stated(value=latency, origin="tests"),
                "marginal_usd_micro": Stated(value=usd, origin="tests"),
            }
        )
        for chain, tiers, latency, usd in (
            ("fast", ("edge", "out"), 1000, 2),
            ("guarded", ("edge", "mid", "out"), 9000, 1),
        )
    )
    return Offer(1, a_plan(desired), states, {"web": Terms(a_profile(), states)})


@contextmanager
def python(space: str, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", space, sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need("bird", "birdc", "nft", "ip", "wg", "wireguard-go", "unshare")
    folder = tmp_path_factory.mktemp("overlay")
    with ExitStack() as stack:
        nodes = Nodes(folder, stack)
        client = WireGuardClient(nodes, stack)
        desired = naming(one_node_each(), client.table)
        rendered = render(desired, client.table)
        nodes.publish(rendered)
        documents = {n.slot: json.loads(n.base.text) for n in rendered.nodes}
        for document in documents.values():
            nodes.start(document)
        assert said(stack.enter_context(python(nodes.world, ECHO))) == "ready"
        until(lambda: all(nodes.healthy(key) for key in nodes.spaces), 90, "every node answers 200")
        edge = documents[EDGE.partition("#")[0]]
        server = public_of((nodes.secrets / edge["keys"]["edge"]["secret"]).read_text())
        client.connect(server, edge["node"]["private_ip"], 51820)
        until(lambda: CLIENT in nodes.routes(EDGE, 900), 20, "the client's route stands where it connected")
        until(client.reaches_server, 30, "the client reaches the server through the chain")
        tap = stack.enter_context(python(nodes.spaces[EDGE], TAP))
        assert said(tap) == "ready"
        heard: list[Packet] = []
        threading.Thread(target=_listen, args=(tap, heard), daemon=True).start()
        flows = stack.enter_context(python(client.space, FLOWS, SERVER, "0.05"))
        old = int(said(flows).removeprefix("old "))
        service = stack.enter_context(_serving(folder, desired, nodes))
        yield World(nodes, old, heard, service)


def _listen(tap: subprocess.Popen[str], heard: list[Packet]) -> None:
    while line := said(tap):
        at, tunnel, source, port, begins_one = line.split()
        heard.append(Packet(float(at), tunnel, int(source), int(port), begins_one == "1"))


@contextmanager
def _serving(folder: Path, desired: Desired, nodes: Nodes) -> Iterator[TestClient]:
    """The routing service, which writes to where the nodes look."""
    place = Served(SqliteFile(folder / "leases.db"), at=datetime.now(UTC), offer=offer(desired))  # noqa: TID251
    lock = folder / "overlay.pem"
    lock.touch()
    settings = Settings(
        place.place,
        STACK,
        lambda: datetime.now(UTC),  # noqa: TID251 - as the nodes
        lambda: place.offer,
        rate_per_s=1e6,
        publication=Publication(SourceTarget(FolderSource(nodes.config)), SERVICE, lock),
    )
    with served(place, settings) as of:
        yield of(place.token("web"))


ASKED = {"application": "web", "vpn": "corp", "bandwidth_mbps": 1, "ttl_s": 600}
REPEATS = 4


def test_two_applications_of_one_vpn_take_their_own_chains(world: World) -> None:
    packets = world.after(2)
    assert tunnels(packets, "web") == {GUARDED}
    assert tunnels(packets, "bulk") == {FAST}


def test_a_lease_moves_new_flows_within_5_s_while_a_flow_that_stands_stays(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = []
    for _ in range(REPEATS):
        asked_at = now()
        answer = world.service.post("/v1/routes", json=ASKED | {"latency_ms": 2})
        lease = answer.json()["lease"]
        assert lease["chain"] == "fast"
        seconds.append(world.until(begins(FAST), asked_at).at - asked_at)
        packets = world.after(0.5)
        assert tunnels(packets, "web") == {FAST}
        assert tunnels(packets, "bulk") == {FAST}
        assert {p.tunnel for p in packets if p.source == world.old} == {GUARDED}
        released_at = now()
        assert world.service.delete(f"/v1/leases/{lease['id']}").status_code == 204
        world.until(begins(GUARDED), released_at)
    with capsys.disabled():
        print(f"\ndecision to first packet: {', '.join(f'{s:.2f}' for s in sorted(seconds))} s")  # noqa: T201
    assert sorted(seconds)[-1] <= 5


def test_only_what_the_lease_names_moves(world: World) -> None:
    answer = world.service.post("/v1/routes", json=ASKED | {"latency_ms": 2, "ports": ["tcp/444"]})
    other = world.service.post("/v1/routes", json=ASKED | {"latency_ms": 2, "source": "10.200.0.8/32"})
    until(lambda: world.status()["rules"] > 1, 10, "the edge holds both")
    assert tunnels(world.after(1), "web") == {GUARDED}
    for made in (answer, other):
        world.service.delete(f"/v1/leases/{made.json()['lease']['id']}")


def test_while_the_chosen_chain_has_no_way_new_flows_take_the_bases(world: World) -> None:
    asked_at = now()
    lease = world.service.post("/v1/routes", json=ASKED | {"latency_ms": 2}).json()["lease"]
    world.until(begins(FAST), asked_at)
    out, edge = world.nodes.spaces[OUT], address(world, EDGE)
    cut = f"chain cut {{ type filter hook prerouting priority -400; ip saddr {edge} drop\n}}"
    inside(out, "nft", "-f", "-", stdin=f"table ip test {{ {cut}\n}}\n")
    cut_at = now()
    back = world.until(begins(GUARDED), cut_at)
    assert "no way over fast" in world.said()
    inside(out, "nft", "delete", "table", "ip", "test")
    healed_at = now()
    world.until(begins(FAST), healed_at, 40)
    world.service.delete(f"/v1/leases/{lease['id']}")
    world.until(begins(GUARDED), now())
    assert back.at - cut_at < 5


def test_an_overlay_ends_of_itself_though_no_agent_runs(world: World) -> None:
    moved_at = now()
    lease = world.service.post("/v1/routes", json=ASKED | {"latency_ms": 2}).json()["lease"]
    world.until(begins(FAST), moved_at)
    at = datetime.now(UTC)  # noqa: TID251 - as the nodes
    short = an_overlay(serial=int(at.timestamp() * 1000) + 60_000, now=at, not_after=at + timedelta(seconds=6))
    path = world.nodes.config / overlay_key("corp")
    path.write_bytes(signing.sign_overlay(short, SERVICE))
    until(lambda: world.status()["serial"] == short.serial, 5, "the edge has taken it")
    agent = world.nodes.agents[EDGE]
    agent.send_signal(signal.SIGSTOP)
    try:
        back = world.until(begins(GUARDED), short.not_after.timestamp() - 2)
        assert abs(back.at - short.not_after.timestamp()) < 2
    finally:
        agent.send_signal(signal.SIGCONT)
    world.service.delete(f"/v1/leases/{lease['id']}")
    until(lambda: not signing.open_overlay(path.read_bytes(), [SERVICE.public]).rules, 5, "the service goes on writing")


def test_a_forged_overlay_moves_nothing(world: World) -> None:
    at = datetime.now(UTC)  # noqa: TID251 - as the nodes
    forged = an_overlay(serial=int(at.timestamp() * 1000) + 120_000, now=at)
    (world.nodes.config / overlay_key("corp")).write_bytes(signing.sign_overlay(forged, signing.new_key()))
    until(lambda: "signature" in world.status()["refused"], 5, "the edge refuses it")
    assert tunnels(world.after(1), "web") == {GUARDED}
    _, page = world.nodes.get(EDGE, "/metrics")
    assert 'ecm_overlay_refused_total{vpn="corp",reason="signature"} 1' in page
