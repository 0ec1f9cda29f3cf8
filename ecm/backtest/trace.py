"""What is replayed and under which rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ecm.backtest.arrays import Counts, Loads, nodes_for


@dataclass(frozen=True, eq=False)
class Trace:
    """A measured load on a regular grid: row i is stamped `start + i * step` and is the load until the next stamp."""

    name: str
    start: datetime
    """Stamp of row 0, with a time zone."""
    step_min: int
    load: Loads
    """Shape (rows,), in any unit of load; NaN where nothing was measured. A private read-only copy is kept."""

    def __post_init__(self) -> None:
        load = np.array(self.load, dtype=np.float64)
        if load.ndim != 1 or load.size == 0:
            raise ValueError(f"trace {self.name}: load has shape {load.shape}, needed is one row at least")
        if self.step_min < 1 or self.start.tzinfo is None:
            raise ValueError(f"trace {self.name}: the step must be 1 min or more and the start must have a time zone")
        if np.isinf(load).any() or (load < 0).any():
            raise ValueError(f"trace {self.name}: a load is negative or infinite")
        load.setflags(write=False)
        object.__setattr__(self, "load", load)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.load.size

    @property
    def start_minute(self) -> int:
        """Minutes of row 0's stamp since 1970, rounded down."""
        return math.floor(self.start.timestamp() / 60)

    def part(self, first: int, until: int | None = None) -> Trace:
        """Return the rows [first, until) as a trace of its own."""
        begin = self.start + timedelta(minutes=first * self.step_min)
        return Trace(self.name, begin, self.step_min, self.load[first:until])


@dataclass(frozen=True)
class Rules:
    """What a node can do and what it costs; the same for every policy of a comparison."""

    capacity: float
    """Load that one ready node serves, in the trace's unit."""
    boot_min: int
    """A node launched at t serves from t + boot."""
    min_nodes: int
    bill_after_min: int = 5
    """A removed node stops serving at once and is billed so much longer."""
    decide_every_min: int | None = None
    """Cadence of decisions, held in between: a multiple of the step; None: one decision per row."""
    node_usd_per_hour: float = 0.0
    operation_usd: float = 0.0
    """Cost of one scale action, however many nodes it moves."""

    def __post_init__(self) -> None:
        if not self.capacity > 0:
            raise ValueError(f"capacity is {self.capacity}, needed is more than 0")
        if min(self.boot_min, self.min_nodes, self.bill_after_min) < 0:
            raise ValueError("boot_min, min_nodes and bill_after_min must not be negative")

    def period(self, step_min: int) -> int:
        """Return the rows from one decision to the next; ValueError where the cadence is no multiple of the step."""
        every = step_min if self.decide_every_min is None else self.decide_every_min
        if every < step_min or every % step_min:
            raise ValueError(f"decide_every_min is {every}, needed is a multiple of the step of {step_min} min")
        return every // step_min

    def tick_min(self, step_min: int) -> int:
        """Return the longest time of which the step and the boot time are whole multiples, minutes."""
        return math.gcd(step_min, self.boot_min)

    def ticks(self, step_min: int) -> int:
        """Return the ticks in a row."""
        return step_min // self.tick_min(step_min)


def demand(trace: Trace, rules: Rules) -> Counts:
    """Return the fewest nodes, at least the minimum, that serve every row; rows not measured need the minimum."""
    return np.maximum(nodes_for(trace.load, rules.capacity), rules.min_nodes)
