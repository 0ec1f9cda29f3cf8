"""What the node measures, in the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ecm.model.document import Document


class Totals:
    """Counters that only grow, over tools whose counters begin anew when a ruleset is loaded."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], int] = {}
        self.sums: dict[tuple[str, ...], int] = {}

    def update(self, now: Mapping[tuple[str, ...], int]) -> None:
        """Add what came since the last update; a counter below its last value has begun anew."""
        for key, value in now.items():
            last = self._last.get(key, 0)
            self.sums[key] = self.sums.get(key, 0) + (value - last if value >= last else value)
        self._last = dict(now)


@dataclass(frozen=True)
class Traffic:
    """What passed since the ruleset was loaded, by (application, chain, class, direction), and what was dropped."""

    bytes: Mapping[tuple[str, ...], int]
    packets: Mapping[tuple[str, ...], int]
    drops: Mapping[tuple[str, ...], int]
    """Packets by (chain of rules, reason)."""


def traffic(rows: Iterable[Mapping[str, Any]], document: Document) -> Traffic:
    """Return what the table's counters say."""
    octets: dict[tuple[str, ...], int] = {}
    packets: dict[tuple[str, ...], int] = {}
    drops: dict[tuple[str, ...], int] = {}
    names = _Names(document)
    for row in rows:
        if row.get("set", {}).get("name") == "usage":
            for element in row["set"].get("elem", ()):
                held = element.get("elem", element)
                direction, mark = held["val"]["concat"]
                key = names.of(int(mark), str(direction))
                octets[key] = octets.get(key, 0) + held["counter"]["bytes"]
                packets[key] = packets.get(key, 0) + held["counter"]["packets"]
        rule = row.get("rule")
        if rule and str(rule.get("comment", "")).startswith("drop:"):
            place = (rule["chain"], rule["comment"].removeprefix("drop:"))
            counted = sum(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
            drops[place] = drops.get(place, 0) + counted
    return Traffic(octets, packets, drops)


class _Names:
    """What the fields of a packet mark are called."""

    def __init__(self, document: Document) -> None:
        names = document.names
        self._applications = {n.number: n.id for n in names.applications}
        self._chains = {n.number: n.id for n in names.chains}
        self._classes = {n.number: n.id for n in names.classes}

    def of(self, mark: int, direction: str) -> tuple[str, str, str, str]:
        application, chain, traffic_class = mark & 0x3FF, mark >> 20 & 0xFF, mark >> 28 & 0xF
        return (
            self._applications.get(application, str(application) if application else "other"),
            self._chains.get(chain, str(chain)),
            self._classes.get(traffic_class, str(traffic_class)),
            direction,
        )
