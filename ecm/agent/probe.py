"""Says of every chain that begins here whether it leads all the way to an exit: what the chain's alarm counts.

An exit announces itself through every tier, and BFD guards each hop of the way: where the chain's table has a default
route, and the node's own layers are right, a packet that enters here leaves there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from ecm.agent.health import Health
from ecm.agent.report import wrong_layers
from ecm.agent.source import SourceError
from ecm.model.contract import PROBE_METRIC
from ecm.model.document import FORWARD_TABLES, Document
from ecm.model.node_report import LayerName

EVERY_S: Final = 30.0
"""Twice in each minute that the alarm looks at."""


class Meter(Protocol):
    """Where metrics go."""

    def put(self, metric: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Write one value for each set of dimensions; SourceError where that is not possible."""
        ...


def probes(document: Document, health: Health, has_default: Callable[[int], bool]) -> dict[str, bool]:
    """Return for each chain that begins on this node whether it leads to an exit; nothing on other nodes."""
    if document.node.role != "ingress":
        return {}
    sound = not set(wrong_layers(health)) - {LayerName.PATH}
    tables = {rule.table for rule in document.rules}
    found = {}
    for chain in document.names.chains:
        table = FORWARD_TABLES + chain.number
        found[chain.id] = sound and (table not in tables or has_default(table))
    return found


class Prober:
    """Writes the probes of one node."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._due = float("-inf")
        self.problem = ""
        """Why the last ones could not be written."""

    def is_due(self, now: float) -> bool:
        """Return whether probes are due at `now`, seconds, monotonic."""
        return now >= self._due

    def write(self, now: float, stack: str, found: Mapping[str, bool]) -> None:
        """Write what was found."""
        self._due = now + EVERY_S
        if not found:
            return
        values = (({"Stack": stack, "Chain": chain}, float(well)) for chain, well in sorted(found.items()))
        try:
            self._meter.put(PROBE_METRIC, tuple(values))
        except SourceError as error:
            self.problem = str(error)
            return
        self.problem = ""
