"""The clairvoyant with an allowance of violated minutes (OPT-eps): which rows to give up.

A heuristic: runs of rows are given up greedily, the largest saving per minute first. Its hours are those of real
decisions within the allowance, so the true optimum with the allowance needs at most as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Flags, Loads
from ecm.backtest.clairvoyant import standing
from ecm.backtest.trace import Rules, Trace, demand

LENGTHS = (1, 2, 3, 4, 6, 9, 12)
"""Rows given up together: a burst saves more as a whole than its parts do one by one."""
BLOCK = 2048
"""Candidates evaluated in one pass; bounds memory."""


@dataclass(frozen=True)
class _Window:
    """The surroundings of a run of rows within which giving it up can change anything, in ticks."""

    rows: int
    per_row: int
    period: int
    margin: int
    """Whole decision periods on either side."""

    @property
    def ticks(self) -> int:
        """Length of the window."""
        return (2 * self.margin + -(-self.rows * self.per_row // self.period) + 1) * self.period


def clairvoyant_within(trace: Trace, rules: Rules, violated_min: float) -> Counts:
    """Return decisions, one per row, that violate at most `violated_min` minutes and need few instance-hours."""
    rows = demand(trace, rules)
    left = int(violated_min // trace.step_min)
    savings = {n: _savings(rows, np.arange(trace.rows), n, (trace.step_min, rules)) for n in LENGTHS}
    while left > 0:
        worth = {n: float(s.max()) / n for n, s in savings.items() if n <= left}
        length = max(worth, key=lambda n: (worth[n], -n))
        if worth[length] <= 0:
            break
        at = int(savings[length].argmax())
        rows[at : at + length] = rules.min_nodes
        left -= length
        _refresh(savings, rows, (at, at + length), (trace.step_min, rules))
    per_row = rules.ticks(trace.step_min)
    return standing(np.repeat(rows, per_row), trace.step_min, rules)[::per_row]


def _window(length: int, step_min: int, rules: Rules) -> _Window:
    tick = rules.tick_min(step_min)
    per_row = rules.ticks(step_min)
    period = rules.period(step_min) * per_row
    reach = (rules.boot_min + rules.bill_after_min) // tick + 1
    return _Window(length, per_row, period, -(-reach // period) + 1)


def _refresh(savings: dict[int, Loads], rows: Counts, changed: tuple[int, int], grid: tuple[int, Rules]) -> None:
    """Evaluate again what the change of the rows [begin, end) can have touched."""
    for length, saved in savings.items():
        window = _window(length, *grid)
        reach = window.ticks // window.per_row + 1
        at = np.arange(max(0, changed[0] - reach), min(rows.size, changed[1] + reach))
        saved[at] = _savings(rows, at, length, grid)


def _savings(rows: Counts, at: Counts, length: int, grid: tuple[int, Rules]) -> Loads:
    """Return the node-minutes saved by giving up `length` rows from each row of `at` on."""
    parts = [_block(rows, at[i : i + BLOCK], length, grid) for i in range(0, at.size, BLOCK)]
    return np.concatenate(parts)


def _block(rows: Counts, at: Counts, length: int, grid: tuple[int, Rules]) -> Loads:
    step_min, rules = grid
    window = _window(length, step_min, rules)
    begin = at * window.per_row // window.period * window.period - window.margin * window.period
    ticks = begin[:, None] + np.arange(window.ticks)
    row = ticks // window.per_row
    inside = (row >= 0) & (row < rows.size)
    needed = np.where(inside, rows[np.clip(row, 0, rows.size - 1)], rules.min_nodes)
    given_up = (row >= at[:, None]) & (row < at[:, None] + length)
    without = np.where(given_up, rules.min_nodes, needed)
    # Before the first row nothing is billed: a boot time must not be saved there.
    counted = ticks >= 0
    return _cost(needed, counted, grid) - _cost(without, counted, grid)


def _cost(needed: Counts, counted: Flags, grid: tuple[int, Rules]) -> Loads:
    """Return the node-minutes of each row of `needed`, counted where `counted`."""
    step_min, rules = grid
    nodes = standing(needed, step_min, rules)
    removed = np.maximum(-np.diff(nodes, axis=-1), 0) * counted[:, 1:]
    total: Loads = (nodes * counted).sum(axis=-1) * float(rules.tick_min(step_min))
    after: Loads = removed.sum(axis=-1) * float(rules.bill_after_min)
    return total + after
