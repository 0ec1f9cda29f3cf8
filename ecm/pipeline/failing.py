"""What a plan still carries when nodes, zones or tiers fail, or when the load is a multiple of what was planned for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecm.intent import Intent
from ecm.model.plan import ApplicationRoute, Plan, Slot
from ecm.model.request import ChainState, RouteRequest, TierRoom
from ecm.model.simulation import ApplicationLeft, Simulation, TierLeft
from ecm.pipeline.chains import chain_states
from ecm.routing.request import choose, open_to


class UnknownSubjectError(ValueError):
    """What shall fail is not in the plan; the message names what is."""


def simulate(plan: Plan, intent: Intent, failing: Sequence[str], load_permille: int) -> Simulation:
    """Return what is left of `plan` without what is `failing` (slot ids, zones, tier ids) under a changed load.

    Flows of a failed node go to the others of its tier by themselves. Where those do not carry the load, applications
    move to other chains that have room and meet their requirements, the highest priority first, as long as the tier is
    short; what then stays short is shared by those that stay, in proportion to their load. UnknownSubjectError where
    something is not in the plan.
    """
    gone = _gone(plan, failing)
    tiers = {tier.id: _Tier.of([s for s in tier.slots if s.active], gone) for tier in plan.desired.tiers}
    for evidence in plan.tiers:
        tiers[evidence.tier].planned = tiers[evidence.tier].load = _times(evidence.load.planned_mbps, load_permille)
    world = _World(plan, intent, tiers, load_permille)
    found = tuple(world.application(route) for route in world.hit())
    return Simulation(
        failed=tuple(sorted(gone)),
        load_permille=load_permille,
        tiers=tuple(tier.left(name) for name, tier in sorted(tiers.items())),
        applications=tuple(world.shared(one) for one in found),
    )


def _gone(plan: Plan, failing: Sequence[str]) -> frozenset[str]:
    slots = [slot for tier in plan.desired.tiers for slot in tier.slots]
    found: set[str] = set()
    for subject in failing:
        mine = {s.id for s in slots if subject in (s.id, s.zone, s.id.partition("/")[0])}
        if not mine:
            zones, tiers = sorted({s.zone for s in slots}), sorted(t.id for t in plan.desired.tiers)
            raise UnknownSubjectError(
                f"{subject!r} is no slot, zone or tier of the plan; zones: {', '.join(zones)}; tiers: "
                f"{', '.join(tiers)}; a slot is such as {slots[0].id if slots else 'tier/zone/0'}"
            )
        found |= mine
    return frozenset(found)


def _times(mbps: int, permille: int) -> int:
    return -(-mbps * permille // 1000)


@dataclass
class _Tier:
    nodes: int
    left_nodes: int
    capacity: int
    planned: int = 0
    load: int = 0
    """Changes as applications move."""

    @classmethod
    def of(cls, active: list[Slot], gone: frozenset[str]) -> _Tier:
        standing = [slot for slot in active if slot.id not in gone]
        return cls(len(active), len(standing), sum(slot.capacity_mbps for slot in standing))

    @property
    def short(self) -> int:
        return max(self.load - self.capacity, 0)

    def left(self, name: str) -> TierLeft:
        return TierLeft(
            tier=name,
            nodes=self.nodes,
            nodes_left=self.left_nodes,
            capacity_mbps=self.capacity,
            load_mbps=self.planned,
            load_after_mbps=self.load,
        )


class _World:
    """A plan's chains and applications on what is left of its tiers."""

    def __init__(self, plan: Plan, intent: Intent, tiers: dict[str, _Tier], permille: int) -> None:
        self.plan, self.intent, self.tiers = plan, intent, tiers
        self._states = chain_states(plan, intent)
        self._chains = {(c.vpn, c.id): c for c in plan.desired.chains}
        self._profiles = {p.id: p for p in intent.qos.profiles}
        self._written = {a.id: a for a in intent.fleet.applications}
        self._loads = {f.application: _times(f.window_p90_mbps, permille) for f in plan.forecasts}

    def hit(self) -> list[ApplicationRoute]:
        """Return the applications with a tier that lost nodes or is short, the highest priority first."""
        routes = [r for r in self.plan.desired.applications if r.application in self._written]
        bad = {name for name, tier in self.tiers.items() if tier.short or tier.left_nodes < tier.nodes}
        return sorted(
            (r for r in routes if bad & set(self._tiers_of(r.vpn, r.chain))),
            key=lambda r: (self._profiles[self._written[r.application].profile].priority, r.application),
        )

    def application(self, route: ApplicationRoute) -> ApplicationLeft:
        """Move an application where its chain is short and another one has room; return what came of it."""
        mine = self._tiers_of(route.vpn, route.chain)
        load = self._loads.get(route.application, 0)
        found = ApplicationLeft(
            application=route.application,
            vpn=route.vpn,
            chain=route.chain,
            load_mbps=load,
            moves_to=None,
            outage_s=self._outage(route.vpn, route.chain) if all(self.tiers[t].left_nodes for t in mine) else None,
            short_mbps=0,
        )
        if not any(self.tiers[tier].short for tier in mine):
            return found
        written = self._written[route.application]
        asked = RouteRequest(application=route.application, vpn=route.vpn, bandwidth_mbps=max(load, 1))
        others = (self._as_left(state, mine, load) for state in self._states if state.chain != route.chain)
        decision = choose(asked, self._profiles[written.profile], open_to(written, others, self.intent.limits))
        if decision.chain is None:
            return found.model_copy(update={"rejected": decision.rejected})
        for sign, tiers in ((-1, mine), (1, self._tiers_of(route.vpn, decision.chain))):
            for tier in tiers:
                self.tiers[tier].load = max(self.tiers[tier].load + sign * load, 0)
        return found.model_copy(
            update={"moves_to": decision.chain, "outage_s": self._outage(route.vpn, decision.chain)}
        )

    def shared(self, one: ApplicationLeft) -> ApplicationLeft:
        """Return `one` with its share of what the worst tier of its chain does not carry, when all have moved."""
        if one.moves_to is not None:
            return one
        tiers = [self.tiers[tier] for tier in self._tiers_of(one.vpn, one.chain)]
        shares = [-(-one.load_mbps * tier.short // tier.load) for tier in tiers if tier.load]
        return one.model_copy(update={"short_mbps": max(shares, default=0)})

    def _tiers_of(self, vpn: str, chain: str) -> tuple[str, ...]:
        known = self._chains.get((vpn, chain))
        return known.tiers if known else ()

    def _outage(self, vpn: str, chain: str) -> int:
        return self._chains[vpn, chain].outage_s

    def _as_left(self, state: ChainState, leaving: tuple[str, ...], load: int) -> ChainState:
        """Return `state` with what its tiers have left, the load that would leave a shared tier given back."""
        rooms = []
        for room in state.tiers:
            tier = self.tiers[room.tier]
            free = tier.capacity - tier.load + (load if room.tier in leaving else 0)
            rooms.append(
                TierRoom(tier=room.tier, residual_mbps=max(free, 0), origin="nodes left less load, full utilisation")
            )
        return state.model_copy(update={"tiers": tuple(rooms)})
