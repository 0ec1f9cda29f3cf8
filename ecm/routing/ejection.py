"""Ejection-chain local search for the assignment problem, compiled.

A job moves to another option; where that overfills a resource, a job there moves on, and so on up to `DEPTH` moves,
kept as soon as the sum is a gain (Yagiura, Ibaraki and Glover 2004, doi.org/10.1287/ijoc.1030.0036). Load above the
largest capacity is allowed at a penalty that rises while the solution is infeasible and falls while it is feasible, so
that the search crosses the boundary again and again. What bounds it is a number of evaluated moves, never a clock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecm.routing.compiled import compiled
from ecm.routing.problem import Floats, Ints, Problem

DEPTH = 3
RISE, FALL = 1.1, 0.9
"""Factors of the penalties after an infeasible and after a feasible local optimum."""
FIRST_RISE = 1.5
"""As RISE, until the first feasible one is found."""
_GAIN = -1e-7
"""A change of cost below this is a gain; above it is rounding."""


class Moves(NamedTuple):
    """The problem as the compiled code reads it."""

    job: Ints
    option_start: Ints
    cost: Floats
    use_start: Ints
    use_resource: Ints
    use_amount: Floats
    use_option: Ints
    level_start: Ints
    level_capacity: Floats
    level_price: Floats


class State(NamedTuple):
    """A solution, its load, and linked lists of the uses on each resource."""

    chosen: Ints
    load: Floats
    penalty: Floats
    """Per unit above the largest capacity of each resource."""
    first: Ints
    after: Ints
    before: Ints
    evaluated: Ints
    """[0]: moves evaluated."""


def moves_of(problem: Problem) -> Moves:
    """Return `problem` in the form of the compiled search."""
    return Moves(
        job=problem.job,
        option_start=problem.option_start.astype(np.int64),
        cost=problem.cost.astype(np.float64),
        use_start=problem.use_start.astype(np.int64),
        use_resource=problem.use_resource.astype(np.int64),
        use_amount=problem.use_amount.astype(np.float64),
        use_option=np.repeat(np.arange(len(problem.cost)), np.diff(problem.use_start)),
        level_start=problem.level_start.astype(np.int64),
        level_capacity=problem.level_capacity.astype(np.float64),
        level_price=problem.level_price.astype(np.float64),
    )


def state_of(moves: Moves, chosen: Ints, penalty: Floats) -> State:
    """Return the search's state at `chosen`, an option per job."""
    resources, uses = len(moves.level_start) - 1, len(moves.use_resource)
    state = State(
        chosen=chosen.astype(np.int64).copy(),
        load=np.zeros(resources),
        penalty=penalty.astype(np.float64).copy(),
        first=np.full(resources, -1, dtype=np.int64),
        after=np.full(uses, -1, dtype=np.int64),
        before=np.full(uses, -1, dtype=np.int64),
        evaluated=np.zeros(1, dtype=np.int64),
    )
    _enter(moves, state)
    return state


@compiled
def _enter(moves: Moves, state: State) -> None:
    for option in state.chosen:
        _load(moves, state, option, 1.0)
        _link(moves, state, option)


@compiled
def _price(moves: Moves, state: State, resource: int, load: float) -> float:
    """Return the price of the level that holds `load`, or of the last one and the penalty of what is above it."""
    if load <= 0:
        return 0.0
    end = moves.level_start[resource + 1]
    for level in range(moves.level_start[resource], end):
        if load <= moves.level_capacity[level]:
            return float(moves.level_price[level])
    above = load - moves.level_capacity[end - 1]
    return float(moves.level_price[end - 1] + state.penalty[resource] * above)


@compiled
def _load(moves: Moves, state: State, option: int, sign: float) -> float:
    """Put `option` in (sign 1) or take it out (-1) and return what that adds to the price of its resources."""
    added = 0.0
    for use in range(moves.use_start[option], moves.use_start[option + 1]):
        resource = moves.use_resource[use]
        before = state.load[resource]
        now = before + sign * moves.use_amount[use]
        added += _price(moves, state, resource, now) - _price(moves, state, resource, before)
        state.load[resource] = now
    return added


@compiled
def _would_add(moves: Moves, state: State, option: int) -> float:
    """Return what putting `option` in would add to the price of its resources."""
    added = 0.0
    for use in range(moves.use_start[option], moves.use_start[option + 1]):
        resource = moves.use_resource[use]
        before = state.load[resource]
        now = before + moves.use_amount[use]
        added += _price(moves, state, resource, now) - _price(moves, state, resource, before)
    return added


@compiled
def _link(moves: Moves, state: State, option: int) -> None:
    for use in range(moves.use_start[option], moves.use_start[option + 1]):
        resource = moves.use_resource[use]
        head = state.first[resource]
        state.after[use], state.before[use] = head, -1
        if head >= 0:
            state.before[head] = use
        state.first[resource] = use


@compiled
def _unlink(moves: Moves, state: State, option: int) -> None:
    for use in range(moves.use_start[option], moves.use_start[option + 1]):
        if state.before[use] >= 0:
            state.after[state.before[use]] = state.after[use]
        else:
            state.first[moves.use_resource[use]] = state.after[use]
        if state.after[use] >= 0:
            state.before[state.after[use]] = state.before[use]


@compiled
def _best_other(moves: Moves, state: State, option: int) -> tuple[float, int]:
    """Return (change, option) of the best move of the job that has `option`; the load is as it was before."""
    out = _load(moves, state, option, -1.0) - moves.cost[option]
    best, found = 1e300, -1
    job = moves.job[option]
    for other in range(moves.option_start[job], moves.option_start[job + 1]):
        if other == option:
            continue
        change = out + moves.cost[other] + _would_add(moves, state, other)
        if change < best:
            best, found = change, other
    state.evaluated[0] += moves.option_start[job + 1] - moves.option_start[job]
    _load(moves, state, option, 1.0)
    return best, found


@compiled
def _best_ejection(moves: Moves, state: State, options: Ints, length: int) -> tuple[float, int, int]:
    """Return (change, from, to) of the best move of a job beside the one that the chain moved last."""
    best, source, target = 1e300, -1, -1
    last = options[1, length - 1]
    for use in range(moves.use_start[last], moves.use_start[last + 1]):
        entry = state.first[moves.use_resource[use]]
        while entry >= 0:
            option = moves.use_option[entry]
            entry = state.after[entry]
            moved = False
            for k in range(length):
                moved = moved or options[0, k] == option
            if moved:
                continue
            change, other = _best_other(moves, state, option)
            if change < best:
                best, source, target = change, option, other
    return best, source, target


@compiled
def _shift(moves: Moves, state: State, source: int, target: int) -> float:
    """Move a job from one option to another, in the load alone, and return the change of cost."""
    change = _load(moves, state, source, -1.0) - moves.cost[source]
    return float(change + _load(moves, state, target, 1.0) + moves.cost[target])


@compiled
def _keep(moves: Moves, state: State, options: Ints, length: int) -> None:
    for k in range(length):
        _unlink(moves, state, options[0, k])
    for k in range(length):
        _link(moves, state, options[1, k])
        state.chosen[moves.job[options[1, k]]] = options[1, k]


@compiled
def _chain(moves: Moves, state: State, options: Ints) -> bool:
    """Extend the chain that starts with options[:, 0] until it gains; True when it did and is kept."""
    change = _shift(moves, state, options[0, 0], options[1, 0])
    for length in range(1, options.shape[1] + 1):
        if change < _GAIN:
            _keep(moves, state, options, length)
            return True
        if length == options.shape[1]:
            break
        _, source, target = _best_ejection(moves, state, options, length)
        if target < 0:
            break
        options[0, length], options[1, length] = source, target
        change += _shift(moves, state, source, target)
    else:
        length = options.shape[1]
    for k in range(length - 1, -1, -1):
        _shift(moves, state, options[1, k], options[0, k])
    return False


@compiled
def _improve(moves: Moves, state: State, job: int, depth: int) -> bool:
    """Move `job`, alone or with others after it, where that gains."""
    source = state.chosen[job]
    options = np.empty((2, depth), dtype=np.int64)
    change, target = _best_other(moves, state, source)
    if change < _GAIN:
        options[0, 0], options[1, 0] = source, target
        _shift(moves, state, source, target)
        _keep(moves, state, options, 1)
        return True
    for target in range(moves.option_start[job], moves.option_start[job + 1]):
        if target != source:
            options[0, 0], options[1, 0] = source, target
            if _chain(moves, state, options):
                return True
    return False


@compiled
def _adapt(moves: Moves, state: State, rise: float) -> float:
    """Raise the penalties of overfull resources, or let all fall where there are none; return the cost, or infinity."""
    overfull = False
    for resource in range(len(state.load)):
        if state.load[resource] > moves.level_capacity[moves.level_start[resource + 1] - 1]:
            overfull = True
            state.penalty[resource] *= rise
    if overfull:
        return np.inf
    total = 0.0
    for option in state.chosen:
        total += moves.cost[option]
    for resource in range(len(state.load)):
        total += _price(moves, state, resource, state.load[resource])
        state.penalty[resource] *= FALL
    return total


@compiled
def oscillate(moves: Moves, state: State, order: Ints, budget: int) -> tuple[float, Ints]:
    """Return (cost, options) of the best feasible solution within `budget` evaluated moves; infinite when none was.

    `order` is the order in which jobs are tried, drawn by the caller.
    """
    best, found = np.inf, state.chosen.copy()
    jobs, at = len(order), 0
    while state.evaluated[0] < budget:
        quiet = 0
        while quiet < jobs and state.evaluated[0] < budget:
            quiet = 0 if _improve(moves, state, order[at], DEPTH) else quiet + 1
            at = (at + 1) % jobs
        total = _adapt(moves, state, RISE if np.isfinite(best) else FIRST_RISE)
        if total < best - 1e-7:
            best, found = total, state.chosen.copy()
    return best, found
