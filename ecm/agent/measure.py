"""From what the tools show to the node's metrics."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecm.agent.apply import Machinery
from ecm.agent.metrics import Totals, traffic
from ecm.agent.node import Node
from ecm.agent.returns import ReturnRoutes
from ecm.agent.shell import ToolError
from ecm.model.document import Document
from ecm.model.exposition import Metric, exposition

_LABELS: Final = ("application", "chain", "class", "direction")


@dataclass
class Measured:
    """Counters that outlive the rulesets that they are read from."""

    bytes: Totals
    packets: Totals
    drops: Totals

    @staticmethod
    def new() -> Measured:
        """Return counters at zero."""
        return Measured(Totals(), Totals(), Totals())

    def read(self, machinery: Machinery, document: Document) -> None:
        """Add what the loaded ruleset has counted; call it before another is loaded, too."""
        found = traffic(machinery.firewall.table(), document)
        self.bytes.update(found.bytes)
        self.packets.update(found.packets)
        self.drops.update(found.drops)


def page(node: Node, machinery: Machinery, measured: Measured, routes: ReturnRoutes | None, now: int) -> str:
    """Return the metrics page."""
    version = node.current
    metrics = list(_own(node))
    if version is not None:
        document = version.document
        measured.read(machinery, document)
        metrics += _traffic(document.node.vpn, measured)
        metrics += _paths(machinery, document)
        metrics += _peers(machinery, document, routes, now)
    return exposition(metrics)


def choices_page(status: Mapping[str, Any], vpn: str) -> str:
    """Return the metrics of what `Choices.status` says."""
    labels = {"vpn": vpn}
    rows = (
        ("ecm_overlay_serial", "Serial of the overlay whose choices new flows take; 0: none.", status["serial"] or 0),
        ("ecm_overlay_rules", "Its rules.", status["rules"]),
        ("ecm_overlay_lost_chains", "Chains that it chooses and that have no way from here.", len(status["lost"])),
        ("ecm_overlay_remaining_seconds", "Until it ends.", status["ends_in_s"]),
    )
    found = [Metric(name, "gauge", text, ((labels, float(value)),)) for name, text, value in rows]
    refused = tuple(({"vpn": vpn, "reason": reason}, float(n)) for reason, n in status["refused"].items())
    found.append(Metric("ecm_overlay_refused_total", "counter", "Overlays that were not taken, by reason.", refused))
    return exposition(found)


def _own(node: Node) -> Iterable[Metric]:
    version, health, counts = node.current, node.health, node.counts
    yield _one("ecm_healthy", "gauge", "Whether the node may take new traffic.", health.healthy)
    yield _one("ecm_draining", "gauge", "Whether the node drains.", health.draining)
    yield _one("ecm_panic", "gauge", "Whether no ingress node has a path.", health.panic)
    layers = tuple(({"layer": layer.name}, float(layer.ok)) for layer in health.layers)
    yield Metric("ecm_layer_ok", "gauge", "Each layer of the node's health.", layers)
    yield _one("ecm_config_serial", "gauge", "Serial of the plan in use.", version.serial if version else 0)
    yield _one("ecm_config_confirmed", "gauge", "Whether the version in use is confirmed.", node.trial is None)
    results = {
        "applied": counts.applied,
        "confirmed": counts.confirmed,
        "taken_back": counts.taken_back,
        "mended": counts.mended,
        "failed": counts.failed,
    }
    samples = tuple(({"result": name}, float(count)) for name, count in results.items())
    yield Metric("ecm_config_results_total", "counter", "What became of versions since the agent started.", samples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield _one("ecm_agent_peak_resident_bytes", "gauge", "The agent's largest resident size.", peak)


def _traffic(vpn: str, measured: Measured) -> Iterable[Metric]:
    for name, totals in (("bytes", measured.bytes), ("packets", measured.packets)):
        samples = tuple(
            ({"vpn": vpn, **dict(zip(_LABELS, key, strict=True))}, float(value))
            for key, value in sorted(totals.sums.items())
        )
        yield Metric(f"ecm_traffic_{name}_total", "counter", f"Forwarded {name}, of the inner packets.", samples)
    counted = sorted(measured.drops.sums.items())
    drops = tuple(({"chain": chain, "reason": reason}, float(value)) for (chain, reason), value in counted)
    yield Metric("ecm_dropped_packets_total", "counter", "Packets that a rule has dropped.", drops)


def _paths(machinery: Machinery, document: Document) -> Iterable[Metric]:
    up = {s.interface for s in machinery.bird.sessions() if s.up}
    samples = tuple(({"interface": d.name}, float(d.name in up)) for d in document.interfaces if d.kind == "tunnel")
    yield Metric("ecm_path_up", "gauge", "Whether BFD hears the neighbour over this tunnel.", samples)


def _peers(machinery: Machinery, document: Document, routes: ReturnRoutes | None, now: int) -> Iterable[Metric]:
    ages: list[tuple[Mapping[str, str], float]] = []
    received: dict[str, int] = {}
    sent: dict[str, int] = {}
    for name, row in _dump(machinery):
        received[name] = received.get(name, 0) + int(row[5])
        sent[name] = sent.get(name, 0) + int(row[6])
        if int(row[4]) and not name.startswith("edge"):
            ages.append(({"interface": name}, float(max(0, now - int(row[4])))))
    yield Metric("ecm_tunnel_handshake_age_seconds", "gauge", "Since a tunnel's last handshake.", tuple(ages))
    for what, found in (("receive", received), ("transmit", sent)):
        samples = tuple(({"interface": name}, float(value)) for name, value in sorted(found.items()))
        yield Metric(f"ecm_wireguard_{what}_bytes_total", "counter", f"Bytes to {what} by WireGuard.", samples)
    if document.clients is not None and routes is not None:
        vpn = {"vpn": document.node.vpn}
        recent = sum(1 for h in routes.heard.values() if h.handshake and now - h.handshake < 180)
        yield Metric("ecm_clients_connected", "gauge", "Clients with a handshake in 180 s.", ((vpn, float(recent)),))
        yield Metric("ecm_client_routes", "gauge", "Clients whose route is here.", ((vpn, float(len(routes.claims))),))


def _dump(machinery: Machinery) -> Iterable[tuple[str, list[str]]]:
    """Yield every peer of every interface: interface, and the row of `wg show IF dump`."""
    try:
        shown = machinery.shell.run(machinery.settings.tools.wg, "show", "all", "dump")
    except ToolError:
        return
    for row in (line.split("\t") for line in shown.splitlines()):
        if len(row) == 9:
            yield row[0], row[1:]


def _one(name: str, kind: str, text: str, value: float) -> Metric:
    return Metric(name, kind, text, (({}, float(value)),))
