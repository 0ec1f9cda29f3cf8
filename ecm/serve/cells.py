"""Boxes of whole numbers, such as ranges of addresses and ports: what is left of one after others are taken out."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""First and last."""
Box = tuple[Span, ...]


def meet(one: Box, other: Box) -> bool:
    """Return whether two boxes have anything in common."""
    return all(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(one, other, strict=True))


def left_of(box: Box, taken: Iterable[Box], most: int) -> tuple[Box, ...] | None:
    """Return `box` without the `taken` ones as boxes of which no two meet; None where that needs more than `most`."""
    parts = [box]
    for other in taken:
        parts = [rest for part in parts for rest in _without(part, other)]
        if len(parts) > most:
            return None
        if not parts:
            break
    return tuple(parts)


def _without(box: Box, other: Box) -> list[Box]:
    """Return `box` without `other`: for each dimension what is before it and after it."""
    if not meet(box, other):
        return [box]
    found, rest = [], list(box)
    for axis, (first, last) in enumerate(other):
        low, high = rest[axis]
        if low < first:
            found.append((*rest[:axis], (low, first - 1), *rest[axis + 1 :]))
        if last < high:
            found.append((*rest[:axis], (last + 1, high), *rest[axis + 1 :]))
        rest[axis] = (max(low, first), min(high, last))
    return found
