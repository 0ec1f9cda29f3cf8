"""EC2 has no capacity: `ecm up` goes on with the next alternative, and no tier is left in part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from ecm.model.plan import Plan
from tests.e2e.inventory import Snapshot, instances
from tests.e2e.project import Project, Result, made_now, now

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ZONE, OTHER, THIRD = "us-east-1a", "us-east-1b", "us-east-1c"
SHAPE, NEXT = "c6gn.medium", "c7gn.large"


@dataclass(frozen=True)
class Shortage:
    """An `ecm up` that EC2 has no capacity for."""

    approved: Plan
    up: Result
    applied: Plan | None
    verify: Result
    status: dict[str, Any]
    after: Snapshot
    running: dict[str, tuple[str, str]]
    """(shape, zone) by instance id."""


def a_project(start, **fleet: Any) -> Project:
    """`ecm up` plans again as of now."""
    project = start("dev")
    project.edit("stacks/dev.fleet.yaml", **fleet)
    return made_now(project)


@pytest.fixture(scope="module")
def project(start) -> Project:
    return a_project(start)


def short(project: Project, *places: tuple[str, str]) -> Shortage:
    """Plan and approve while all is well, take the capacity of (shape, zone) away, apply.

    EC2 takes its time to say no, so that every launch is under way when the first is refused: which places a run learns
    of must not hang on the order.
    """
    at = now().isoformat()
    plan, _ = project.plan(at)
    project.made("approve", plan.digest)
    missing = [{"shape": shape, "zone": zone} for shape, zone in places]
    project.aws.faults({"no_capacity": missing, "delay_ms": {"RunInstances": 3000}})
    return apply(project, plan)


def apply(project: Project, plan: Plan) -> Shortage:
    """Run `ecm up` and look at what came of it."""
    up = project.ecm("up", "--json")
    verify = project.ecm("verify", "--json")
    applied = project.store.plan(up.data["applied"]) if up.out else None
    running = {
        i["InstanceId"]: (i["InstanceType"], i["Placement"]["AvailabilityZone"])
        for i in instances(project.aws)
        if i["State"]["Name"] == "running"
    }
    return Shortage(plan, up, applied, verify, project.made("status", "--json").data, project.snapshot(), running)


@pytest.fixture(scope="module")
def shape_short(project) -> Shortage:
    return short(project, (SHAPE, ZONE))


@pytest.fixture(scope="module")
def zone_short(start) -> Shortage:
    """A stack of three zones, one of them without capacity for any shape."""
    return short(a_project(start, zones=[ZONE, OTHER, THIRD]), ("*", ZONE))


@pytest.fixture(scope="module")
def spare_short(start) -> Shortage:
    """A stack of two zones, one of them without capacity for any shape: no zone is left to be the spare.

    The guardrails have to allow a tier in one zone.
    """
    project = a_project(start)
    project.edit("policies/limits.yaml", stacks__dev__guardrails__min_zones_per_tier=1)
    return short(project, ("*", ZONE))


@pytest.fixture(scope="module")
def nothing_left(project, shape_short) -> tuple[Shortage, Shortage]:
    """The load rises while EC2 has nothing at all; then it has, and the same `ecm up` runs again."""
    project.level(1300)
    failed = short(project, ("*", "*"))
    project.aws.faults()
    return failed, apply(project, failed.approved)


def places(plan: Plan) -> Counter[tuple[str, str]]:
    return Counter((n.shape, s.zone) for t in plan.desired.tiers for s in t.slots for n in s.nodes)


def test_goes_on_with_the_next_alternative(shape_short: Shortage) -> None:
    run = shape_short
    assert places(run.approved) == {(SHAPE, ZONE): 1, (SHAPE, OTHER): 1}
    assert run.up.code == 0, run.up.err
    assert f"no {SHAPE} in {ZONE}" in run.up.err
    assert run.applied is not None
    assert run.applied.digest != run.approved.digest
    ranked = run.approved.desired.tiers[0].slots[0].alternatives
    assert (NEXT, ZONE) in {(a.shape, a.zone) for a in ranked}
    # Two nodes in the other zone would be cheaper, and lost with it.
    assert places(run.applied) == {(NEXT, ZONE): 1, (SHAPE, OTHER): 1}
    assert all(tier.zone_loss_survived for tier in run.applied.tiers)


def test_no_tier_is_left_in_part(shape_short: Shortage) -> None:
    whole(shape_short)


def whole(run: Shortage) -> None:
    """Assert that what runs is the applied plan, all of it and nothing else."""
    assert run.applied is not None
    assert Counter(run.running.values()) == places(run.applied)
    assert set(run.running) == set(run.after.nodes.values())
    assert run.verify.code == 0, run.verify.out
    assert run.verify.data["findings"] == []


def test_the_mark_and_the_approval_are_on_record(shape_short: Shortage) -> None:
    run = shape_short
    assert run.applied is not None
    assert [(m["shape"], m["zone"]) for m in run.status["unavailable"]] == [(SHAPE, ZONE)]
    assert run.status["applied"] == run.status["approved"] == run.applied.digest
    assert run.status["unfinished"] is None
    kinds = [e["kind"] for e in run.status["journal"]]
    assert kinds == [
        "planned", "approved", "attempted", "unavailable", "planned", "approved", "attempted", "applied",
    ]  # fmt: skip
    assert f"within the approval of {run.approved.digest}" in run.status["journal"][5]["why"]


def test_zone_without_capacity_leads_to_the_next_one(zone_short: Shortage) -> None:
    run = zone_short
    assert ZONE in {zone for _, zone in places(run.approved)}
    assert run.up.code == 0, run.up.err
    assert run.applied is not None
    assert places(run.applied) == {(SHAPE, OTHER): 1, (SHAPE, THIRD): 1}
    assert all(tier.zone_loss_survived for tier in run.applied.tiers)
    whole(run)


def test_without_a_spare_zone_the_tier_stands_in_the_other_and_says_so(spare_short: Shortage) -> None:
    run = spare_short
    assert run.up.code == 0, run.up.err
    assert run.applied is not None
    assert places(run.applied) == {(SHAPE, OTHER): 2}
    assert not any(tier.zone_loss_survived for tier in run.applied.tiers)
    assert any("does not survive the loss of a zone" in reason for reason in run.applied.verdict.reasons)
    whole(run)


def test_without_any_capacity_the_rest_stays_and_up_ends_it_later(
    nothing_left: tuple[Shortage, Shortage], shape_short: Shortage
) -> None:
    failed, ended = nothing_left
    assert failed.up.code == 1, failed.up.err
    assert "EC2 has no capacity" in failed.up.err
    assert "When EC2 has capacity again, end it with: ecm up" in failed.up.err
    assert set(shape_short.running) == set(failed.running), "what ran runs on, and nothing half-made beside it"
    assert failed.verify.code == 10
    assert ended.up.code == 0, ended.up.err
    assert ended.applied == failed.approved
    whole(ended)
