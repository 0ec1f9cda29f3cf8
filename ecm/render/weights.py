"""Weights of a node's next hops: the own zone first, as far as its share of the capacity goes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ecm.render.links import End

HEAVIEST = 256
"""BIRD's largest `ecmp weight`."""


def zone_affine(zone: str, senders: Sequence[End], receivers: Sequence[End]) -> dict[int, int]:
    """Return the weight, 1 to 256, of each receiver (by node number) for a sender in `zone`.

    Senders carry load in proportion to their weights, and each receiver is to get its own proportion. A zone that
    receives less than it sends keeps what it can hold and spreads the rest over the zones with a surplus, so that no
    node is loaded above its weight and as little as possible leaves its zone (traffic between zones costs money and
    time). A draining receiver keeps the smallest weight: it is used only when nothing else is left.
    """
    sent, held = _shares(senders), _shares(receivers)
    own, mine = held.get(zone, Fraction(0)), sent.get(zone, Fraction(0))
    local = min(Fraction(1), own / mine) if mine else Fraction(int(own > 0))
    surplus = {z: max(Fraction(0), share - sent.get(z, Fraction(0))) for z, share in held.items() if z != zone}
    if not any(surplus.values()):
        surplus = {z: share for z, share in held.items() if z != zone}
    spare = sum(surplus.values(), start=Fraction(0))
    parts: dict[int, Fraction] = {}
    for end in receivers:
        if not end.active:
            continue
        in_zone = Fraction(end.weight, sum(e.weight for e in receivers if e.active and e.zone == end.zone))
        if end.zone == zone:
            parts[end.number] = local * in_zone
        else:
            parts[end.number] = (1 - local) * surplus[end.zone] / spare * in_zone if spare else Fraction(0)
    most = max(parts.values(), default=Fraction(0))
    return {
        e.number: max(1, round(parts.get(e.number, Fraction(0)) / most * HEAVIEST)) if most else 1 for e in receivers
    }


def _shares(ends: Sequence[End]) -> dict[str, Fraction]:
    """Return each zone's share of the weight of the active nodes."""
    total = sum(e.weight for e in ends if e.active)
    shares: dict[str, Fraction] = {}
    for end in ends:
        if end.active:
            shares[end.zone] = shares.get(end.zone, Fraction(0)) + Fraction(end.weight, total)
    return shares
