"""Solve an assignment problem: exactly up to a stated size, beyond it with a bound valid for the full problem."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecm.routing.ejection import DEPTH, moves_of, oscillate, state_of
from ecm.routing.knapsack import knapsack_bound
from ecm.routing.population import BATCH, Population
from ecm.routing.problem import Flags, Ints, Problem
from ecm.routing.program import Found, Relaxed, relax, relax_jobs, search_exactly

EXACT_OPTIONS = 300
"""Up to this many options the optimum is proven by branch and cut alone."""
SECONDS = 45.0
"""Default of the clock that cuts; what shapes the result is counted in nodes and moves."""
_WIDTH = 5
"""Options per job, of least reduced cost, that the local search looks at."""
_ROUNDS = 6
_PATIENCE = 2
"""Rounds without a better solution after which the rest is left out."""
_SWEEPS = 60
"""Sweeps over all chains of moves that one new solution is worth."""
_ROUND_MOVES = 120_000_000
"""Evaluated moves of one round."""
_ROUND_BATCHES = 10
_MERGE_NODES = 60_000
"""Branch-and-cut nodes of one merge times the number of jobs."""
_FIRST_NODES = 60
"""Nodes of branch and cut before anything else: many instances need no more."""
_FIRST_SHARE, _MERGE_SHARE = 0.3, 0.3
"""Shares of the time left that the clock leaves to these on a slow machine."""
_QUICK_NODES, _QUICK_GAP, _QUICK_MOVES = 20, 0.003, 1_000_000
"""Nodes of branch and cut, the relative gap that ends it, and evaluated moves, where not all is tried."""
_LINKED_OPTIONS = 4_000
"""Options up to which whole levels are asked for then."""
_PROOF_NODES = 300
_PROOF_OPTIONS = 4_000
"""Options up to which branch and cut over all of them, or over what fixing leaves, is tried."""


@dataclass(frozen=True)
class Solution:
    """An assignment and how far from the best it can be."""

    chosen: Ints | None
    """The option of each job; None where there is no assignment, or none was found."""
    cost: int | None
    bound: int
    """No assignment costs less; where `chosen` is None and this is 0 or more, nothing better is known."""
    infeasible: bool = False
    """Proven: no assignment exists."""
    cut: bool = False
    """The clock stopped the search: with more time the same input may give a better answer."""

    @property
    def proven(self) -> bool:
        """True where the cost is the least possible."""
        return self.cost is not None and self.cost <= self.bound


def solve(
    problem: Problem,
    *,
    clock: Callable[[], float],
    seconds: float = SECONDS,
    exact_options: int = EXACT_OPTIONS,
    thorough: bool = True,
) -> Solution:
    """Return the cheapest assignment that the limits allow to find, with a bound.

    Up to `exact_options` options, branch and cut proves the optimum. Beyond: the linear relaxation, and the knapsack
    relaxation where each option uses one resource, bound from below; a population of solutions is improved by ejection
    chains and merged by branch and cut over the options that its members take; what reduced costs rule out is then
    fixed and the rest searched exactly once more. Not `thorough`: a few nodes of branch and cut, beyond `exact_options`
    the rounded relaxation and one run of the local search, which takes parts of a second for thousands of jobs. Same
    problem, same answer, unless `clock` (in seconds) says that `seconds` have passed, which the solution tells.
    """
    if (np.diff(problem.option_start) == 0).any():
        return Solution(None, None, 0, infeasible=True)
    if problem.jobs == 0:
        return Solution(np.zeros(0, dtype=np.int64), 0, 0)
    end = clock() + seconds
    if len(problem.cost) <= exact_options:
        found = search_exactly(problem, None, nodes=10**7 if thorough else _QUICK_NODES, seconds=seconds)
        return _solution(problem, found.chosen, found.bound, found)
    linked = not thorough and len(problem.cost) <= _LINKED_OPTIONS
    relaxed = relax_jobs(problem, nodes=_QUICK_NODES, gap=_QUICK_GAP) if linked else relax(problem)
    if relaxed is None:
        return Solution(None, None, 0, infeasible=True)
    if not thorough:
        return _quick(problem, relaxed)
    return _Large(problem, relaxed, lambda: end - clock()).solve()


def _quick(problem: Problem, relaxed: Relaxed) -> Solution:
    """Return what one run of the local search makes of the rounded relaxation."""
    penalty = np.maximum(-relaxed.resource_dual, 1.0)
    moves, order = moves_of(problem), np.random.default_rng(problem.jobs).permutation(problem.jobs)
    cost, chosen = oscillate(moves, state_of(moves, relaxed.rounded(problem), penalty), order, _QUICK_MOVES)
    return _solution(problem, chosen if np.isfinite(cost) else None, relaxed.bound, None)


@dataclass
class _Large:
    problem: Problem
    relaxed: Relaxed
    left: Callable[[], float]
    """Seconds until the clock cuts."""
    cut: bool = False
    infeasible: bool = False

    def solve(self) -> Solution:
        problem, relaxed = self.problem, self.relaxed
        first = self._prove(None, relaxed.bound, _FIRST_NODES, _FIRST_SHARE)
        if first is not None and (first.proven or first.infeasible):
            return _solution(problem, first.chosen, first.bound, first)
        bound = max(relaxed.bound, first.bound) if first else relaxed.bound
        best = self._evolve(first.chosen if first else None, bound)
        target = float(problem.total(best) or 0) if best is not None else relaxed.bound * 1.01
        bound = max(bound, knapsack_bound(problem, relaxed.job_dual, target))
        found = None
        if best is None or (problem.total(best) or 0) > math.ceil(bound - 1e-6):
            found = self._prove(best, bound, _PROOF_NODES)
            if found is not None:
                bound = max(bound, found.bound)
                best = found.chosen if found.chosen is not None else best
        return _solution(problem, best, bound, found, cut=self.cut)

    def _evolve(self, first: Ints | None, bound: float) -> Ints | None:
        """Return the best of `first` and of the population's rounds, in the options of the whole problem."""
        near = _nearest(self.problem, self.relaxed, _WIDTH)
        if first is not None:
            near[first] = True
        index, core = np.flatnonzero(near), self.problem.only(near)
        reduced = self.relaxed.reduced[near]
        greedy = np.array([s + np.argmin(reduced[s:e]) for s, e in _spans(core)], dtype=np.int64)
        dual = -self.relaxed.resource_dual
        population = Population(
            core, np.maximum(dual, 0.1 * max(dual.max(), 1e-3)), greedy, np.random.default_rng(len(index))
        )
        if first is not None:
            population.add(np.searchsorted(index, first))
        sweep = len(core.cost) ** 2 * DEPTH // core.resources
        effort = max(min(_SWEEPS * sweep, _ROUND_MOVES // BATCH), 1)
        batches = min(max(_ROUND_MOVES // (effort * BATCH), 1), _ROUND_BATCHES)
        goal, best, idle = math.ceil(bound - 1e-6), math.inf, 0
        for _ in range(_ROUNDS):
            self._round(population, batches, effort)
            now = population.best[0] if population.best else math.inf
            idle = 0 if now < best else idle + 1
            best = min(best, now)
            if best <= goal or idle == _PATIENCE or self.left() <= 0:
                break
        return index[population.best[1]] if population.best else None

    def _round(self, population: Population, batches: int, effort: int) -> None:
        """Improve the population by the local search, then by merging it."""
        for _ in range(batches):
            if self.left() <= 0:
                self.cut = True
                return
            population.grow(effort)
        if population.best is not None:
            self._merge(population)

    def _merge(self, population: Population) -> None:
        """Search the options of all members together exactly, and take the result in."""
        taken = population.united()
        index, merged = np.flatnonzero(taken), population.problem.only(taken)
        assert population.best is not None  # noqa: S101 - the caller has seen one
        start = np.searchsorted(index, population.best[1])
        found = search_exactly(
            merged, start, nodes=max(_MERGE_NODES // merged.jobs, 1), seconds=self.left() * _MERGE_SHARE
        )
        self.cut = self.cut or found.cut
        if found.chosen is not None:
            population.add(index[found.chosen])

    def _prove(self, best: Ints | None, bound: float, nodes: int, share: float = 1.0) -> Found | None:
        """Search what reduced costs leave; None where that is too much. Its bound holds for the whole problem."""
        keep = np.ones(len(self.problem.cost), dtype=bool)
        cost = self.problem.total(best) if best is not None else None
        if best is not None and cost is not None:
            keep = self.relaxed.reduced <= cost - self.relaxed.bound - 1 + 1e-6
            keep[best] = True
        if keep.sum() > _PROOF_OPTIONS or self.left() <= 0:
            return None
        index = np.flatnonzero(keep)
        start = np.searchsorted(index, best) if best is not None else None
        found = search_exactly(self.problem.only(keep), start, nodes=nodes, seconds=self.left() * share)
        # What was fixed could not be part of anything better than `cost`, so the bound holds up to there.
        limit = math.inf if cost is None else float(cost)
        chosen = index[found.chosen] if found.chosen is not None else None
        self.cut = self.cut or found.cut
        return Found(chosen, max(bound, min(found.bound, limit)), found.proven, found.infeasible, found.cut)


def _solution(
    problem: Problem, chosen: Ints | None, bound: float, found: Found | None, *, cut: bool = False
) -> Solution:
    cost = problem.total(chosen) if chosen is not None else None
    whole = math.ceil(bound - 1e-6) if math.isfinite(bound) else 0
    if cost is not None:
        whole = cost if found is not None and found.proven else min(whole, cost)
    return Solution(
        chosen,
        cost,
        max(whole, 0) if cost is None else whole,
        infeasible=chosen is None and found is not None and found.infeasible,
        cut=cut or (found is not None and found.cut),
    )


def _spans(problem: Problem) -> list[tuple[int, int]]:
    return list(zip(problem.option_start[:-1].tolist(), problem.option_start[1:].tolist(), strict=True))


def _nearest(problem: Problem, relaxed: Relaxed, width: int) -> Flags:
    """Return the `width` options of least reduced cost of each job."""
    order = np.lexsort((relaxed.reduced, problem.job))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(problem.option_start[:-1], np.diff(problem.option_start))
    near: Flags = rank < width
    return near
