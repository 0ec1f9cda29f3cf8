"""What every policy is: a name, a swept knob, and decisions that see only the past."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ecm.backtest.arrays import Counts, Loads, nodes_for
from ecm.backtest.trace import Rules, Trace

TARGETS = tuple(round(0.300 + 0.025 * k, 3) for k in range(29))
"""Target utilisations of a sweep: 0.3 to 1 in steps of 0.025, more than anyone sets in either direction."""
RUN_IN_MIN = 1440
"""A rule with a state of its own runs so long before the first row that counts, where there is history."""


class Policy(Protocol):
    """A rule at all values of its knob."""

    @property
    def name(self) -> str:
        """What people call the rule."""

    @property
    def variant(self) -> str:
        """The setting beside the knob, such as `window 15 min`; empty where there is none."""

    @property
    def knob(self) -> str:
        """What the grid varies."""

    @property
    def grid(self) -> tuple[float, ...]:
        """The knob's values."""

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Return the decisions at the rows from `first` on, shape (len(grid), rows - first).

        The decision at row i uses rows before i alone, and is at least `rules.min_nodes`.
        """


def sized(load: Loads, grid: tuple[float, ...], rules: Rules) -> Counts:
    """Return the nodes that serve `load` (rows,) at each target utilisation of `grid`: shape (grid, rows)."""
    per_node = np.array(grid)[:, None] * rules.capacity
    return np.maximum(nodes_for(load, per_node), rules.min_nodes)


def run_in(trace: Trace, rules: Rules, first: int) -> int:
    """Return the row at which a rule with a state starts, in phase with the decisions from `first` on."""
    period = rules.period(trace.step_min)
    periods = min(first // period, max(1, RUN_IN_MIN // (period * trace.step_min)))
    return first - periods * period


def rows_still_booting(step_min: int, boot_min: int, *, at_row_end: bool) -> int:
    """Return how many latest decisions must all have wanted a node for it to serve, one at least.

    At the moment of the next decision, or just before it (`at_row_end`: whether the row's own metric includes it).
    """
    return max(1, -(-(boot_min + at_row_end) // step_min))
