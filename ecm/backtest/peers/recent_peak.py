"""Recent peak over target: the largest load of the last minutes, divided by what a node should carry.

The reactive rule that Autopilot's moving-window maximum stands for (Rzadca et al., EuroSys 2020, section 3.2), without
its slow decay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Loads, held, trailing
from ecm.backtest.peers.policy import TARGETS, sized
from ecm.backtest.trace import Rules, Trace


@dataclass(frozen=True)
class RecentPeak:
    """Nodes for the peak of the last `window_min`; a window shorter than a row is the last row.

    Where nothing of the window was measured, the latest peak stays.
    """

    window_min: int
    grid: tuple[float, ...] = TARGETS
    name: str = "recent peak"
    knob: str = "target utilisation"

    @property
    def variant(self) -> str:
        """The window."""
        return f"window {self.window_min} min"

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Return nodes for the peak of the rows that had ended, at each target."""
        window = max(1, -(-self.window_min // trace.step_min))
        known = np.where(np.isnan(trace.load), -np.inf, trace.load)
        peak = trailing(np.maximum, known, window - 1, -np.inf)
        ended = np.concatenate([[-np.inf], peak[:-1]])
        return held(sized(_kept(ended)[first:], self.grid, rules), rules.period(trace.step_min))


def _kept(values: Loads) -> Loads:
    """Return `values` with each missing (-inf) one replaced by the latest before it, 0 where there is none."""
    latest = np.maximum.accumulate(np.where(np.isneginf(values), -1, np.arange(values.size)))
    return np.where(latest >= 0, values[np.maximum(latest, 0)], 0.0)
