"""From a plan and what was found at its review to the whole report, as one value."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from ecm.model.plan import NodeState, Plan
from ecm.model.review import (
    CheckRow,
    ConfigDiffs,
    CostChange,
    CostRow,
    ForecastRow,
    InputRow,
    Review,
    RouteRow,
)
from ecm.review.capacity import chain_rows, tier_rows
from ecm.review.classes import classed
from ecm.review.context import Context
from ecm.review.diffs import config_diffs
from ecm.review.impact import moves, outages
from ecm.review.verdict import verdict

_WRITTEN = ("fleet", "qos", "security", "limits", "catalog")


def build(plan: Plan, context: Context) -> Review:
    """Return the review of `plan`; the same arguments give the same bytes."""
    if context.applied_known and context.applied == plan.digest:
        stands = plan.model_copy(update={"changes": ()})
        return _build(stands, replace(context, previous=stands), plan.digest)
    return _build(plan, context, plan.digest)


def _build(plan: Plan, context: Context, named: str) -> Review:
    """Return the review of `plan` under the digest `named`; a plan that is applied is compared with itself."""
    previous = context.previous
    changes = classed(plan, previous)
    tiers = tier_rows(plan, previous)
    moved = moves(plan, previous, context.clients)
    return Review(
        stack=plan.stack,
        region=plan.desired.region,
        reviewed_at=context.now,
        ecm_version=plan.inputs.ecm_version,
        verdict=verdict(plan, context, changes, named),
        changes=changes,
        chains=chain_rows(plan, tiers),
        tiers=tiers,
        moves=moved,
        outages=outages(plan, moved),
        cost=_cost(plan, stands=previous is plan),
        routes=_routes(plan),
        checks=_checks(plan),
        forecasts=_forecasts(plan),
        because=tuple(b for a in plan.applications for b in a.because),
        inputs=_inputs(plan, context),
        engine=context.engine,
        policies=context.policies,
        drift=context.drift,
        configs=_configs(context),
        grid=plan.grid,
        events=plan.events,
        measured=context.measured,
        max_utilisation_permille=plan.max_utilisation_permille,
    )


def _configs(context: Context) -> ConfigDiffs:
    if context.rendered is None:
        return ConfigDiffs(note=context.rendered_note, changed=0, added=0, removed=0, diffs=())
    return config_diffs(*context.rendered)


def _cost(plan: Plan, *, stands: bool) -> CostChange:
    after = plan.cost.after
    before = after if stands else plan.cost.before
    return CostChange(
        before_usd_micro_per_hour=before,
        after_usd_micro_per_hour=after,
        difference_usd_micro_per_hour=after - before,
        difference_permille=round(1000 * (after - before) / before) if before else None,
        prices_as_of=plan.cost.prices_as_of,
        lines=tuple(
            CostRow(
                item=line.item,
                before_usd_micro_per_hour=line.after_usd_micro_per_hour if stands else line.before_usd_micro_per_hour,
                after_usd_micro_per_hour=line.after_usd_micro_per_hour,
            )
            for line in plan.cost.lines
        ),
    )


def _routes(plan: Plan) -> tuple[RouteRow, ...]:
    evidence = {a.application: a for a in plan.applications}
    rows = []
    for route in plan.desired.applications:
        row = evidence.get(route.application)
        rows.append(
            RouteRow(
                application=route.application,
                vpn=route.vpn,
                profile=row.profile if row else None,
                chain_before=row.moved_from if row else None,
                chain=route.chain,
                traffic_class=route.traffic_class,
                destinations=tuple(str(d) for d in route.destinations),
                ports=tuple(str(p) for p in route.ports),
                not_met=row.violated if row else (),
                kept_out=row.rejected if row else (),
            )
        )
    return tuple(rows)


def _checks(plan: Plan) -> tuple[CheckRow, ...]:
    """Return the checks that each tier's nodes answer; the agent's endpoint stands behind both."""
    entries = {v.ingress for v in plan.desired.vpns}
    return tuple(
        CheckRow(
            tier=tier.id,
            check="HTTP /healthz: load balancer, EC2 and agent" if tier.id in entries else "HTTP /healthz: agent, BFD",
            nodes=sum(len(s.nodes) for s in tier.slots),
            draining=sum(n.state is NodeState.DRAINING for s in tier.slots for n in s.nodes),
        )
        for tier in plan.desired.tiers
    )


def _forecasts(plan: Plan) -> tuple[ForecastRow, ...]:
    rows = [
        ForecastRow(
            subject=f.application,
            model=f.model,
            last_mbps=f.last_mbps,
            p50_mbps=f.window_p50_mbps,
            p90_mbps=f.window_p90_mbps,
            p99_mbps=f.window_p99_mbps,
            recent_peak_mbps=f.recent_peak_mbps,
            coverage_permille=f.coverage_permille,
            notes=(*f.incidents, *f.event_effects),
        )
        for f in plan.forecasts
    ]
    rows += [
        ForecastRow(
            subject=f"VPN {v.vpn}",
            model=f"the sum of its {len(v.applications)}",
            last_mbps=v.last_mbps,
            p50_mbps=v.window_p50_mbps,
            p90_mbps=v.window_p90_mbps,
            p99_mbps=v.window_p99_mbps,
            recent_peak_mbps=v.recent_peak_mbps,
            coverage_permille=None,
            notes=(),
        )
        for v in plan.vpn_forecasts
        if len(v.applications) > 1
    ]
    return tuple(rows)


def _inputs(plan: Plan, context: Context) -> tuple[InputRow, ...]:
    made_from = plan.inputs
    rows = []
    for name in _WRITTEN:
        digest = getattr(made_from, name)
        now = context.digests.get(name)
        state = "" if now is None else "unchanged" if now == digest else "changed since the plan"
        age = _days(plan.cost.prices_as_of, context.now) if name == "catalog" else None
        rows.append(InputRow(name=name, digest=digest, age_min=age, state=state))
    measured = _minutes(plan.grid.start, context.now) if plan.grid else None
    rows.append(InputRow(name="telemetry", digest=made_from.telemetry, age_min=measured, state=""))
    seen = _minutes(plan.as_of, context.now) if made_from.observed else None
    state = "" if made_from.observed else "nothing was observed"
    rows.append(InputRow(name="observed", digest=made_from.observed, age_min=seen, state=state))
    return tuple(rows)


def _minutes(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds() // 60))


def _days(text: str, now: datetime) -> int | None:
    try:
        since = date.fromisoformat(text)
    except ValueError:
        return None
    return max(0, (now.astimezone(UTC).date() - since).days) * 1440
