"""The search for the cheapest assignment: branch and bound over exact tier costs, beyond it the linearised problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

from ecm.model.base import Frozen, Name
from ecm.model.fleet import Chain, Fleet
from ecm.model.policy import Limits, QosProfile
from ecm.model.refusal import Infeasible, Rejected
from ecm.routing.chain import ChainFacts
from ecm.routing.large import Choice, Linear, Shift, TierCost, descend, linearised, load_of, moving
from ecm.routing.solve import Solution

EXACT_NODES = 20_000
"""Search nodes per VPN within which the optimum is proven; beyond, see `large`."""
DOUBT_NODES = 1_000
"""Search nodes without any assignment after which it is asked once whether there can be one; with the answer to that
first in line as many are tried again."""

_NOTHING_OPEN = 2**62


class Option(Frozen):
    """A chain that an application may take, and what it would violate there."""

    chain: Name
    violated: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class Routes:
    """What the assignment of one VPN depends on besides cost."""

    fleet: Fleet
    facts: dict[str, ChainFacts]
    profiles: dict[str, QosProfile]
    """By application id."""
    limits: Limits
    previous: dict[str, str]
    """Chain of each application in the previous plan."""
    traffic_usd_micro: dict[tuple[str, str], int]
    """Price per hour of an application's traffic between the tiers of a chain, by (application, chain)."""
    linear: Linear | None = None
    """What bounds true costs from below and adds up; None: beyond the exact search the best found stands."""


@dataclass
class Search:
    """What is searched, and what was found so far."""

    options: list[tuple[str, list[Option]]]
    """Of each application, the present chain first so that ties move nothing."""
    chains: dict[str, Chain]
    tier_cost: TierCost
    routes: Routes
    best: tuple[Option, ...] | None = None
    best_cost: int = _NOTHING_OPEN
    open_bound: int = _NOTHING_OPEN
    """Lowest bound among branches left unexplored when the node limit was reached."""
    blocked: Infeasible | None = None
    """The first refusal of a tier."""
    exhausted: bool = False
    """All is explored: what was not found does not exist."""

    @cached_property
    def choices(self) -> list[tuple[str, list[Choice]]]:
        """The options with what each costs apart from nodes, and the tiers it loads."""
        return [
            (app, [Choice(o.chain, own_cost(self, app, o.chain), self.chains[o.chain].tiers) for o in allowed])
            for app, allowed in self.options
        ]

    @cached_property
    def relaxed(self) -> Solution | None:
        """The answer to the linearised problem; None where nothing linear is known."""
        return None if self.routes.linear is None else linearised(self.choices, self.routes.linear, self.tier_cost)

    def load(self, chains: dict[str, str]) -> dict[str, frozenset[str]]:
        """Return the applications on every tier under `chains`, a chain for each application."""
        return load_of((application, self.chains[chain].tiers) for application, chain in chains.items())


@dataclass
class _Frame:
    """Applications placed one after the other, and the next one's chains, some of which were tried."""

    cost: int
    load: dict[str, frozenset[str]]
    tried: int = 0


def search(tried: Search) -> None:
    """Find the cheapest assignment, proven to be it up to EXACT_NODES ways; beyond, see `large`."""
    ways = prod(len(allowed) for _, allowed in tried.options)
    if ways <= EXACT_NODES or tried.routes.linear is None:
        tried.exhausted = _explore(tried, tried.options, EXACT_NODES)
    else:
        tried.open_bound = 0
    if not tried.exhausted and tried.open_bound < tried.best_cost:
        _beyond(tried)


def _explore(tried: Search, line: list[tuple[str, list[Option]]], nodes: int) -> bool:
    """Try the chains of one application after the other, in `line`; False where `nodes` did not do to explore all.

    One path to a whole assignment is free: where it leads to one, there is something to improve.
    """
    frames, taken, visited = [_Frame(0, {})], list[Option](), 0
    while frames:
        frame, depth = frames[-1], len(frames) - 1
        if depth == len(line):
            tried.best, tried.best_cost = tuple(taken), frame.cost
        if depth == len(line) or frame.tried == len(line[depth][1]):
            frames.pop()
            del taken[len(frames) - 1 :]
            continue
        visited += 1
        if visited == DOUBT_NODES + len(line) and tried.best is None and tried.relaxed and tried.relaxed.infeasible:
            return True
        if visited > nodes + len(line):
            tried.open_bound = min(f.cost for f, (_, o) in zip(frames, line, strict=False) if f.tried < len(o))
            return False
        application, options = line[depth]
        option = options[frame.tried]
        frame.tried += 1
        step = _step(tried, frame.load, application, option.chain)
        if isinstance(step, Infeasible):
            tried.blocked = tried.blocked or step
        elif frame.cost + step[0] < tried.best_cost:
            frames.append(_Frame(frame.cost + step[0], {**frame.load, **step[1]}))
            taken.append(option)
    return True


def _beyond(tried: Search) -> None:
    """Raise the bound of the search, and take the solver's answer, improved on true cost, where it is better."""
    found = tried.relaxed
    if found is None:
        return
    bound = max(tried.open_bound, found.bound)
    tried.exhausted = found.infeasible
    _improve_best(tried)
    if found.chosen is not None:
        _improve(tried, [0] * len(tried.options))  # as it stands: the linear answer need not be the better start
        firsts = [0, *accumulate(len(allowed) for _, allowed in tried.options)]
        start = [int(o) - first for o, first in zip(found.chosen, firsts[:-1], strict=True)]
        _improve(tried, start)
        if tried.best is None:  # what is linear may not hold for the true costs: search near it
            _explore(tried, _with_first(tried.options, start), DOUBT_NODES)
            _improve_best(tried)
    elif tried.best is None:
        _explore(tried, tried.options, DOUBT_NODES)
        _improve_best(tried)
    tried.open_bound = bound


def _improve_best(tried: Search) -> None:
    if tried.best is not None:
        _improve(tried, [allowed.index(o) for (_, allowed), o in zip(tried.options, tried.best, strict=True)])


def _with_first(options: list[tuple[str, list[Option]]], first: list[int]) -> list[tuple[str, list[Option]]]:
    """Return the options of each application with its `first` at the front."""
    return [
        (app, [allowed[n], *allowed[:n], *allowed[n + 1 :]]) for (app, allowed), n in zip(options, first, strict=True)
    ]


def _improve(tried: Search, start: list[int]) -> None:
    """Move from `start` as long as the true cost falls; what comes of it is kept where it is the best."""
    chosen = descend(tried.choices, start, tried.tier_cost)
    taken = tuple(allowed[n] for (_, allowed), n in zip(tried.options, chosen, strict=True))
    total = _total(tried, {app: o.chain for (app, _), o in zip(tried.options, taken, strict=True)})
    if isinstance(total, int) and total < tried.best_cost:
        tried.best, tried.best_cost = taken, total


def _step(
    tried: Search, loaded: dict[str, frozenset[str]], application: str, chain: str
) -> tuple[int, dict[str, frozenset[str]]] | Infeasible:
    """Return what taking `chain` adds to the cost of what is `loaded`, and the new load of its tiers."""
    added = own_cost(tried, application, chain)
    load: dict[str, frozenset[str]] = {}
    for tier in tried.chains[chain].tiers:
        before = loaded.get(tier, frozenset())
        load[tier] = before | {application}
        now = tried.tier_cost(tier, load[tier])
        if isinstance(now, Infeasible):
            return now
        was = tried.tier_cost(tier, before) if before else 0
        added += now - (was if isinstance(was, int) else 0)
    return added, load


def difference(tried: Search, application: str, chains: tuple[str, str], shift: Shift) -> int | Infeasible:
    """Return what moving an application from the first to the second chain costs more."""
    source, target = chains
    more = moving((tried.chains[source].tiers, tried.chains[target].tiers), shift)
    if isinstance(more, Infeasible):
        return more
    return more + own_cost(tried, application, target) - own_cost(tried, application, source)


def _total(tried: Search, chains: dict[str, str]) -> int | Infeasible:
    """Return the cost of a whole assignment."""
    total = sum(own_cost(tried, application, chain) for application, chain in chains.items())
    for tier, applications in tried.load(chains).items():
        cost = tried.tier_cost(tier, applications)
        if isinstance(cost, Infeasible):
            return cost
        total += cost
    return total


def own_cost(tried: Search, application: str, chain: str) -> int:
    """Return what taking `chain` costs apart from nodes: traffic between its tiers, and the churn of a move."""
    routes = tried.routes
    moved = routes.previous.get(application, chain) != chain
    return routes.traffic_usd_micro[application, chain] + (routes.limits.churn_usd_per_application if moved else 0)
