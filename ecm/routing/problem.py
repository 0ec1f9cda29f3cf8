"""Generalized assignment: jobs, the options of each, and what the options use of shared, priced resources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Every job takes one of its options; an option costs, and uses some of one or more resources.

    A resource is bought in levels: a level holds up to its capacity and has a price, both rise from level to level, and
    nothing above the last level can be had; a resource without
    load costs nothing. A capacity that is simply there is one level of price 0. The textbook's
    agents are resources, each option using one; in a VPN the jobs are applications, the options chains and the
    resources tiers, and a tier that several chains share is used by the options of all of them.

    Amounts, capacities, costs and prices are whole numbers of any unit (ECM: Mbit/s and micro-USD per hour). Arrays are
    in compressed form: the options of job j are option_start[j] to option_start[j + 1] - 1, and so on.
    """

    option_start: Ints
    cost: Ints
    """Per option."""
    use_start: Ints
    use_resource: Ints
    use_amount: Ints
    level_start: Ints
    level_capacity: Ints
    level_price: Ints

    def __post_init__(self) -> None:
        """ValueError where the arrays do not describe a problem."""
        _rising("option_start", self.option_start, len(self.cost))
        _rising("use_start", self.use_start, len(self.use_resource))
        _rising("level_start", self.level_start, len(self.level_capacity))
        if len(self.use_start) != len(self.cost) + 1:
            raise ValueError(f"use_start has {len(self.use_start)} entries for {len(self.cost)} options")
        if (np.diff(self.level_start) < 1).any():
            raise ValueError("every resource needs at least one level")
        if len(self.use_resource) and not 0 <= self.use_resource.min() <= self.use_resource.max() < self.resources:
            raise ValueError("use_resource names a resource that has no level")
        if (self.use_amount < 0).any() or (self.level_capacity < 0).any() or (self.level_price < 0).any():
            raise ValueError("amounts, capacities and prices must not be negative")
        inside = np.ones(max(len(self.level_capacity) - 1, 0), dtype=bool)
        inside[self.level_start[1:-1] - 1] = False
        for name, values in (("level_capacity", self.level_capacity), ("level_price", self.level_price)):
            if (np.diff(values)[inside] < 0).any():
                raise ValueError(f"{name} must not fall from one level of a resource to the next")

    @classmethod
    def dense(cls, cost: Ints, weight: Ints, capacity: Ints) -> Problem:
        """Return the textbook problem: `cost` and `weight` of shape (agents, jobs), `capacity` per agent."""
        if cost.shape != weight.shape or capacity.shape != cost.shape[:1]:
            raise ValueError(f"shapes differ: cost {cost.shape}, weight {weight.shape}, capacity {capacity.shape}")
        fits = (weight <= capacity[:, None]).T
        job, agent = np.nonzero(fits)
        return cls(
            option_start=_starts(fits.sum(axis=1)),
            cost=cost[agent, job],
            use_start=np.arange(len(job) + 1),
            use_resource=agent,
            use_amount=weight[agent, job],
            level_start=np.arange(len(capacity) + 1),
            level_capacity=capacity,
            level_price=np.zeros_like(capacity),
        )

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return len(self.option_start) - 1

    @property
    def resources(self) -> int:
        """Number of resources."""
        return len(self.level_start) - 1

    @property
    def job(self) -> Ints:
        """The job of each option."""
        return np.repeat(np.arange(self.jobs), np.diff(self.option_start))

    @property
    def most(self) -> Ints:
        """Largest capacity of each resource."""
        return self.level_capacity[self.level_start[1:] - 1]

    def load(self, chosen: Ints) -> Ints:
        """Return the load of each resource under `chosen`, an option per job."""
        taken = np.zeros(len(self.cost), dtype=bool)
        taken[chosen] = True
        uses = np.repeat(taken, np.diff(self.use_start))
        load = np.zeros(self.resources, dtype=np.int64)
        np.add.at(load, self.use_resource[uses], self.use_amount[uses])
        return load

    def total(self, chosen: Ints) -> int | None:
        """Return the cost of `chosen` with the prices of the levels it needs; None where a resource is overfull."""
        load = self.load(chosen)
        if (load > self.most).any():
            return None
        short = self.level_capacity < np.repeat(load, np.diff(self.level_start))
        level = self.level_start[:-1] + np.add.reduceat(short, self.level_start[:-1])
        return int(self.cost[chosen].sum() + self.level_price[level[load > 0]].sum())

    def only(self, keep: Flags) -> Problem:
        """Return the problem with the options of `keep` alone."""
        uses = np.diff(self.use_start)
        kept = np.repeat(keep, uses)
        per_job = np.bincount(self.job[keep], minlength=self.jobs)
        return Problem(
            option_start=_starts(per_job),
            cost=self.cost[keep],
            use_start=_starts(uses[keep]),
            use_resource=self.use_resource[kept],
            use_amount=self.use_amount[kept],
            level_start=self.level_start,
            level_capacity=self.level_capacity,
            level_price=self.level_price,
        )


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _rising(name: str, starts: Ints, end: int) -> None:
    if len(starts) < 1 or starts[0] != 0 or starts[-1] != end or (np.diff(starts) < 0).any():
        raise ValueError(f"{name} must rise from 0 to {end}")
