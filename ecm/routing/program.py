"""The assignment problem as a (mixed integer) linear program for HiGHS."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np

from ecm.routing.problem import Floats, Ints, Problem

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Relaxed:
    """The optimum of the linear relaxation."""

    bound: float
    """No assignment costs less."""
    job_dual: Floats
    resource_dual: Floats
    """What one more unit of a resource's capacity is worth, at most 0."""
    reduced: Floats
    """Per option: by how much the bound rises, at least, if it is taken."""


@dataclass(frozen=True)
class Found:
    """What the integer search came to."""

    chosen: Ints | None
    bound: float
    proven: bool
    infeasible: bool
    cut: bool
    """Stopped by the clock."""


def relax(problem: Problem) -> Relaxed | None:
    """Return the linear relaxation's optimum, or None where even that has no solution."""
    solver = _solver(1e9)
    solver.passModel(_program(problem))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    rows = np.asarray(solution.row_dual)
    return Relaxed(
        bound=solver.getInfo().objective_function_value,
        job_dual=rows[: problem.jobs],
        resource_dual=np.minimum(rows[problem.jobs : problem.jobs + problem.resources], 0.0),
        reduced=np.maximum(np.asarray(solution.col_dual)[: len(problem.cost)], 0.0),
    )


def search_exactly(problem: Problem, start: Ints | None, *, nodes: int, seconds: float) -> Found:
    """Search for the optimum by branch and cut within `nodes`, from `start` where there is one.

    The node limit shapes the result and does not depend on the machine; `seconds` only cuts, and is told.
    """
    solver = _solver(seconds)
    solver.setOptionValue("mip_max_nodes", nodes)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.999)  # costs are whole numbers
    program = _program(problem)
    integer = highspy.HighsVarType.kInteger
    program.integrality_ = [integer] * program.num_col_
    solver.passModel(program)
    if start is not None:
        solver.setSolution(_solution(problem, start, program.num_col_))
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    chosen = None
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        values = np.asarray(solver.getSolution().col_value)[: len(problem.cost)]
        chosen = np.flatnonzero(values > 0.5)
        if len(chosen) != problem.jobs or problem.total(chosen) is None:
            chosen = None
    return Found(
        chosen=chosen,
        bound=info.mip_dual_bound,
        proven=status == highspy.HighsModelStatus.kOptimal and chosen is not None,
        infeasible=status == highspy.HighsModelStatus.kInfeasible,
        cut=status == highspy.HighsModelStatus.kTimeLimit,
    )


def _solver(seconds: float) -> highspy.Highs:
    solver: highspy.Highs = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 0), ("time_limit", max(seconds, 0.01))):
        solver.setOptionValue(name, value)
    return solver


def _priced(problem: Problem) -> Ints:
    """Return the levels that are a decision: all of the resources whose capacity has a price."""
    per = np.diff(problem.level_start)
    last = problem.level_price[problem.level_start[1:] - 1]
    return np.flatnonzero(np.repeat((last > 0) | (per > 1), per))


def _program(problem: Problem) -> highspy.HighsLp:
    """Return the program: rows are jobs, then resources, then one that each priced resource has one level at most."""
    options, jobs, resources = len(problem.cost), problem.jobs, problem.resources
    levels = _priced(problem)
    owner = np.repeat(np.arange(resources), np.diff(problem.level_start))[levels]
    priced = np.unique(owner)
    columns = options + len(levels)
    row = np.concatenate(
        [problem.job, jobs + problem.use_resource, jobs + owner, jobs + resources + np.searchsorted(priced, owner)]
    )
    uses = np.repeat(np.arange(options), np.diff(problem.use_start))
    level_columns = options + np.arange(len(levels))
    column = np.concatenate([np.arange(options), uses, level_columns, level_columns])
    value = np.concatenate(
        [np.ones(options), problem.use_amount, -problem.level_capacity[levels], np.ones(len(levels))]
    ).astype(float)
    order = np.lexsort((row, column))
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = columns, jobs + resources + len(priced)
    program.col_cost_ = np.concatenate([problem.cost, problem.level_price[levels]]).astype(float)
    program.col_lower_, program.col_upper_ = np.zeros(columns), np.ones(columns)
    free = problem.most.astype(float)
    free[priced] = 0.0
    program.row_lower_ = np.concatenate([np.ones(jobs), np.full(resources + len(priced), -np.inf)])
    program.row_upper_ = np.concatenate([np.ones(jobs), free, np.ones(len(priced))])
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = np.searchsorted(column[order], np.arange(columns + 1))
    program.a_matrix_.index_, program.a_matrix_.value_ = row[order], value[order]
    return program


def _solution(problem: Problem, chosen: Ints, columns: int) -> highspy.HighsSolution:
    """Return `chosen` as values of the program's columns."""
    values = np.zeros(columns)
    values[chosen] = 1.0
    load = problem.load(chosen)
    options, levels = len(problem.cost), _priced(problem)
    owner = np.repeat(np.arange(problem.resources), np.diff(problem.level_start))
    for resource in np.unique(owner[levels]):
        if load[resource]:
            own = np.flatnonzero(owner[levels] == resource)
            level = own[np.searchsorted(problem.level_capacity[levels[own]], load[resource])]
            values[options + level] = 1.0
    solution = highspy.HighsSolution()
    solution.col_value = values
    return solution
