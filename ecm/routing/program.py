"""The assignment problem as a (mixed integer) linear program for HiGHS."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    share: Floats
    """Per option: how much of it is taken."""

    def rounded(self, problem: Problem) -> Ints:
        """Return the option of each job that most is taken of."""
        order = np.lexsort((self.share, problem.job))
        return order[problem.option_start[1:] - 1]


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
        share=np.asarray(solution.col_value)[: len(problem.cost)],
        reduced=np.maximum(np.asarray(solution.col_dual)[: len(problem.cost)], 0.0),
    )


def relax_jobs(problem: Problem, *, nodes: int, gap: float) -> Relaxed | None:
    """As `relax`, but resources have whole levels, and what jobs share has at least as much of a level as each takes.

    Its bound is higher, and takes longer. `nodes` of branch and cut at most, fewer where the relative `gap` is met.
    Prices are those of the plain relaxation.
    """
    plain = relax(problem)
    if plain is None or not len(_priced(problem)):
        return plain
    solver = _solver(1e9)
    for name, value in (("mip_max_nodes", nodes), ("mip_rel_gap", gap)):
        solver.setOptionValue(name, value)
    program = _linked(problem)
    options, levels = len(problem.cost), program.num_col_ - len(problem.cost)
    program.integrality_ = [highspy.HighsVarType.kContinuous] * options + [highspy.HighsVarType.kInteger] * levels
    solver.passModel(program)
    solver.run()
    info = solver.getInfo()
    share = plain.share
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        share = np.asarray(solver.getSolution().col_value)[:options]
    return replace(plain, bound=max(plain.bound, info.mip_dual_bound), share=share)


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


def _linked(problem: Problem) -> highspy.HighsLp:
    """Return the program with a row for each job and priced resource: what is taken there, levels permitting."""
    program, options = _program(problem), len(problem.cost)
    levels = _priced(problem)
    owner = np.repeat(np.arange(problem.resources), np.diff(problem.level_start))[levels]
    uses = np.repeat(np.arange(options), np.diff(problem.use_start))
    used = np.isin(problem.use_resource, owner)
    pairs, row = np.unique(
        problem.job[uses[used]] * problem.resources + problem.use_resource[used], return_inverse=True
    )
    by_resource = [np.flatnonzero(owner == r) for r in range(problem.resources)]
    of_row = [by_resource[r] for r in (pairs % problem.resources).tolist()]
    level_row = np.repeat(np.arange(len(pairs)), [len(some) for some in of_row])
    columns = np.concatenate([uses[used], options + np.concatenate(of_row)])
    rows = program.num_row_ + np.concatenate([row, level_row])
    values = np.concatenate([np.ones(int(used.sum())), -np.ones(len(level_row))])
    matrix = program.a_matrix_
    columns = np.concatenate([np.repeat(np.arange(program.num_col_), np.diff(matrix.start_)), columns])
    rows, values = np.concatenate([matrix.index_, rows]), np.concatenate([matrix.value_, values])
    order = np.lexsort((rows, columns))
    program.num_row_ += len(pairs)
    program.row_lower_ = np.concatenate([program.row_lower_, np.full(len(pairs), -np.inf)])
    program.row_upper_ = np.concatenate([program.row_upper_, np.zeros(len(pairs))])
    matrix.start_ = np.searchsorted(columns[order], np.arange(program.num_col_ + 1))
    matrix.index_, matrix.value_ = rows[order], values[order]
    program.a_matrix_ = matrix
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
