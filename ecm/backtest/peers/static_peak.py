"""Static provisioning: the peak, or a high percentile, of what was seen before, at a target utilisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts
from ecm.backtest.peers.policy import TARGETS, sized
from ecm.backtest.trace import Rules, Trace


@dataclass(frozen=True)
class StaticPeak:
    """One number of nodes for the whole span, from the rows before it; the minimum where there are none."""

    share: float = 1.0
    """Quantile of the training rows: 1 is their peak."""
    grid: tuple[float, ...] = TARGETS
    name: str = "static peak"
    knob: str = "target utilisation"

    @property
    def variant(self) -> str:
        """Which percentile."""
        return f"p{100 * self.share:g}"

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Return the same count at every row."""
        seen = trace.load[:first]
        known = not np.isnan(seen).all()
        high = float(np.nanquantile(seen, self.share)) if known else 0.0
        return np.repeat(sized(np.array([high]), self.grid, rules), trace.rows - first, axis=1)
