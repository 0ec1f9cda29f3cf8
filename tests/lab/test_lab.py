"""Real packets through a real chain: who carries them, who takes over, and what never passes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from ecm.lab import How, Watch, built_in, settle, status
from ecm.lab.commands import inside
from ecm.lab.flows import carried
from ecm.lab.packets import Batch, Bytes, drain, listening, sending, visiting
from ecm.lab.recording import between, losses, open_recording
from ecm.lab.state import Condition, nodes
from ecm.lab.traffic import now
from tests.lab.conftest import OPTIONS, Running

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MID_A, MID_B = "lab-mid/us-east-1a/0#1", "lab-mid/us-east-1b/0#1"
MID_C = "lab-mid/us-east-1c/0#1"
CALM_S = 5.0
"""An OSPF router announces a second change 5 s after the first (MinLSInterval of RFC 2328)."""


def _tier(running: Running, tier: str) -> list[str]:
    return [key for key, (of, _) in nodes(running.lab.desired).items() if of == tier]


def _lost_pct(running: Running, since: float) -> float:
    time.sleep(1)
    packets = between(open_recording(running.folder.recording), since, now() - 1)
    found = losses(packets, 1 / OPTIONS.flows.packets_per_s)
    return 100 * found.lost / max(1, found.sent)


def _until(running: Running, key: str, seconds: float = 40) -> int:
    """Wait until a node carries flows; how many."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if count := len(carried(running.folder, [key], 1.2)[key]):
            return count
    raise AssertionError(f"{key} carries nothing after {seconds} s")


@contextmanager
def _tap(space: str, *devices: str) -> Iterator[list[socket.socket]]:
    """Hear what arrives at `devices` of a namespace from now on."""
    with ExitStack() as stack, visiting(space):
        socks = [stack.enter_context(listening(device)) for device in devices]
        for sock in socks:
            drain(sock)
        yield socks


def _heard(socks: list[socket.socket]) -> Bytes:
    batch = Batch()
    found = []
    for sock in socks:
        while len(packets := batch.receive(sock)[0]):
            found.append(packets.copy())
    return np.concatenate(found) if found else np.zeros((0, 1500), np.uint8)


def _ports(running: Running, tier: str) -> list[str]:
    """The underlay's ends of a tier's cables: what arrives there, the tier's nodes have sent."""
    return [f"p{int(nodes(running.lab.desired)[key][1]):08x}" for key in _tier(running, tier)]


def _from_clients(packets: Bytes) -> Bytes:
    return packets[(packets[:, 12] == 10) & (packets[:, 13] == 200)]


def test_every_flow_passes_every_tier_and_comes_back(running: Running) -> None:
    end = time.monotonic() + 30
    found = status(running.folder, running.lab)
    while found.traffic is None or found.traffic.lost_pct > 2:
        assert time.monotonic() < end, found
        found = status(running.folder, running.lab)
    assert {n.health for n in found.nodes} == {200}
    assert all(c.handshake_age_s is not None for c in found.clients)
    for tier in ("lab-in", "lab-mid", "lab-out"):
        flows = frozenset[int]().union(*carried(running.folder, _tier(running, tier), 1.2).values())
        assert len(flows) >= OPTIONS.flows.count


@pytest.mark.parametrize("target", ["169.254.169.254", "10.40.0.2", "10.201.0.7", "100.96.1.1", "10.200.0.11"])
def test_a_client_reaches_nothing_but_its_applications(running: Running, target: str) -> None:
    client = running.lab.clients[0]
    sent = _udp(client.address.packed, socket.inet_aton(target))
    outside = [*_ports(running, "lab-in"), *_ports(running, "lab-out")]
    others = [c for c in running.lab.clients if str(c.address) == target]
    with _tap(running.folder.net, *outside) as taps, ExitStack() as stack:
        inner = [
            stack.enter_context(_tap(running.folder.client_space(c), running.folder.client_device(c))) for c in others
        ]
        _send(running, sent)
        time.sleep(1)
        found = np.concatenate([_heard(taps), *(_heard(tap) for tap in inner)])
    assert len(found), "the taps hear"
    assert not _tests(found)


def test_a_client_cannot_speak_for_another(running: Running) -> None:
    server = running.lab.servers[0]
    own, other = running.lab.clients[0], running.lab.clients[1]
    sent = [_udp(c.address.packed, server.address.packed, server.port) for c in (own, other)]
    with _tap(running.folder.world, "eth0") as tap:
        heard = []
        for packet in sent:
            _send(running, packet)
            time.sleep(1)
            found = _heard(tap)
            heard.append(_tests(found))
    assert heard[0] > 0, "its own address passes"
    assert heard[1] == 0


def _tests(packets: Bytes) -> int:
    """How many of `packets` a test has sent, rather than the lab's traffic."""
    return int((packets[:, 28:32] == np.frombuffer(b"test", np.uint8)).all(axis=1).sum())


def _udp(source: bytes, target: bytes, port: int = 443) -> Bytes:
    body = b"test" + bytes(28)
    length = 28 + len(body)
    head = bytes([0x45, 0, 0, length, 0, 0, 0x40, 0, 64, socket.IPPROTO_UDP, 0, 0]) + source + target
    udp = (33001).to_bytes(2, "big") + port.to_bytes(2, "big") + (length - 20).to_bytes(2, "big") + b"\0\0"
    return np.frombuffer(head + udp + body, np.uint8).reshape(1, -1)


def _send(running: Running, packet: Bytes) -> None:
    client = running.lab.clients[0]
    device = running.folder.client_device(client)
    inside(running.folder.client_space(client), "ip", "route", "replace", "10.0.0.0/8", "dev", device)
    inside(running.folder.client_space(client), "ip", "route", "replace", "169.254.0.0/16", "dev", device)
    with visiting(running.folder.client_space(client)), sending(device) as sock:
        assert Batch(16).send(sock, np.repeat(packet, 5, axis=0)) == 5


def test_another_transit_node_takes_the_flows_of_a_killed_one_and_gives_none_back(running: Running) -> None:
    time.sleep(CALM_S)
    killed = running.drill.run(How.KILL, MID_A, Watch(after_s=7))
    assert killed.carried
    assert 0 < killed.redistribute_s < 6, "the flows go on within the watch"
    shares = {s.node: s for s in killed.shares}
    assert shares[MID_A].after_pct == 0
    assert shares[MID_B].taken_pct == 100
    assert running.lab.conditions == {MID_A: Condition.KILLED}
    since = now()
    running.drill.act(running.lab, How.RETURN, MID_A)
    settle(running.folder, running.lab)
    assert _lost_pct(running, since) < 2, "a node that comes back breaks no session"
    assert _until(running, MID_A)


def test_a_tier_grows_under_traffic(running: Running) -> None:
    since = now()
    lab = running.world.up(built_in("2-3-2"), OPTIONS)
    settle(running.folder, lab)
    assert _until(running, MID_C)
    assert _lost_pct(running, since) < 2


def test_a_cordoned_node_loses_nothing_and_is_left_as_its_flows_end(running: Running) -> None:
    since = now()
    drained = running.drill.run(How.CORDON, MID_B, Watch(after_s=2 * OPTIONS.flows.lifetime_s))
    assert drained.carried
    shares = {s.node: s for s in drained.shares}
    assert shares[MID_B].before_pct > 10
    assert shares[MID_B].after_pct < 5
    assert _lost_pct(running, since) < 2
    running.drill.act(running.lab, How.RETURN, MID_B)
    settle(running.folder, running.lab)


def test_a_silent_client_never_makes_a_node_initiate(running: Running) -> None:
    lab, client = running.lab, running.lab.clients[-1]
    with _tap(running.folder.world, "eth0") as tap:
        time.sleep(1)
        heard = _heard(tap)
    answer = heard[-1:].copy()
    answer[:, 12:16], answer[:, 16:20] = heard[-1:, 16:20], heard[-1:, 12:16]
    answer[:, 20:22], answer[:, 22:24] = heard[-1:, 22:24], heard[-1:, 20:22]
    before = _initiations(running)
    for one in lab.clients:
        inside(running.folder.net, "ip", "link", "set", f"p{int(one.outer):08x}", "down")
    batch, initiated = Batch(16), 0
    with _tap(running.folder.net, *_ports(running, "lab-in")) as taps:
        with visiting(running.folder.world), sending("eth0") as sock:
            for _ in range(100):
                batch.send(sock, answer)
                time.sleep(0.2)
        sent = _heard(taps)
    initiated = int(((sent[:, 9] == 17) & (sent[:, 20] == 0xCA) & (sent[:, 21] == 0x6C) & (sent[:, 28] == 1)).sum())
    for one in lab.clients:
        port = f"p{int(one.outer):08x}"
        inside(running.folder.net, "ip", "link", "set", port, "up")
        inside(running.folder.net, "ip", "route", "replace", f"{one.outer}/32", "dev", port)
    assert initiated == 0
    assert _initiations(running) > before, f"{client.id}: a node has tried, and its firewall has refused"


def _initiations(running: Running) -> int:
    total = 0
    for key in _tier(running, "lab-in"):
        listed = inside(running.folder.space(key), "nft", "list", "chain", "inet", "ecm", "output")
        line = next(row for row in listed.splitlines() if "edge_ports" in row)
        total += int(line.split("packets ")[1].split()[0])
    return total


def test_with_every_inspecting_node_gone_nothing_passes_unseen(running: Running) -> None:
    for key in _tier(running, "lab-mid"):
        running.drill.act(running.lab, How.KILL, key)
    time.sleep(4)
    with (
        _tap(running.folder.net, *_ports(running, "lab-in")) as leaving,
        _tap(running.folder.world, "eth0") as arriving,
    ):
        time.sleep(12)
        assert not len(_from_clients(_heard(leaving)))
        assert not len(_heard(arriving))
    entry = inside(running.folder.net, "nft", "list", "table", "ip", "balancer")
    assert entry.count("dnat to") == 1, "the load balancer goes on sending, whatever the checks say"
    for key in _tier(running, "lab-mid"):
        running.drill.act(running.lab, How.RETURN, key)
    settle(running.folder, running.lab)
    assert _until(running, MID_C)
