"""Twelve prepared changes of the prod stack, each decided by the pipeline, and what is found when it is reviewed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ecm import intent, render
from ecm.intent import Intent
from ecm.model.fleet import Event
from ecm.model.plan import Plan
from ecm.model.rendered import Rendered
from ecm.model.review import ChangeClass, DriftView, EngineState, EngineView, Policies, PolicyRow, StepRow
from ecm.pipeline import World, decide_from
from ecm.review import Context
from tests.forecasts import AS_OF, a_forecast, a_history

ROOT = Path(__file__).resolve().parents[1]
NOW = AS_OF + timedelta(minutes=5)
LOW, HIGH = 60, 220
"""Mbit/s of every application."""
CLIENTS = {"corp": 400, "finance": 50, "partners": 10}


@dataclass(frozen=True)
class Prepared:
    """One change and what was found at its review."""

    plan: Plan
    context: Context


@cache
def prod() -> Intent:
    return intent.load(ROOT, "prod")


def altered(wanted: Intent, part: str, **values: Any) -> Intent:
    """`wanted` with other values in one of its parts."""
    return wanted.model_copy(update={part: getattr(wanted, part).model_copy(update=values)})


def decided(wanted: Intent, load: int, previous: Plan | None = None) -> Plan:
    """The plan for constant loads on what `previous` left."""
    loads = {a.id: load for a in wanted.fleet.applications}
    world = World(
        as_of=AS_OF,
        previous=previous,
        basis=previous.digest if previous else None,
        templates=ROOT / "templates",
    )
    outcome = decide_from(wanted, a_history(wanted.fleet, loads), a_forecast(wanted.fleet, loads), world)
    assert outcome.plan is not None, outcome.infeasible
    return outcome.plan


def rendered(plan: Plan) -> Rendered:
    return render.configs(plan.desired, (), templates=ROOT / "templates")


def context(plan: Plan, previous: Plan | None, **changes: Any) -> Context:
    """What a review finds where the engine agrees: only what the plan says."""
    found = Context(
        now=NOW,
        applied=previous.digest if previous else None,
        applied_known=True,
        previous=previous,
        rendered=(rendered(previous), rendered(plan)) if previous else None,
        clients=CLIENTS,
        engine=EngineView(state=EngineState.DONE, note="", counts=(("same", 300),)),
        drift=DriftView(state=EngineState.DONE, note=""),
    )
    return replace(found, **changes)


@cache
def standing(load: int = LOW) -> Plan:
    """What is applied before the change."""
    return decided(prod(), load)


def _change(wanted: Intent, load: int, before: Plan) -> Prepared:
    plan = decided(wanted, load, before)
    return Prepared(plan, context(plan, before))


def _without_chain() -> Intent:
    fleet = prod().fleet
    return altered(prod(), "fleet", chains=tuple(c for c in fleet.chains if c.id != "finance-direct"))


def scale_out() -> Prepared:
    return _change(prod(), HIGH, standing())


def scale_in() -> Prepared:
    return _change(prod(), LOW, standing(HIGH))


def shape_change() -> Prepared:
    tiers = tuple(
        t.model_copy(update={"shapes": ("c7gn.large",)}) if t.id == "corp-in" else t for t in prod().fleet.tiers
    )
    return _change(altered(prod(), "fleet", tiers=tiers), LOW, standing())


def zone_evacuation() -> Prepared:
    wanted = altered(altered(prod(), "fleet", zones=prod().fleet.zones[1:]), "limits", max_nodes_removed=8)
    return _change(wanted, LOW, standing())


def event() -> Prepared:
    launch = Event(
        id="launch",
        kind="launch",
        vpn="partners",
        start=AS_OF + timedelta(minutes=60),
        end=AS_OF + timedelta(minutes=120),
        expected_factor=3,
    )
    return _change(altered(prod(), "fleet", events=(launch,)), 3 * LOW, standing())


def qos_change() -> Prepared:
    classes = tuple(c.model_copy(update={"dscp": 46}) if c.id == "gold" else c for c in prod().qos.classes)
    return _change(altered(prod(), "qos", classes=classes), LOW, standing())


def new_chain() -> Prepared:
    return _change(prod(), LOW, decided(_without_chain(), LOW))


def chain_removed() -> Prepared:
    return _change(_without_chain(), LOW, standing())


def drift() -> Prepared:
    step = StepRow(
        change_class=ChangeClass.ADDITIVE,
        op="update",
        type="aws:ec2/securityGroup:SecurityGroup",
        name="corp-in",
        properties=("description",),
    )
    plan = standing()
    return Prepared(
        plan,
        context(plan, None, applied=plan.digest, drift=DriftView(state=EngineState.DONE, note="", steps=(step,))),
    )


def budget_exceeded() -> Prepared:
    return _change(altered(prod(), "limits", budget_usd_per_hour=standing().cost.after + 1000), HIGH, standing())


def policy_violation() -> Prepared:
    found = scale_out()
    rows = (
        PolicyRow(
            policy="no-world-open-ports",
            pack="guardrails",
            enforcement="mandatory",
            resource="corp-in-ssh",
            message="port 22 is open to 0.0.0.0/0",
        ),
        PolicyRow(policy="required-tags", pack="guardrails", enforcement="advisory", resource="x", message="unknown"),
    )
    return replace(found, context=replace(found.context, policies=Policies(packs=("guardrails",), rows=rows)))


def nothing() -> Prepared:
    plan = standing()
    return Prepared(plan, context(plan, None, applied=plan.digest))


PREPARED: dict[str, Callable[[], Prepared]] = {
    made.__name__: made
    for made in (
        scale_out,
        scale_in,
        shape_change,
        zone_evacuation,
        event,
        qos_change,
        new_chain,
        chain_removed,
        drift,
        budget_exceeded,
        policy_violation,
        nothing,
    )
}
