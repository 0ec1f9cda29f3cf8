"""Quantile bands in one line of a terminal: the P50 as blocks, the P90 and P99 as how far above it they reach."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], top: int, width: int) -> str:
    """Return `values` as blocks scaled to `top`, in at most `width` columns; each column shows its highest value."""
    if not values or top <= 0:
        return " " * min(len(values), width)
    columns = min(len(values), width)
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    peaks = (max(values[a:b]) for a, b in pairwise(edges))
    return "".join(_BLOCKS[min(8, max(1 if peak > 0 else 0, round(8 * peak / top)))] for peak in peaks)
