"""The cheapest assignment of a VPN's applications to its chains.

Branch and bound over exact tier costs; where that is too large, the solver of assignment problems, then moves on true
cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

from ecm.model.base import MICRO, Frozen, Name
from ecm.model.fleet import Application, Chain, Fleet
from ecm.model.policy import Limits, OnViolation, QosProfile
from ecm.model.refusal import Infeasible, Rejected
from ecm.routing.chain import ChainFacts, candidates, failed_requirements
from ecm.routing.large import Choice, Linear, descend, linearised

EXACT_NODES = 20_000
"""Search nodes per VPN within which the optimum is proven; beyond, see `large`."""

TierCost = Callable[[str, frozenset[str]], "int | Infeasible"]
"""Micro-USD per hour (price plus churn) of a tier that carries a set of applications; never falls as the set grows."""


class Option(Frozen):
    """A chain that an application may take, and what it would violate there."""

    chain: Name
    violated: tuple[Rejected, ...] = ()


class Assignment(Frozen):
    """The chain of every application of one VPN."""

    vpn: Name
    chains: tuple[tuple[Name, Name], ...]
    """(application, chain), sorted."""
    cost_usd_micro: int
    bound_usd_micro: int
    """No assignment costs less than this; equal to the cost when the search was exhaustive."""
    rejected: tuple[tuple[Name, Rejected], ...]
    """(application, chain and the requirement that kept it out, or what it would have cost more)."""
    violated: tuple[tuple[Name, Rejected], ...]
    """(application, requirement that its chain misses), where the profile allows a fallback."""


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
class _Search:
    options: list[tuple[str, list[Option]]]
    chains: dict[str, Chain]
    tier_cost: TierCost
    routes: Routes
    load: dict[str, frozenset[str]] = field(default_factory=dict)
    best: tuple[Option, ...] | None = None
    best_cost: int = 2**62
    open_bound: int = 2**62
    """Lowest bound among branches left unexplored when the node limit was reached."""
    visited: int = 0
    blocked: Infeasible | None = None


def assign(vpn: str, routes: Routes, tier_cost: TierCost) -> Assignment | Infeasible:
    """Return the cheapest assignment of the applications of `vpn`, or the application that no chain can serve.

    Security is hard. Latency, loss and outage are constraints; a profile that allows it falls back to the chain that
    misses the fewest of them. Cost is that of all tiers that carry something, plus the churn of every application that
    moves. Exact within EXACT_NODES search nodes (tier costs never fall as applications join, so the cost of a partial
    assignment bounds that of its completions); beyond, the better of what was found and of `large`, with a bound.
    """
    applications = sorted((a for a in routes.fleet.applications if a.vpn == vpn), key=lambda a: a.id)
    options: list[tuple[str, list[Option]]] = []
    rejected: list[tuple[str, Rejected]] = []
    for application in applications:
        allowed, refused = _options(application, routes)
        rejected += [(application.id, r) for r in refused]
        if not allowed:
            return _unserved(application, refused)
        options.append((application.id, allowed))
    search = _Search(
        options=options,
        chains={c.id: c for c in routes.fleet.chains},
        tier_cost=tier_cost,
        routes=routes,
    )
    _descend(search, depth=0, chosen=(), cost=0)
    if search.open_bound < search.best_cost:
        _beyond(search)
    if search.best is None:
        assert search.blocked is not None  # noqa: S101 - without a refusal every leaf is a solution
        return search.blocked
    pairs = [(app, option) for (app, _), option in zip(options, search.best, strict=True)]
    rejected += _dearer(search, {app: option.chain for app, option in pairs})
    return Assignment(
        vpn=vpn,
        chains=tuple((app, option.chain) for app, option in pairs),
        cost_usd_micro=search.best_cost,
        bound_usd_micro=min(search.best_cost, search.open_bound),
        rejected=tuple(rejected),
        violated=tuple((app, miss) for app, option in pairs for miss in option.violated),
    )


def _options(application: Application, routes: Routes) -> tuple[list[Option], list[Rejected]]:
    """Return the chains that may be taken, the present one first so that ties move nothing, and the refusals."""
    profile = routes.profiles[application.id]
    clean: list[Option] = []
    fallback: list[Option] = []
    refused: list[Rejected] = []
    for chain in candidates(routes.fleet, application):
        failed = failed_requirements(application, profile, routes.facts[chain.id], routes.limits)
        refused += failed
        if not failed:
            clean.append(Option(chain=chain.id))
        elif profile.on_violation is not OnViolation.STRICT and all(f.requirement != "security_level" for f in failed):
            fallback.append(Option(chain=chain.id, violated=failed))
    if not clean and fallback:
        fewest = min(len(o.violated) for o in fallback)
        clean = [o for o in fallback if len(o.violated) == fewest]
    present = routes.previous.get(application.id)
    return sorted(clean, key=lambda o: (o.chain != present, o.chain)), refused


def _descend(search: _Search, *, depth: int, chosen: tuple[Option, ...], cost: int) -> None:
    """Try the chains of the next application; `cost` is that of the applications placed so far."""
    search.visited += 1
    if depth == len(search.options):
        if cost < search.best_cost:
            search.best, search.best_cost = chosen, cost
        return
    application, options = search.options[depth]
    for option in options:
        step = _step(search, application, option.chain)
        if isinstance(step, Infeasible):
            search.blocked = search.blocked or step
            continue
        total, load = step
        if cost + total >= search.best_cost:
            continue
        if search.visited > EXACT_NODES and search.best is not None:
            search.open_bound = min(search.open_bound, cost + total)
            continue
        before, search.load = search.load, {**search.load, **load}
        _descend(search, depth=depth + 1, chosen=(*chosen, option), cost=cost + total)
        search.load = before


def _beyond(search: _Search) -> None:
    """Raise the bound of the search, and take the solver's answer, improved on true cost, where it is better."""
    linear = search.routes.linear
    if linear is None:
        return
    options = [
        (app, [Choice(o.chain, _own_cost(search, app, o.chain), search.chains[o.chain].tiers) for o in allowed])
        for app, allowed in search.options
    ]
    found = linearised(options, linear)
    search.open_bound = max(search.open_bound, found.bound)
    starts = [[allowed.index(taken) for (_, allowed), taken in zip(search.options, search.best or (), strict=True)]]
    if found.chosen is not None:
        firsts = [0, *accumulate(len(allowed) for _, allowed in search.options)]
        starts.append([int(o) - first for o, first in zip(found.chosen, firsts[:-1], strict=True)])
    for start in starts:
        _take_if_better(search, descend(options, start, lambda t, apps: _known(search.tier_cost(t, apps))))


def _known(cost: int | Infeasible) -> int | None:
    return cost if isinstance(cost, int) else None


def _take_if_better(search: _Search, chosen: list[int]) -> None:
    taken = tuple(allowed[n] for (_, allowed), n in zip(search.options, chosen, strict=True))
    total = _total(search, {app: o.chain for (app, _), o in zip(search.options, taken, strict=True)})
    if isinstance(total, int) and total < search.best_cost:
        search.best, search.best_cost = taken, total


def _step(search: _Search, application: str, chain: str) -> tuple[int, dict[str, frozenset[str]]] | Infeasible:
    """Return what taking `chain` adds to the cost, and the new load of its tiers."""
    added = _own_cost(search, application, chain)
    load: dict[str, frozenset[str]] = {}
    for tier in search.chains[chain].tiers:
        before = search.load.get(tier, frozenset())
        load[tier] = before | {application}
        now = search.tier_cost(tier, load[tier])
        if isinstance(now, Infeasible):
            return now
        was = search.tier_cost(tier, before) if before else 0
        added += now - (was if isinstance(was, int) else 0)
    return added, load


def _dearer(search: _Search, chosen: dict[str, str]) -> list[tuple[str, Rejected]]:
    """Return what each other chain that may be taken would cost more, everything else left as it is."""
    found: list[tuple[str, Rejected]] = []
    for application, options in search.options:
        for option in options:
            if option.chain == chosen[application]:
                continue
            total = _total(search, {**chosen, application: option.chain})
            more = total.relaxation if isinstance(total, Infeasible) else f"{(total - search.best_cost) / MICRO:+.4f}"
            found.append(
                (
                    application,
                    Rejected(
                        candidate=f"chain {option.chain}",
                        requirement="cost in USD/h",
                        have=f"not to be had: {more}" if isinstance(total, Infeasible) else more,
                        need="the least",
                    ),
                )
            )
    return found


def _total(search: _Search, chains: dict[str, str]) -> int | Infeasible:
    """Return the cost of a whole assignment."""
    load: dict[str, frozenset[str]] = {}
    total = 0
    for application, chain in chains.items():
        total += _own_cost(search, application, chain)
        for tier in search.chains[chain].tiers:
            load[tier] = load.get(tier, frozenset()) | {application}
    for tier, applications in load.items():
        cost = search.tier_cost(tier, applications)
        if isinstance(cost, Infeasible):
            return cost
        total += cost
    return total


def _own_cost(search: _Search, application: str, chain: str) -> int:
    """Return what taking `chain` costs apart from nodes: traffic between its tiers, and the churn of a move."""
    routes = search.routes
    moved = routes.previous.get(application, chain) != chain
    return routes.traffic_usd_micro[application, chain] + (routes.limits.churn_usd_per_application if moved else 0)


def _unserved(application: Application, refused: list[Rejected]) -> Infeasible:
    """Return the refusal with its cheapest relaxation: the chain that misses the fewest requirements."""
    by_chain: dict[str, list[Rejected]] = {}
    for item in refused:
        by_chain.setdefault(item.candidate, []).append(item)
    nearest = min(
        by_chain, key=lambda c: (len(by_chain[c]), any(r.requirement == "security_level" for r in by_chain[c]), c)
    )
    change = " and ".join(f"{r.requirement}: {r.have} (now {r.need})" for r in by_chain[nearest])
    return Infeasible(
        subject=f"application {application.id}",
        rejected=tuple(refused),
        relaxation=f"profile {application.profile} with {change} could take {nearest}",
    )
