"""How the lab stands: every node's health, tunnels and routes, the load balancer's view, the clients, the traffic."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from ecm.lab.balancer import page
from ecm.lab.clients import handshake
from ecm.lab.errors import LabError
from ecm.lab.node import Node
from ecm.lab.packets import visiting
from ecm.lab.recording import between, open_recording
from ecm.lab.state import Client, Condition, Folder, Lab, nodes
from ecm.lab.traffic import now
from ecm.lab.underlay import Underlay
from ecm.model.base import Frozen
from ecm.model.contract import HEALTH_PATH, base_key

FAST: Final = "0.600"
"""Timeout of a BFD session that has reached its fast interval; sessions begin slower."""
_SETTLED_S: Final = 120.0


class NodeStatus(Frozen):
    """One node as the lab finds it."""

    node: str
    tier: str
    condition: Condition
    health: int
    """HTTP status of /healthz; 0: no answer."""
    why: str
    tunnels: int
    tunnels_up: int
    """With a BFD session at its fast interval."""
    target: str
    """What the load balancer thinks of it: healthy, unhealthy, new; empty: it is no target."""


class ClientStatus(Frozen):
    """One client as the lab finds it."""

    client: str
    handshake_age_s: int | None


class TrafficStatus(Frozen):
    """The traffic of the last seconds."""

    flows: int
    sent_per_s: float
    lost_pct: float
    round_trip_p50_ms: float | None


class Status(Frozen):
    """The lab as it stands."""

    folder: str
    mode: str
    nodes: tuple[NodeStatus, ...]
    clients: tuple[ClientStatus, ...]
    traffic: TrafficStatus | None


def status(folder: Folder, lab: Lab) -> Status:
    """Return how the lab stands now."""
    seen = targets(folder)
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda key: _node(folder, lab, key, seen), nodes(lab.desired))
        rows = tuple(found)
        clients = tuple(pool.map(lambda client: _client(folder, client), lab.clients))
    return Status(folder=str(folder.path), mode=lab.mode, nodes=rows, clients=clients, traffic=_traffic(folder, lab))


def targets(folder: Folder) -> dict[str, bool | None]:
    """Return what the load balancer thinks of its targets: healthy or not; None: not yet known."""
    try:
        data = json.loads((folder.path / "balancer.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {node: entry["healthy"] for node, entry in data.items()}


def settle(folder: Folder, lab: Lab, seconds: float = _SETTLED_S) -> float:
    """Wait until every node that is up is healthy, with fast BFD on its tunnels, and a healthy target where it is one.

    Returns the seconds that it took. LabError that names what is not.
    """
    begun = time.monotonic()
    while True:
        wrong = unsettled(folder, lab)
        if not wrong:
            return time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            raise LabError(f"the lab is not ready after {seconds:.0f} s: {'; '.join(wrong[:6])}")
        time.sleep(0.3)


def unsettled(folder: Folder, lab: Lab) -> list[str]:
    """Return what is not as it should be, one sentence a node or target."""
    found = []
    seen = targets(folder)
    traffic = _traffic(folder, lab)
    if traffic is None or traffic.round_trip_p50_ms is None:
        found.append("no packet of the traffic has come back")
    up = [key for key in nodes(lab.desired) if lab.conditions.get(key, Condition.UP) is Condition.UP]
    lost = sum(1 for c in lab.conditions.values() if c in (Condition.KILLED, Condition.FROZEN, Condition.PARTITIONED))
    for key in up:
        row = _node(folder, lab, key, seen)
        if row.health != 200:
            found.append(f"{key} answers {row.health or 'nothing'} {row.why}".strip())
        elif row.tunnels_up < row.tunnels - lost * row.tunnels or (not lost and row.tunnels_up < row.tunnels):
            found.append(f"{key} has {row.tunnels_up} of {row.tunnels} tunnels up")
        elif row.target not in ("", "healthy"):
            found.append(f"{key} is a {row.target} target")
    return found


def _node(folder: Folder, lab: Lab, key: str, seen: dict[str, bool | None]) -> NodeStatus:
    tier, address = nodes(lab.desired)[key]
    node = Node(folder, key, address)
    source = str(Underlay(folder, lab).checkers[0])
    code, text = 0, ""
    try:
        with visiting(folder.net):
            code, text = page(source, address, HEALTH_PATH)
    except FileNotFoundError as error:
        raise LabError(f"the lab in {folder.path} does not run; start it with `ecm lab up`") from error
    tunnels, fast = _planned(folder, key), _sessions(node)
    thought = {True: "healthy", False: "unhealthy", None: "new"}
    return NodeStatus(
        node=key,
        tier=tier,
        condition=lab.conditions.get(key, Condition.UP),
        health=code,
        why="" if code == 200 else text.strip()[:200],
        tunnels=tunnels,
        tunnels_up=fast,
        target=thought[seen[key]] if key in seen else "",
    )


def _planned(folder: Folder, key: str) -> int:
    """Return how many tunnels a node is to have by the configuration that it is offered."""
    slot, _, generation = key.partition("#")
    path = folder.bucket / base_key(slot, int(generation))
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return 0
    return sum(1 for device in document["interfaces"] if device["kind"] == "tunnel")


def _sessions(node: Node) -> int:
    """Return how many tunnels of a node BFD watches at its fast interval."""
    listed = node.enter("birdc", "-s", "/run/bird/bird.ctl", "show", "bfd", "sessions", check=False)
    return sum(1 for line in listed.splitlines() if " Up " in line and FAST in line)


def _client(folder: Folder, client: Client) -> ClientStatus:
    last = handshake(folder, client)
    return ClientStatus(client=client.id, handshake_age_s=int(now()) - last if last else None)


def _traffic(folder: Folder, lab: Lab) -> TrafficStatus | None:
    try:
        recording = open_recording(folder.recording)
    except LabError:
        return None
    span = 5.0
    until = now() - 1.0
    packets = between(recording, until - span, until)
    back = packets.back > 0
    trips = packets.back[back] - packets.sent[back]
    return TrafficStatus(
        flows=lab.flows.count,
        sent_per_s=round(len(back) / span, 1),
        lost_pct=round(100 * float((~back).mean()), 3) if len(back) else 0.0,
        round_trip_p50_ms=round(float(np.median(trips)) * 1000, 2) if len(trips) else None,
    )
