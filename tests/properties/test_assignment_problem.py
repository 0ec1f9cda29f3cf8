"""The solver of assignment problems: exact against brute force, bounds that hold, the same answer every time."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from ecm.routing import Problem, Solution, solve
from ecm.routing.knapsack import knapsack_bound
from ecm.routing.population import Population
from ecm.routing.program import relax, relax_jobs

CASES = 200


def a_case(seed: int) -> Problem:
    """Three to five jobs, chains of one to three of four resources, some of them bought in levels."""
    random = np.random.default_rng(seed)
    jobs, resources = int(random.integers(3, 6)), 4
    options = random.integers(1, 4, jobs)
    uses = [random.choice(resources, int(random.integers(1, 4)), replace=False) for _ in range(options.sum())]
    levels = random.integers(1, 4, resources)
    capacity = [np.sort(random.integers(5, 40, count)) for count in levels]
    price = [np.sort(random.integers(0, 60, count)) for count in levels]
    return Problem(
        option_start=np.concatenate([[0], np.cumsum(options)]),
        cost=random.integers(0, 30, options.sum()),
        use_start=np.concatenate([[0], np.cumsum([len(u) for u in uses])]),
        use_resource=np.concatenate(uses),
        use_amount=random.integers(1, 15, sum(len(u) for u in uses)),
        level_start=np.concatenate([[0], np.cumsum(levels)]),
        level_capacity=np.concatenate(capacity),
        level_price=np.concatenate(price),
    )


def cheapest(problem: Problem) -> int | None:
    """The least cost of all assignments, by trying them all."""
    spans = [range(a, b) for a, b in zip(problem.option_start[:-1], problem.option_start[1:], strict=True)]
    costs = [problem.total(np.array(chosen)) for chosen in itertools.product(*spans)]
    return min((c for c in costs if c is not None), default=None)


def solved(problem: Problem, exact_options: int = 300) -> Solution:
    return solve(problem, clock=time.perf_counter, exact_options=exact_options)


def test_the_exact_search_finds_what_brute_force_finds() -> None:
    for seed in range(CASES):
        problem = a_case(seed)
        found, best = solved(problem), cheapest(problem)
        assert found.cost == best, seed
        assert found.infeasible == (best is None), seed
        assert best is None or found.bound == best, seed


def test_no_assignment_costs_less_than_the_bound_of_the_relaxation() -> None:
    for seed in range(CASES):
        problem = a_case(seed)
        best, relaxed = cheapest(problem), relax(problem)
        if best is not None:
            assert relaxed is not None
            assert relaxed.bound <= best + 1e-6, seed


def test_no_assignment_costs_less_than_the_bound_with_whole_levels() -> None:
    for seed in range(CASES):
        problem = a_case(seed)
        best, plain = cheapest(problem), relax(problem)
        linked = relax_jobs(problem, nodes=20, gap=0.0)
        if best is not None:
            assert plain is not None
            assert linked is not None
            assert plain.bound <= linked.bound <= best + 1e-6, seed


def test_beyond_the_stated_size_cost_and_bound_enclose_the_optimum() -> None:
    for seed in range(4):  # each is searched as hard as a large one
        problem = a_case(seed)
        found, best = solved(problem, exact_options=0), cheapest(problem)
        if best is None:
            assert found.chosen is None
        elif found.cost is not None:
            assert found.chosen is not None
            assert problem.total(found.chosen) == found.cost
            assert found.bound <= best <= found.cost, seed


def textbook(seed: int, agents: int = 3, jobs: int = 8) -> Problem:
    random = np.random.default_rng(seed)
    weight = random.integers(1, 20, (agents, jobs))
    return Problem.dense(random.integers(1, 50, (agents, jobs)), weight, weight.sum(axis=1) // agents)


def test_the_knapsack_relaxation_bounds_and_is_no_worse_than_the_linear_one() -> None:
    better = 0
    for seed in range(40):
        problem = textbook(seed)
        best, relaxed = cheapest(problem), relax(problem)
        if best is None or relaxed is None:
            continue
        bound = knapsack_bound(problem, relaxed.job_dual, float(best))
        assert relaxed.bound - 1e-4 <= bound <= best + 1e-6, seed
        better += bound > relaxed.bound + 0.5
    assert better > 5


def population(problem: Problem) -> Population:
    relaxed = relax(problem)
    assert relaxed is not None
    start = problem.option_start[:-1]
    grown = Population(problem, 1 - relaxed.resource_dual, start, np.random.default_rng(1))
    grown.grow(200_000)
    grown.grow(200_000)
    return grown


def test_a_population_finds_good_assignments_the_same_every_time() -> None:
    problem = textbook(3, agents=5, jobs=40)
    optimum = solved(problem).cost
    one, other = population(problem), population(problem)
    assert one.best is not None
    assert optimum is not None
    assert optimum <= one.best[0] <= 1.03 * optimum
    assert [cost for cost, _ in one.members] == [cost for cost, _ in other.members]
    for cost, chosen in one.members:
        assert problem.total(chosen) == cost
        assert (problem.job[chosen] == np.arange(problem.jobs)).all()
    assert len({tuple(chosen) for _, chosen in one.members}) == len(one.members)


def test_the_same_problem_has_the_same_answer_beyond_the_stated_size() -> None:
    problem = textbook(3, agents=5, jobs=40)
    one, other = solved(problem, exact_options=0), solved(problem, exact_options=0)
    assert one.chosen is not None
    assert other.chosen is not None
    assert not one.cut
    assert (one.chosen == other.chosen).all()
    assert (one.cost, one.bound) == (other.cost, other.bound)
    assert one.cost == solved(problem, exact_options=1000).cost


def test_an_option_that_fits_nowhere_makes_it_infeasible() -> None:
    problem = Problem.dense(np.array([[1, 2], [3, 4]]), np.array([[9, 1], [9, 1]]), np.array([5, 5]))
    assert solved(problem).infeasible
    together = Problem.dense(np.array([[1, 2]]), np.array([[3, 3]]), np.array([5]))
    assert solved(together).infeasible
    assert solved(together, exact_options=0).infeasible


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("option_start", [0, 1, 9], "option_start must rise from 0 to 4"),
        ("use_amount", [-1, 1, 1, 1], "must not be negative"),
        ("use_resource", [0, 1, 0, 7], "names a resource"),
    ],
)
def test_arrays_that_are_no_problem_are_refused(field: str, value: list[int], message: str) -> None:
    good = Problem.dense(np.array([[1, 2], [3, 4]]), np.ones((2, 2), dtype=np.int64), np.array([2, 2]))
    with pytest.raises(ValueError, match=message):
        Problem(**{**vars(good), field: np.array(value)})
