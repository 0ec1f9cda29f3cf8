"""The cheapest assignment of a VPN's applications to its chains.

Branch and bound over exact tier costs; where that is too large, the solver of assignment problems, then moves on true
cost.
"""

from __future__ import annotations

from ecm.model.base import MICRO, Frozen, Name
from ecm.model.fleet import Application
from ecm.model.policy import OnViolation
from ecm.model.refusal import Infeasible, Rejected
from ecm.routing.chain import candidates, failed_requirements
from ecm.routing.large import TierCost, shifts
from ecm.routing.search import EXACT_NODES, Option, Routes, Search, difference, search


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


def assign(vpn: str, routes: Routes, tier_cost: TierCost) -> Assignment | Infeasible:
    """Return the cheapest assignment of the applications of `vpn`, or the application that no chain can serve.

    Security is hard. Latency, loss and outage are constraints; a profile that allows it falls back to the chain that
    misses the fewest of them. Cost is that of all tiers that carry something, plus the churn of every application that
    moves. Exact within EXACT_NODES search nodes (tier costs never fall as applications join, so the cost of a partial
    assignment bounds that of its completions); beyond, the better of what was found and of `large`, with a bound. Where
    nothing was found, the refusal says whether that is proven.
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
    tried = Search(options, {c.id: c for c in routes.fleet.chains}, tier_cost, routes)
    search(tried)
    if tried.best is None:
        return _unplaced(vpn, tried)
    pairs = [(app, option) for (app, _), option in zip(options, tried.best, strict=True)]
    rejected += _dearer(tried, {app: option.chain for app, option in pairs})
    return Assignment(
        vpn=vpn,
        chains=tuple((app, option.chain) for app, option in pairs),
        cost_usd_micro=tried.best_cost,
        bound_usd_micro=min(tried.best_cost, tried.open_bound),
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


def _unplaced(vpn: str, tried: Search) -> Infeasible:
    """Return the refusal of a VPN whose applications find no chains together, though each alone has some."""
    assert tried.blocked is not None  # noqa: S101 - without a refusal every whole assignment is a solution
    if tried.exhausted:
        return tried.blocked
    return Infeasible(
        subject=f"vpn {vpn}: none of {EXACT_NODES} ways tried to place its {len(tried.options)} applications, with "
        f"{tried.blocked.subject} the first in the way",
        rejected=tried.blocked.rejected,
        relaxation=tried.blocked.relaxation,
    )


def _dearer(tried: Search, chosen: dict[str, str]) -> list[tuple[str, Rejected]]:
    """Return what each other chain that may be taken would cost more, everything else left as it is."""
    load = tried.load(chosen)
    found: list[tuple[str, Rejected]] = []
    for application, options in tried.options:
        shift = shifts(application, load, tried.tier_cost)
        for chain in (o.chain for o in options if o.chain != chosen[application]):
            more = difference(tried, application, (chosen[application], chain), shift)
            have = f"not to be had: {more.relaxation}" if isinstance(more, Infeasible) else f"{more / MICRO:+.4f}"
            need = Rejected(candidate=f"chain {chain}", requirement="cost in USD/h", have=have, need="the least")
            found.append((application, need))
    return found


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
