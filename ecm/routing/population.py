"""A population of good assignments: crossed, improved by ejection chains, and merged by branch and cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ecm.routing.ejection import Moves, State, moves_of, oscillate, state_of
from ecm.routing.problem import Flags, Floats, Ints, Problem

SIZE = 16
BATCH = 4
"""New solutions from one state of the population."""
THREADS = 2
_START_NOISE, _START_JOBS = 0.3, 30
"""Share and number of the jobs of a first solution that take a random option at most: the relaxation is nearer to the
optimum the more jobs there are."""
_MUTATION = 0.02


@dataclass
class Population:
    """Different feasible assignments, at most SIZE, best first, and the means to find better ones."""

    problem: Problem
    penalty: Floats
    """Per resource: the price of a unit of its capacity in the relaxation."""
    greedy: Ints
    """Each job's option of the least reduced cost."""
    random: np.random.Generator
    members: list[tuple[int, Ints]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._moves: Moves = moves_of(self.problem)

    @property
    def best(self) -> tuple[int, Ints] | None:
        """(cost, options) of the best member."""
        return self.members[0] if self.members else None

    def grow(self, effort: int) -> None:
        """Make BATCH new solutions of `effort` evaluated moves each, two at a time, and keep the good ones."""
        starts = [self._start() for _ in range(BATCH)]
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            # Drawn before and taken in order after: the threads change nothing but the time.
            for cost, chosen in pool.map(lambda s: oscillate(self._moves, s[0], s[1], effort), starts):
                if np.isfinite(cost):
                    self.add(chosen)

    def _start(self) -> tuple[State, Ints]:
        chosen = self._crossed() if len(self.members) == SIZE else self._fresh()
        factors = self.random.uniform(0.95, 1.15, len(self.penalty))
        return state_of(self._moves, chosen, self.penalty * factors), self.random.permutation(len(chosen))

    def add(self, chosen: Ints) -> None:
        """Take `chosen` in where it is feasible, new, and better than the worst."""
        cost = self.problem.total(chosen)
        if cost is None or any(cost == c and (chosen == m).all() for c, m in self.members):
            return
        self.members.append((cost, chosen))
        self.members.sort(key=lambda member: member[0])
        del self.members[SIZE:]

    def united(self) -> Flags:
        """Return which options some member takes: what branch and cut merges them over."""
        taken = np.zeros(len(self.problem.cost), dtype=bool)
        for _, chosen in self.members:
            taken[chosen] = True
        return taken

    def _fresh(self) -> Ints:
        return self._scattered(self.greedy, min(_START_NOISE, _START_JOBS / self.problem.jobs))

    def _crossed(self) -> Ints:
        one, other = self.random.choice(len(self.members), 2, replace=False)
        of_one = self.random.random(self.problem.jobs) < self.random.uniform(0.2, 0.8)
        return self._scattered(np.where(of_one, self.members[one][1], self.members[other][1]), _MUTATION)

    def _scattered(self, chosen: Ints, share: float) -> Ints:
        """Return `chosen` with a share of the jobs at a random option."""
        start, stop = self.problem.option_start[:-1], self.problem.option_start[1:]
        anywhere = self.random.integers(start, stop)
        return np.where(self.random.random(len(chosen)) < share, anywhere, chosen)
