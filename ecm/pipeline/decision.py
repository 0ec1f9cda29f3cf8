"""One decision: intent, telemetry and what stands in; a guarded plan, or the reason why there is none, out.

Pure but for the templates that `render` reads: the clock, the store and AWS stay with the entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from ecm import __version__, forecast, guard, plan, routing, sizing, telemetry
from ecm.intent import Intent
from ecm.model.base import Frozen, digest
from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Role
from ecm.model.forecast import Grid
from ecm.model.observed import Observed
from ecm.model.plan import Decision, Desired, Inputs, OverlayChoice, OverlayPlan, Plan, PlannedEvent, Verdict
from ecm.model.policy import Limits, QosProfile
from ecm.model.refusal import Because, Infeasible, Rejected
from ecm.model.rendered import PeerTable
from ecm.model.sizing import Placement, TierSizing
from ecm.pipeline.lead import look_ahead
from ecm.pipeline.rendering import config_digests


@dataclass(frozen=True)
class World:
    """What a decision takes from outside the files that people write."""

    as_of: datetime
    observed: Observed | None = None
    previous: Plan | None = None
    """The plan whose nodes stand: the applied one, or one that was tried and failed half-way."""
    basis: str | None = None
    """Digest of the plan that is applied, by the stack's own output."""
    peers: tuple[PeerTable, ...] = ()
    overlay_signers: tuple[str, ...] = ()
    """Public keys of routing services whose choices nodes take; none: they take none."""
    templates: Path = Path("templates")
    guardrails: str | None = None
    """Digest of the policy pack's files."""
    libraries: str = ""
    """Versions of what declares resources."""


class Outcome(Frozen):
    """What came of a decision."""

    plan: Plan | None
    """None when nothing is feasible."""
    infeasible: tuple[Infeasible, ...] = ()
    nothing_to_do: bool = False
    """The plan asks for what is applied already."""


def decide(intent: Intent, history: DemandHistory, world: World) -> Outcome:
    """Forecast, size, assign, plan, render and guard; the same inputs give the same bytes."""
    limits = intent.limits
    ahead = look_ahead(limits, world.observed)
    predictor = forecast.Predictor(
        history, intent.fleet, lead_min=ahead.lead_min, hold_min=ahead.hold_min, tried=tried(limits)
    )
    return decide_from(intent, history, predictor.at(world.as_of), world)


def tried(limits: Limits) -> forecast.Tried:
    """Return the models that are tried beside those that need no extra."""
    return forecast.Tried(also=("lstm",) if limits.forecast.lstm else ())


def decide_from(intent: Intent, history: DemandHistory, predicted: Forecast, world: World) -> Outcome:
    """Decide from a forecast that was made before; see `decide`."""
    study = _Study(intent, predicted, world)
    found = study.assignments()
    if isinstance(found, Outcome):
        return found
    chains = {application: chain for a in found for application, chain in a.chains}
    return study.outcome(chains, study.sizings(chains), found, history)


def restore(intent: Intent, history: DemandHistory, predicted: Forecast, world: World, to: Plan) -> Outcome:
    """Return a plan with the nodes and chains of `to`, an earlier plan, in new generations where they are gone.

    What the fleet file says stays as it is now: a tier or application that `to` does not know is decided as by
    `decide`, and one that is no more stays away; so does a chain that no longer meets what its application requires.
    Guard judges the plan as any other.
    """
    study = _Study(intent, predicted, world)
    found = study.assignments()
    if isinstance(found, Outcome):
        return found
    before = {a.application: a.chain for a in to.desired.applications}
    chains = {
        application: before[application] if study.fits(application, before.get(application)) else chain
        for assignment in found
        for application, chain in assignment.chains
    }
    nothing_seen = plan.Standing(world.as_of, None, intent.limits)
    placements = {tier.id: plan.running_placements(tier, nothing_seen) for tier in to.desired.tiers}
    refusals = tuple(s for s in study.sized(chains, placements).values() if isinstance(s, Infeasible))
    if refusals:
        return Outcome(plan=None, infeasible=refusals)
    return study.outcome(chains, study.sizings(chains, placements), found, history)


def _wait_for_drain(error: plan.NoFreeNumberError, drain_min: int) -> Infeasible:
    return Infeasible(
        subject=str(error), rejected=(), relaxation=f"plan again once the nodes that drain are gone, in {drain_min} min"
    )


class _Study:
    """The stages' shared view of one decision: contexts, facts and exact tier costs, computed once."""

    def __init__(self, intent: Intent, predicted: Forecast, world: World) -> None:
        self.intent, self.predicted, self.world = intent, predicted, world
        fleet = intent.fleet
        by_id = {p.id: p for p in intent.qos.profiles}
        self.profiles: dict[str, QosProfile] = {a.id: by_id[a.profile] for a in fleet.applications}
        self.applications = {a.id: a for a in fleet.applications}
        source = sizing.LoadSource(predicted, self.profiles)
        self.sizer = sizing.Sizer(source, intent.catalog, intent.limits)
        self.standing = plan.Standing(world.as_of, world.observed, intent.limits)
        self.previous: Desired | None = world.previous.desired if world.previous else None
        self.contexts = {t.id: self._context(t.id) for t in fleet.tiers}
        exits = {c.tiers[-1] for c in fleet.chains}
        self.levels = {
            t.id: routing.tier_level(t, exits=t.id in exits, region=fleet.region, security=intent.security)
            for t in fleet.tiers
        }
        self.facts = {
            c.id: routing.chain_facts(
                c,
                self.levels,
                zones=max(len(self.contexts[t].zones) for t in c.tiers),
                catalog=intent.catalog,
                limits=intent.limits,
            )
            for c in fleet.chains
        }
        self.costing = sizing.Costing(self.sizer, self.contexts, self.applications)
        self._sized: dict[tuple[str, frozenset[str]], TierSizing | Infeasible] = {}

    def _context(self, tier_id: str) -> sizing.TierContext:
        fleet = self.intent.fleet
        tier = fleet.tier(tier_id)
        lengths = [len(c.tiers) for c in fleet.chains if tier_id in c.tiers]
        before = next((t for t in self.previous.tiers if t.id == tier_id), None) if self.previous else None
        return sizing.TierContext(
            tier=tier,
            zones=fleet.zones_of(tier),
            exits_only=tier.role is Role.EGRESS or max(lengths) == 1,
            chain_tiers=max(lengths),
            running=plan.running_placements(before, self.standing),
            unavailable=self.standing.unavailable,
        )

    def size(self, tier: str, applications: frozenset[str]) -> TierSizing | Infeasible:
        """Size `tier` for a set of applications, once."""
        key = (tier, applications)
        if key not in self._sized:
            ordered = tuple(self.applications[a] for a in sorted(applications))
            self._sized[key] = self.sizer.size(self.contexts[tier], ordered)
        return self._sized[key]

    def _size_as(
        self, tier: str, applications: frozenset[str], placements: tuple[Placement, ...]
    ) -> TierSizing | Infeasible:
        ordered = tuple(self.applications[a] for a in sorted(applications))
        return self.sizer.size_as(self.contexts[tier], ordered, placements)

    def assignments(self) -> list[routing.Assignment] | Outcome:
        """Assign the applications of every VPN; an outcome without a plan where that is not possible."""
        decided = [self.assign(vpn.id) for vpn in sorted(self.intent.fleet.vpns, key=lambda v: v.id)]
        refusals = tuple(a for a in decided if isinstance(a, Infeasible))
        if refusals:
            return Outcome(plan=None, infeasible=refusals)
        return [a for a in decided if isinstance(a, routing.Assignment)]

    def fits(self, application: str, chain: str | None) -> bool:
        """Return whether `chain` meets every requirement of `application`, whatever it costs."""
        wanted = self.applications[application]
        return any(
            c.id == chain
            and not routing.failed_requirements(
                wanted, self.profiles[application], self.facts[c.id], self.intent.limits
            )
            for c in routing.candidates(self.intent.fleet, wanted)
        )

    def assign(self, vpn: str) -> routing.Assignment | Infeasible:
        """Assign the applications of one VPN."""
        routes = routing.Routes(
            fleet=self.intent.fleet,
            facts=self.facts,
            profiles=self.profiles,
            limits=self.intent.limits,
            previous={a.application: a.chain for a in self.previous.applications} if self.previous else {},
            traffic_usd_micro=self.traffic_prices(vpn),
            linear=self._linear(vpn),
        )
        return routing.assign(vpn, routes, self.costing)

    def _linear(self, vpn: str) -> routing.Linear:
        """Return what bounds the VPN's true costs from below and adds up over its applications."""
        applications = tuple(a for a in self.applications.values() if a.vpn == vpn)
        tiers = sorted({t for c in self.intent.fleet.chains if c.vpn == vpn for t in c.tiers})
        floors = sizing.least_loads(self.sizer, [self.contexts[t] for t in tiers], applications)
        return routing.Linear(
            least_kbps=floors.kbps,
            levels=lambda tier, most: self.costing.levels(tier, most, floors.small_kbps),
        )

    def traffic_prices(self, vpn: str) -> dict[tuple[str, str], int]:
        """Return what an application's expected traffic costs between the tiers of each chain, per hour."""
        catalog = self.intent.catalog
        prices = {}
        for application in (a for a in self.applications.values() if a.vpn == vpn):
            expected = self.predicted.applications[self.predicted.row(application.id)].window_p50_mbps
            crossing = plan.traffic_price(expected, usd_micro_per_gb=catalog.bandwidth.cross_zone_usd_per_gb)
            for chain in (c for c in self.intent.fleet.chains if c.vpn == vpn):
                hops = len(chain.tiers) - 1
                prices[application.id, chain.id] = hops * crossing * catalog.traffic.cross_zone_pct // 100
        return prices

    def outcome(
        self,
        chains: dict[str, str],
        sizings: dict[str, TierSizing],
        assignments: list[routing.Assignment],
        history: DemandHistory,
    ) -> Outcome:
        """Compose, render and judge what was decided."""
        try:
            desired = plan.desired_state(self.plan_inputs(chains, sizings))
        except plan.NoFreeNumberError as error:
            return Outcome(plan=None, infeasible=(_wait_for_drain(error, self.intent.limits.drain_min),))
        decided = self.draft(desired, sizings, assignments, history)
        return Outcome(plan=decided, nothing_to_do=not decided.changes)

    def sized(
        self, chains: dict[str, str], given: Mapping[str, tuple[Placement, ...]] = MappingProxyType({})
    ) -> dict[str, TierSizing | Infeasible]:
        """Size every tier that carries something under `chains`, with its `given` nodes if any."""
        load: dict[str, set[str]] = {}
        tiers = {c.id: c.tiers for c in self.intent.fleet.chains}
        for application, chain in chains.items():
            for tier in tiers[chain]:
                load.setdefault(tier, set()).add(application)
        return {
            tier: self._size_as(tier, frozenset(applications), given[tier])
            if tier in given
            else self.size(tier, frozenset(applications))
            for tier, applications in sorted(load.items())
        }

    def sizings(
        self, chains: dict[str, str], given: Mapping[str, tuple[Placement, ...]] = MappingProxyType({})
    ) -> dict[str, TierSizing]:
        """Return the sizings of `sized` with what the forecast says of their risk."""
        return {
            tier: found.model_copy(update={"risk": sizing.risk(self.sizer, self.contexts[tier], found)})
            for tier, found in self.sized(chains, given).items()
            if isinstance(found, TierSizing)
        }

    def plan_inputs(self, chains: dict[str, str], sizings: dict[str, TierSizing]) -> plan.PlanInputs:
        """Return what the desired state is composed from."""
        return plan.PlanInputs(
            fleet=self.intent.fleet,
            qos=self.intent.qos,
            catalog=self.intent.catalog,
            limits=self.intent.limits,
            sizings=sizings,
            chains=chains,
            chain_facts={
                c: (f.security_level, f.latency_us, f.loss_ppm, f.outage_s) for c, f in sorted(self.facts.items())
            },
            tier_levels=self.levels,
            previous=self.previous,
            standing=self.standing,
            peers={table.vpn: digest(table) for table in self.world.peers},
            overlay=self._overlay(set(chains.values())),
        )

    def _overlay(self, used: set[str]) -> OverlayPlan | None:
        """Return whose overlay nodes take, and the chains that are secure enough for each application."""
        if not self.world.overlay_signers:
            return None
        return OverlayPlan(
            signers=tuple(sorted(set(self.world.overlay_signers))),
            choices=tuple(
                OverlayChoice(
                    application=name,
                    chains=tuple(
                        c.id
                        for c in routing.candidates(self.intent.fleet, application)
                        if c.id in used and self.facts[c.id].security_level >= self.profiles[name].security_level
                    ),
                )
                for name, application in sorted(self.applications.items())
            ),
        )

    def draft(
        self,
        desired: Desired,
        sizings: dict[str, TierSizing],
        assignments: list[routing.Assignment],
        history: DemandHistory,
    ) -> Plan:
        """Render, price, compare and judge `desired`; the result is the plan."""
        world, intent = self.world, self.intent
        before = world.previous
        configs = config_digests(desired, world.peers, world.templates)
        prices = plan.Prices(intent.catalog, {a.application: a for a in self.predicted.applications})
        drafted = Plan(
            stack=intent.fleet.stack,
            serial=before.serial + 1 if before else 1,
            basis=world.basis,
            as_of=world.as_of,
            expires_at=world.as_of + timedelta(minutes=intent.limits.plan_ttl_min),
            inputs=self._inputs(history),
            desired=desired,
            configs=configs,
            forecasts=self.predicted.applications,
            vpn_forecasts=self.predicted.vpns,
            grid=self._grid(),
            events=self._events(),
            max_utilisation_permille=intent.limits.max_utilisation_permille,
            tiers=plan.tier_evidence(desired, self.previous, sizings, intent.catalog, self._images(desired)),
            applications=plan.application_evidence(
                desired, self.previous, self.profiles, _refusals(assignments), self._outages(desired)
            ),
            changes=plan.changes(before, desired, configs, self.standing.dead(before)),
            cost=plan.cost(desired, before.cost if before else None, prices),
            verdict=Verdict(decision=Decision.REFUSED),
        )
        return drafted.model_copy(update={"verdict": self._verdict(drafted, history)})

    def _grid(self) -> Grid:
        made = self.predicted
        return Grid(start=made.start, interval_min=made.interval_min, window_first_step=made.window_first_step)

    def _events(self) -> tuple[PlannedEvent, ...]:
        start = self.predicted.start
        end = start + timedelta(minutes=self.predicted.interval_min * self.predicted.scenarios.shape[2])
        met = (e for e in self.intent.fleet.events if e.start < end and e.end > start)
        return tuple(
            PlannedEvent(id=e.id, kind=e.kind, start=e.start, end=e.end, vpn=e.vpn, application=e.application)
            for e in sorted(met, key=lambda e: (e.start, e.id))
            if e.region in (None, self.intent.fleet.region)
        )

    def _outages(self, desired: Desired) -> dict[str, int]:
        """Return the longest outage of every application on its chain when a node of it fails or hands over."""
        return {
            route.application: routing.outage_s(
                self.applications[route.application], self.facts[route.chain], self.intent.limits
            )
            for route in desired.applications
        }

    def _images(self, desired: Desired) -> dict[str, tuple[Because, ...]]:
        images = {t.id: self.intent.catalog.image(t.image) for t in self.intent.fleet.tiers}
        return {t.id: plan.image_because(t, images[t.id], self.standing) for t in desired.tiers}

    def _verdict(self, drafted: Plan, history: DemandHistory) -> Verdict:
        return guard.check(
            guard.Draft(
                as_of=self.world.as_of,
                telemetry_age_min=telemetry.age_min(history, self.world.as_of),
                telemetry_days=telemetry.days(history),
                telemetry_faults=telemetry.faults(history),
                prices_as_of=self.intent.catalog.as_of,
                changes=drafted.changes,
                cost=drafted.cost,
                tiers=drafted.tiers,
                usage=guard.usage(drafted.desired, self.intent.catalog),
                creates_stack=self.world.previous is None,
            ),
            self.intent.limits,
        )

    def _inputs(self, history: DemandHistory) -> Inputs:
        intent, observed = self.intent, self.world.observed
        return Inputs(
            fleet=digest(intent.fleet),
            qos=digest(intent.qos),
            security=digest(intent.security),
            limits=digest(intent.limits),
            catalog=digest(intent.catalog),
            telemetry=history.digest,
            observed=digest(observed) if observed else None,
            guardrails=self.world.guardrails,
            ecm_version=__version__,
            libraries=self.world.libraries,
        )


def _refusals(
    assignments: list[routing.Assignment],
) -> dict[str, tuple[tuple[Rejected, ...], tuple[Rejected, ...]]]:
    """Return (chains kept out, requirements missed) of every application."""
    found: dict[str, tuple[tuple[Rejected, ...], tuple[Rejected, ...]]] = {}
    for assignment in assignments:
        for application, _ in assignment.chains:
            found[application] = (
                tuple(r for a, r in assignment.rejected if a == application),
                tuple(r for a, r in assignment.violated if a == application),
            )
    return found
