"""Beyond the exact search: a linearised problem gives a valid bound and a start, moves on true cost the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ecm.model.refusal import Infeasible
from ecm.routing.problem import Problem
from ecm.routing.solve import Solution, solve

Levels = tuple[tuple[int, int], ...]
"""(load in kbit/s, least cost in micro-USD per hour of a tier with more than the level before it), rising."""

TierCost = Callable[[str, frozenset[str]], int | Infeasible]
"""Micro-USD per hour (price plus churn) of a tier that carries a set of applications; never falls as the set grows."""

Shift = Callable[[str], int | Infeasible]
"""Micro-USD per hour that a tier costs more when an application comes to it or leaves it."""

_NO_CLOCK = 1e9
"""Seconds that never pass."""
PASSES = 3
"""Times that every application is tried on each of its chains."""


@dataclass(frozen=True)
class Linear:
    """What is known of true costs that adds up over applications."""

    least_kbps: dict[str, int]
    """By application: the planned load of a set is never below the sum of these."""
    levels: Callable[[str, int], Levels]
    """(tier, most load that it may have) -> its levels."""


@dataclass(frozen=True)
class Choice:
    """A chain that an application may take: its own cost, and the tiers it loads."""

    chain: str
    own_usd_micro: int
    tiers: tuple[str, ...]


def linearised(options: list[tuple[str, list[Choice]]], linear: Linear, tier_cost: TierCost) -> Solution:
    """Return the solution of the linearised problem; its bound holds for the true costs.

    True costs are at least those of the levels that the sum of the least loads needs, so what bounds the cheapest
    assignment of the linearised problem bounds the cheapest of the true one. A tier that is on every chain has its true
    cost.
    """
    tiers = sorted({t for _, choices in options for c in choices for t in c.tiers})
    number = {tier: n for n, tier in enumerate(tiers)}
    most = dict.fromkeys(tiers, 0)
    for application, choices in options:
        for tier in {t for c in choices for t in c.tiers}:
            most[tier] += linear.least_kbps[application]
    always = set.intersection(*(set(c.tiers) for _, choices in options for c in choices)) if options else set()
    everyone = frozenset(application for application, _ in options)
    levels = [
        _fixed(most[tier], tier_cost(tier, everyone)) if tier in always else linear.levels(tier, most[tier])
        for tier in tiers
    ]
    flat = [(application, c) for application, choices in options for c in choices]
    used = [(n, number[t]) for n, (_, c) in enumerate(flat) for t in c.tiers]
    problem = Problem(
        option_start=_starts([len(choices) for _, choices in options]),
        cost=np.array([c.own_usd_micro for _, c in flat], dtype=np.int64),
        use_start=_starts([len(c.tiers) for _, c in flat]),
        use_resource=np.array([tier for _, tier in used], dtype=np.int64),
        use_amount=np.array([linear.least_kbps[flat[n][0]] for n, _ in used], dtype=np.int64),
        level_start=_starts([len(some) for some in levels]),
        level_capacity=np.array([capacity for some in levels for capacity, _ in some], dtype=np.int64),
        level_price=np.array([price for some in levels for _, price in some], dtype=np.int64),
    )
    # No clock: a plan is the same on every machine. What is linear is not exact, so it is not searched to the end.
    return solve(problem, clock=lambda: 0.0, seconds=_NO_CLOCK, thorough=False)


def _fixed(load: int, cost: int | Infeasible) -> Levels:
    """Return the one level of a tier that carries all; one that holds nothing where it cannot be had."""
    return ((0, 0),) if isinstance(cost, Infeasible) else ((load, cost),)


def descend(options: list[tuple[str, list[Choice]]], chosen: list[int], tier_cost: TierCost) -> list[int]:
    """Return `chosen` (an index into each application's choices) after moves that lower the true cost.

    Applications are tried in order, each on its best other chain, until nothing gains or PASSES are over.
    """
    load = load_of((application, choices[n].tiers) for (application, choices), n in zip(options, chosen, strict=True))
    now = list(chosen)
    for _ in range(PASSES):
        moved = False
        for at, (application, choices) in enumerate(options):
            shift = shifts(application, load, tier_cost)
            gains = [_gain(choices[now[at]], choice, shift) for choice in choices]
            best = max(range(len(choices)), key=lambda n: (gains[n], n == now[at]))
            if gains[best] > 0:
                _move(application, choices[now[at]], choices[best], load)
                now[at], moved = best, True
        if not moved:
            break
    return now


def _gain(source: Choice, target: Choice, shift: Shift) -> int:
    """Return what moving an application from one chain to another saves; below 0 where it cannot be."""
    more = moving((source.tiers, target.tiers), shift)
    return -1 if isinstance(more, Infeasible) else source.own_usd_micro - target.own_usd_micro - more


def shifts(application: str, load: dict[str, frozenset[str]], cost: TierCost) -> Shift:
    """Return what a tier costs more, of every tier once, when `application` comes to it, or leaves it if it is there.

    A tier that cannot be had as it is costs nothing.
    """

    @cache
    def shift(tier: str) -> int | Infeasible:
        before = load.get(tier, frozenset())
        was, now = (cost(tier, some) if some else 0 for some in (before, before ^ {application}))
        return now if isinstance(now, Infeasible) else now - (was if isinstance(was, int) else 0)

    return shift


def moving(chains: tuple[tuple[str, ...], tuple[str, ...]], shift: Shift) -> int | Infeasible:
    """Return what tiers cost more when an application moves from those of the first chain to those of the second."""
    source, target = chains
    more = 0
    for tier in (*(t for t in source if t not in target), *(t for t in target if t not in source)):
        change = shift(tier)
        if isinstance(change, Infeasible):
            return change
        more += change
    return more


def load_of(placed: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, frozenset[str]]:
    """Return the applications on every tier, from applications with the tiers of their chains."""
    load: dict[str, set[str]] = {}
    for application, tiers in placed:
        for tier in tiers:
            load.setdefault(tier, set()).add(application)
    return {tier: frozenset(applications) for tier, applications in load.items()}


def _move(application: str, source: Choice, target: Choice, load: dict[str, frozenset[str]]) -> None:
    for tier in set(source.tiers) ^ set(target.tiers):
        load[tier] = load.get(tier, frozenset()) ^ {application}


def _starts(counts: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
