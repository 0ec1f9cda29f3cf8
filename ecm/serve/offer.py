"""What an applied plan offers to requests: its chains with what is free of them, and the way in of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ecm.model.plan import Plan
from ecm.model.policy import QosProfile
from ecm.model.request import ChainState, RouteDecision, TierRoom
from ecm.render.marks import flow_mark, word
from ecm.routing.request import choose
from ecm.serve.answers import RouteAsked
from ecm.serve.errors import UnknownError
from ecm.serve.lease import Rooms

Free = Callable[[str], int]
"""What can still be promised of a tier, Mbit/s."""


@dataclass(frozen=True)
class Terms:
    """What the fleet file says of an application."""

    profile: QosProfile
    chains: tuple[ChainState, ...]
    """Those that it may take, as it gets them."""


@dataclass(frozen=True)
class Offer:
    """One applied plan."""

    applied: int
    """Number of the journal's entry that it was applied with."""
    plan: Plan
    states: tuple[ChainState, ...]
    """Of every chain, with what its tiers have beside their planned load."""
    terms: Mapping[str, Terms]
    """By application."""

    @cached_property
    def rooms(self) -> Rooms:
        """Return what the plan's tiers have beside their planned load."""
        mbps = {room.tier: room.residual_mbps for state in self.states for room in state.tiers}
        return Rooms(self.applied, self.digest, mbps)

    @cached_property
    def digest(self) -> str:
        """The plan's digest."""
        return self.plan.digest

    def tiers(self, vpn: str, chain: str) -> tuple[str, ...]:
        """Return the tiers of a chain, ingress first; none where the plan does not have it."""
        return self._tiers.get((vpn, chain), ())

    def decide(self, asked: RouteAsked, free: Free) -> RouteDecision:
        """Return the best chain for `asked` with what is `free` now; UnknownError for an unknown application."""
        terms = self._terms(asked)
        chains = tuple(_as_free(state, free) for state in terms.chains)
        return choose(asked, terms.profile, chains)

    def way(self, application: str, chain: str, traffic_class: str) -> tuple[str, str]:
        """Return where clients enter (host and port of the class), and the mark of the application's flows."""
        desired = self.plan.desired
        route = next(a for a in desired.applications if a.application == application)
        to = next(c for c in desired.chains if c.id == chain and c.vpn == route.vpn)
        by = next(c for c in desired.classes if c.id == traffic_class)
        host = next(s.entry for s in self.states if s.chain == chain)
        return f"{host}:{by.listener_port}", word(flow_mark(by.number, to.number, route.number))

    @cached_property
    def _tiers(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {(c.vpn, c.id): c.tiers for c in self.plan.desired.chains}

    def _terms(self, asked: RouteAsked) -> Terms:
        vpn = self._vpns.get(asked.application)
        if vpn is None or asked.application not in self.terms:
            raise UnknownError(f"application {asked.application!r} is not in the applied plan")
        if vpn != asked.vpn:
            raise UnknownError(f"application {asked.application!r} belongs to VPN {vpn!r}, not {asked.vpn!r}")
        return self.terms[asked.application]

    @cached_property
    def _vpns(self) -> dict[str, str]:
        return {a.application: a.vpn for a in self.plan.desired.applications}


def _as_free(state: ChainState, free: Free) -> ChainState:
    """Return `state` with what is `free` of its tiers; not validated again, which would take longer than to decide."""
    tiers = tuple(
        TierRoom.model_construct(tier=t.tier, residual_mbps=max(free(t.tier), 0), origin=t.origin) for t in state.tiers
    )
    return state.model_copy(update={"tiers": tiers})
