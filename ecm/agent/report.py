"""Tells the fleet's observers how this node is: on every change, and now and then as a sign of life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ecm.agent.health import NOTHING, Health
from ecm.agent.node import Node
from ecm.agent.source import Source, SourceError
from ecm.agent.state import State
from ecm.agent.version import Identity
from ecm.model.contract import report_key
from ecm.model.node_report import HEARTBEAT_S, LayerName, NodeReport

_MOST_OFTEN_S: Final = 5.0
"""Between two reports: a path that flaps does not become a write each second."""


class Reporter:
    """Writes one node's report. Not thread-safe; a slow source holds up nothing but the next report."""

    def __init__(self, source: Source, who: Identity, state: State) -> None:
        self._source = source
        self._who = who
        self._state = state
        self._told: NodeReport | None = None
        self._told_at = float("-inf")
        self.problem = ""
        """Why the last report could not be written."""

    def turn(self, now: float, node: Node, clock: Callable[[], float]) -> None:
        """Write a report where one is due at `now` (seconds, monotonic); `clock` gives the seconds of the epoch."""
        waited = now - self._told_at
        if waited < _MOST_OFTEN_S or node.health is NOTHING:
            return
        report = self._report(node, clock)
        if report == self._told and waited < HEARTBEAT_S:
            return
        self._told_at = now
        try:
            self._source.publish(report_key(self._who.slot, self._who.generation), report.model_dump_json().encode())
        except SourceError as error:
            self.problem = str(error)
            return
        self._told, self.problem = report, ""

    def _report(self, node: Node, clock: Callable[[], float]) -> NodeReport:
        health, version = node.health, node.current
        wrong = wrong_layers(health)
        first = self._state.healthy_at()
        if first is None and not wrong:
            first = clock()
            self._state.set_healthy_at(first)
        return NodeReport(
            slot=self._who.slot,
            generation=self._who.generation,
            serial=version.serial if version else None,
            wrong=wrong,
            why=_plain(health.why),
            draining=health.draining,
            edge_key=node.edge_key,
            healthy_at=None if first is None else datetime.fromtimestamp(int(first), UTC),
        )


def wrong_layers(health: Health) -> tuple[LayerName, ...]:
    """Return the layers that are not as they have to be; a drain is not among them."""
    return tuple(LayerName(layer.name) for layer in health.layers if not layer.ok)


def _plain(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:300]
