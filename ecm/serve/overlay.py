"""From live leases to the overlay of a VPN: which new flows take which chain, as rules of which no two fit a packet.

Pure. Where leases ask for different chains for one packet, the more specific wins: the longer destination, then the one
with ports, then the longer source; of equals the latest. What a lease asks for beyond that stays with the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Generic, TypeVar

from ecm.model.document import ChainMark, Choosable
from ecm.model.overlay import LIFE_S, MAX_RULES, PORTS, PROTOCOLS, Overlay, OverlayRule
from ecm.model.plan import Plan
from ecm.render.choosing import choosable
from ecm.serve.cells import Box, Span, left_of, meet
from ecm.serve.lease import Lease

EVERYWHERE: Final = IPv4Network("0.0.0.0/0")
MOST_CELLS: Final = 64
"""Rules that one match of a lease may become; one that needs more is left out."""
_Held = TypeVar("_Held")
_PROTOCOL: Final = {"tcp": 6, "udp": 17}


@dataclass(frozen=True)
class LeftOut:
    """A lease that the overlay does not carry, and why."""

    lease: str
    why: str


@dataclass(frozen=True)
class Compiled:
    """What the leases of a VPN ask for."""

    rules: tuple[OverlayRule, ...]
    left_out: tuple[LeftOut, ...]
    """By lease."""

    def overlay(self, plan: Plan, vpn: str, serial: int, now: datetime) -> Overlay:
        """Return the overlay that is issued `now`."""
        return Overlay(
            stack=plan.stack,
            vpn=vpn,
            serial=serial,
            base=plan.digest,
            issued_at=now,
            not_after=now + timedelta(seconds=LIFE_S),
            rules=self.rules,
        )


@dataclass(frozen=True)
class _Match:
    """One source, destination and protocol of a lease."""

    lease: Lease
    chosen: ChainMark
    source: IPv4Network
    destination: IPv4Network
    ports: tuple[Span, Span]
    """Protocols and ports."""

    @cached_property
    def rank(self) -> tuple[int, bool, int, float, str, tuple[Span, Span]]:
        """Which match wins: the lowest."""
        anything = self.ports == (PROTOCOLS, PORTS)
        made = -self.lease.made_at.timestamp()
        return (-self.destination.prefixlen, anything, -self.source.prefixlen, made, self.lease.id, self.ports)

    @cached_property
    def box(self) -> Box:
        return (_span(self.source), _span(self.destination), *self.ports)


def compiled(leases: Iterable[Lease], plan: Plan, vpn: str) -> Compiled:
    """Return the rules for those of `leases` that are of `vpn`, by what `plan` declares; the same in any order."""
    declared = {item.application: item for item in choosable(plan.desired, vpn)}
    left_out: list[LeftOut] = []
    matches: dict[str, dict[tuple[IPv4Network, IPv4Network, Span, Span], _Match]] = defaultdict(dict)
    for lease in sorted((x for x in leases if x.vpn == vpn), key=lambda x: x.id):
        chosen = _chosen(lease, declared)
        if isinstance(chosen, LeftOut):
            left_out.append(chosen)
            continue
        held = matches[lease.application]
        for match in _matches(lease, chosen):
            key = (match.source, match.destination, *match.ports)
            if key not in held or match.rank < held[key].rank:
                held[key] = match
    rules: list[OverlayRule] = []
    for match, boxes in _disjoint([*found.values()] for _, found in sorted(matches.items())):
        if boxes is None:
            left_out.append(LeftOut(match.lease.id, f"more than {MAX_RULES} rules, or {MOST_CELLS} of its own"))
            continue
        rules += [_rule(match, box) for box in boxes]
    unique = {(item.lease, item.why): item for item in left_out}
    return Compiled(tuple(sorted(rules, key=lambda r: r.order)), tuple(unique[key] for key in sorted(unique)))


def _chosen(lease: Lease, declared: dict[str, Choosable]) -> ChainMark | LeftOut:
    item = declared.get(lease.application)
    if item is None:
        return LeftOut(lease.id, f"the applied plan has no application {lease.application} that takes choices")
    found = next((c for c in item.choices if c.chain == lease.chain), None)
    if found is None:
        return LeftOut(lease.id, f"the applied plan does not let {lease.application} take chain {lease.chain}")
    if found.traffic_class != lease.traffic_class:
        return LeftOut(
            lease.id, f"{lease.application} is in class {found.traffic_class} now, not {lease.traffic_class}"
        )
    return found


def _matches(lease: Lease, chosen: ChainMark) -> Iterator[_Match]:
    source = lease.source or EVERYWHERE
    ports = [_ports(text) for text in lease.ports] or [(PROTOCOLS, PORTS)]
    for destination in lease.destinations or (EVERYWHERE,):
        for service in ports:
            yield _Match(lease, chosen, source, destination, service)


def _ports(text: str) -> tuple[Span, Span]:
    """Return the protocol and ports of `tcp/443` or `udp/3478-3481`."""
    protocol, _, span = text.partition("/")
    low, _, high = span.partition("-")
    number = _PROTOCOL[protocol]
    return (number, number), (int(low), int(high or low))


def _disjoint(of_applications: Iterable[list[_Match]]) -> Iterator[tuple[_Match, tuple[Box, ...] | None]]:
    """Yield every match with what no better one takes; None where that is more than there is room for."""
    room = MAX_RULES
    for matches in of_applications:
        placed = _Placed()
        for match in sorted(matches, key=lambda m: m.rank):
            boxes = left_of(match.box, placed.meeting(match), min(MOST_CELLS, room)) if room else None
            if boxes is not None:
                placed.add(match)
                room -= len(boxes)
            yield match, boxes


class _Networks(Generic[_Held]):
    """What is held by network, and found again by any network that it meets: two meet where one holds the other."""

    def __init__(self, new: Callable[[], _Held]) -> None:
        self._new = new
        self._held: dict[tuple[int, int], _Held] = {}
        self._order: list[tuple[int, int]] = []
        self._lengths: set[int] = set()

    def at(self, network: IPv4Network) -> _Held:
        """Return what is held for `network`, a new one where there is none."""
        key = int(network.network_address), network.prefixlen
        if key not in self._held:
            self._held[key] = self._new()
            self._order.insert(bisect_left(self._order, key), key)
            self._lengths.add(network.prefixlen)
        return self._held[key]

    def meeting(self, network: IPv4Network) -> Iterator[_Held]:
        """Yield what is held for every network that meets `network`."""
        first, last = _span(network)
        for length in sorted(n for n in self._lengths if n < network.prefixlen):
            key = first >> 32 - length << 32 - length, length
            if key in self._held:
                yield self._held[key]
        low, high = bisect_left(self._order, (first, network.prefixlen)), bisect_right(self._order, (last, 32))
        yield from (self._held[key] for key in self._order[low:high] if key[1] >= network.prefixlen)


class _Placed:
    """Matches by source and destination."""

    def __init__(self) -> None:
        self._boxes: _Networks[_Networks[list[Box]]] = _Networks(lambda: _Networks(list))

    def add(self, match: _Match) -> None:
        self._boxes.at(match.source).at(match.destination).append(match.box)

    def meeting(self, match: _Match) -> Iterator[Box]:
        """Yield the boxes that meet `match`."""
        for of_source in self._boxes.meeting(match.source):
            for boxes in of_source.meeting(match.destination):
                yield from (box for box in boxes if meet(box, match.box))


def _rule(match: _Match, box: Box) -> OverlayRule:
    sources, destinations, protocols, ports = box
    return OverlayRule(
        application=match.lease.application,
        sources=(IPv4Address(sources[0]), IPv4Address(sources[1])),
        destinations=(IPv4Address(destinations[0]), IPv4Address(destinations[1])),
        protocols=protocols,
        ports=ports,
        chain=match.chosen.chain,
        traffic_class=match.chosen.traffic_class,
        mark=match.chosen.mark,
    )


def _span(network: IPv4Network) -> Span:
    return int(network.network_address), int(network.broadcast_address)
