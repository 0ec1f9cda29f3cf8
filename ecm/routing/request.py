"""The best chain for one request: what `assign` decides for all applications at once, for one that comes by itself.

Both take a chain that meets every requirement where there is one, and of those the one that adds the least cost;
security and regions are never relaxed, nor is bandwidth, which would be a promise that cannot hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from ecm.model.fleet import Application
from ecm.model.policy import Limits, OnViolation, QosProfile
from ecm.model.refusal import Rejected
from ecm.model.request import ChainState, RouteDecision, RouteRequest, Stated
from ecm.routing.chain import way_in_outage_s

HARD: Final = frozenset({"security_level", "regions", "bandwidth_mbps"})
"""Requirements that no `on_violation` relaxes."""


def merged(request: RouteRequest, profile: QosProfile) -> RouteRequest:
    """Return `request` with what it leaves out taken from `profile`."""
    taken = {
        name: getattr(profile, name)
        for name in ("latency_ms", "loss_pct", "max_outage_s", "security_level", "priority", "on_violation")
        if getattr(request, name) is None
    }
    if request.bandwidth_mbps is None and profile.bandwidth_mbps:
        taken["bandwidth_mbps"] = profile.bandwidth_mbps
    return request.model_copy(update=taken)


def choose(request: RouteRequest, profile: QosProfile, chains: tuple[ChainState, ...]) -> RouteDecision:
    """Return the cheapest chain of the request's VPN that meets all of it; the same arguments give the same answer.

    Where none does and the request allows it (`on_violation`), the chain that misses the fewest requirements, of those
    that meet the hard ones. Ties go to the first chain id.
    """
    wanted = merged(request, profile)
    ours = sorted((c for c in chains if c.vpn == wanted.vpn), key=lambda c: (c.marginal_usd_micro.value, c.chain))
    failed = {c.chain: failures(wanted, c) for c in ours}
    taken = _taken(wanted, ours, failed)
    mbps = wanted.bandwidth_mbps or 0
    if taken is None:
        return RouteDecision(
            chain=None,
            traffic_class=profile.traffic_class,
            bandwidth_mbps=mbps,
            usd_micro_per_hour=0,
            rejected=tuple(r for c in ours for r in failed[c.chain]),
            conflict=_conflict(failed),
            relaxation=_relaxation(wanted, ours, failed),
        )
    others = [c for c in ours if c.chain != taken.chain]
    return RouteDecision(
        chain=taken.chain,
        traffic_class=profile.traffic_class,
        bandwidth_mbps=mbps,
        usd_micro_per_hour=mbps * taken.marginal_usd_micro.value,
        violated=failed[taken.chain],
        rejected=tuple(r for c in others for r in failed[c.chain] or (_dearer(c, taken),)),
    )


def open_to(application: Application, states: Iterable[ChainState], limits: Limits) -> tuple[ChainState, ...]:
    """Return those of `states` that people allow for `application`, each with the outage that its way in causes."""
    outage_s = way_in_outage_s(application, limits)
    allowed = application.chains
    return tuple(_entered(state, outage_s) for state in states if not allowed or state.chain in allowed)


def _entered(state: ChainState, outage_s: int) -> ChainState:
    if outage_s <= state.outage_s.value:
        return state
    slower = Stated(value=outage_s, origin="VPC route: fails over with a reconcile run")
    return state.model_copy(update={"outage_s": slower})


def failures(wanted: RouteRequest, state: ChainState) -> tuple[Rejected, ...]:
    """Return every requirement of `wanted`, merged with its profile, that a chain does not meet."""
    found = []
    if (have := state.security_level.value) < (level := wanted.security_level or 0):
        found.append(_failed(state, "security_level", str(have), str(level)))
    if wanted.regions and state.region not in wanted.regions:
        found.append(_failed(state, "regions", state.region, ", ".join(wanted.regions)))
    if (have := state.residual_mbps) < (mbps := wanted.bandwidth_mbps or 0):
        found.append(_failed(state, "bandwidth_mbps", str(have), str(mbps)))
    if wanted.latency_ms is not None and (have := state.latency_us.value) > wanted.latency_ms * 1000:
        found.append(_failed(state, "latency_ms", f"{have / 1000:g}", str(wanted.latency_ms)))
    if wanted.loss_pct is not None and (have := state.loss_ppm.value) > wanted.loss_pct * 10_000:
        found.append(_failed(state, "loss_pct", f"{have / 10_000:g}", f"{wanted.loss_pct:g}"))
    if wanted.max_outage_s is not None and (have := state.outage_s.value) > wanted.max_outage_s:
        found.append(_failed(state, "max_outage_s", str(have), str(wanted.max_outage_s)))
    return tuple(found)


def _taken(wanted: RouteRequest, ours: list[ChainState], failed: dict[str, tuple[Rejected, ...]]) -> ChainState | None:
    """Return the chain that is taken; `ours` are sorted, the cheapest first."""
    allowed = [c for c in ours if not failed[c.chain]]
    if not allowed and wanted.on_violation not in (None, OnViolation.STRICT):
        allowed = [c for c in ours if all(r.requirement not in HARD for r in failed[c.chain])]
    return min(allowed, key=lambda c: len(failed[c.chain]), default=None)


def _conflict(failed: dict[str, tuple[Rejected, ...]]) -> tuple[str, ...]:
    """Return the fewest requirements of which every chain fails at least one."""
    missed = [{r.requirement for r in rejected} for rejected in failed.values()]
    names = sorted(set().union(*missed))
    for size in range(1, len(names) + 1):
        for few in combinations(names, size):
            if all(set(few) & chain for chain in missed):
                return few
    return ()


def _relaxation(wanted: RouteRequest, ours: list[ChainState], failed: dict[str, tuple[Rejected, ...]]) -> str:
    """Return what to ask for instead: the fewest changes, rather none of a hard requirement, then the least cost."""
    if not ours:
        return f"VPN {wanted.vpn} has no chain"
    nearest = min(ours, key=lambda c: (sum(r.requirement in HARD for r in failed[c.chain]), len(failed[c.chain])))
    change = " and ".join(f"{r.requirement} {r.have} (now {r.need})" for r in failed[nearest.chain])
    return f"with {change} it could take chain {nearest.chain}"


def _failed(state: ChainState, requirement: str, have: str, need: str) -> Rejected:
    return Rejected(candidate=state.chain, requirement=requirement, have=have, need=need)


def _dearer(state: ChainState, taken: ChainState) -> Rejected:
    have, need = state.marginal_usd_micro.value, taken.marginal_usd_micro.value
    return _failed(
        state, "micro-USD per hour and Mbit/s", str(have), f"less than {need}" if have == need else str(need)
    )
