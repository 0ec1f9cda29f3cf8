"""The knapsack relaxation of the textbook problem: a bound at least as good as the linear one, by subgradients."""

from __future__ import annotations

import numpy as np

from ecm.routing.compiled import compiled
from ecm.routing.problem import Floats, Ints, Problem

STEPS = 300
WORK = 400_000_000
"""Table entries within which the steps stay."""


def knapsack_bound(problem: Problem, job_price: Floats, target: float) -> float:
    """Return a bound from relaxing that every job is done once: the prices of the jobs plus one knapsack per resource.

    Valid for any prices; they start at the linear relaxation's duals and follow the subgradient towards `target`, the
    cost of a known solution, or a guess. Minus infinity where an option uses more than one resource or capacity has a
    price: this relaxation is not made for it.
    """
    if (
        (np.diff(problem.use_start) != 1).any()
        or (np.diff(problem.level_start) != 1).any()
        or problem.level_price.any()
    ):
        return -np.inf
    order = np.lexsort((problem.job, problem.use_resource))
    start = np.searchsorted(problem.use_resource[order], np.arange(problem.resources + 1))
    table = int(problem.most.max() + 1) * len(problem.cost) // 4
    steps = min(STEPS, max(WORK // max(table, 1), 1))
    return float(
        _ascend(
            problem.cost[order].astype(np.float64),
            problem.use_amount[order],
            (problem.job[order], start, problem.most),
            job_price.astype(np.float64),
            (steps, target),
        )
    )


@compiled
def _ascend(
    cost: Floats, weight: Ints, shape: tuple[Ints, Ints, Ints], price: Floats, plan: tuple[int, float]
) -> float:
    job, start, capacity = shape
    steps, target = plan
    best, best_price, length, stalled = -np.inf, price.copy(), 1.0, 0
    for _ in range(steps):
        times = np.zeros(len(price))
        value = price.sum()
        for resource in range(len(capacity)):
            own = slice(start[resource], start[resource + 1])
            value += _knapsack(cost[own] - price[job[own]], weight[own], capacity[resource], job[own], times)
        if value > best + 1e-6:
            best, best_price, stalled = value, price.copy(), 0
        else:
            stalled += 1
        if stalled == 8:
            length, stalled, price = length / 2, 0, best_price.copy()
            continue
        slope = 1.0 - times
        steep = (slope * slope).sum()
        if steep == 0 or length < 1e-3:
            break
        price = price + length * max(target - value, 1.0) / steep * slope
    return best


@compiled
def _knapsack(value: Floats, weight: Ints, capacity: int, job: Ints, times: Floats) -> float:
    """Return the least sum of values within `capacity`, and count the jobs taken in `times`."""
    items = np.flatnonzero(value < 0)
    least = np.zeros(capacity + 1)
    taken = np.zeros((len(items), capacity + 1), dtype=np.bool_)
    for k in range(len(items)):
        size, gain = weight[items[k]], value[items[k]]
        for room in range(capacity, size - 1, -1):
            if least[room - size] + gain < least[room]:
                least[room] = least[room - size] + gain
                taken[k, room] = True
    room = capacity
    for k in range(len(items) - 1, -1, -1):
        if taken[k, room]:
            times[job[items[k]]] += 1
            room -= weight[items[k]]
    return float(least[capacity])
