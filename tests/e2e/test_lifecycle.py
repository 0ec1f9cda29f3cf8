"""A stack from nothing to nothing: create, no change, a rise, a scale-in in two runs, destroy."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ecm.engine import Outcome
from ecm.model.plan import ChangeKind, NodeState, Plan
from tests.e2e.inventory import INSTANCE, account
from tests.e2e.project import EVENING, MORNING, NIGHT, Project, Result, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
DRAINED = "2031-03-06T02:10Z"
"""EVENING and the 10 min of `drain_min`."""


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 800, "desktop": 500})
    return project


@pytest.fixture(scope="module")
def empty(project) -> set[tuple[str, str]]:
    return account(project.aws)


@pytest.fixture(scope="module")
def created(project, empty) -> Turn:
    return project.turn(NIGHT)


@dataclass(frozen=True)
class Again:
    preview: Outcome
    up: Result
    plan: Result
    stands: bool


@pytest.fixture(scope="module")
def again(project, created) -> Again:
    """The same approved plan once more, by plain Pulumi and by `ecm`, and a plan on the result."""
    preview = project.no_change()
    up = project.ecm_process("up", "--json")
    plan = project.ecm("plan", "--json", "--as-of", NIGHT)
    return Again(preview, up, plan, stands=project.snapshot() == created.after)


@pytest.fixture(scope="module")
def risen(project, again) -> Turn:
    return project.turn(MORNING)


@pytest.fixture(scope="module")
def draining(project, risen) -> Turn:
    return project.turn(EVENING, preview=False)


@pytest.fixture(scope="module")
def scaled_in(project, draining) -> Turn:
    return project.turn(DRAINED)


@dataclass(frozen=True)
class Destroyed:
    outcome: Outcome
    held: set[tuple[str, str]]
    left: set[tuple[str, str]]
    resources: set[str]


@pytest.fixture(scope="module")
def destroyed(project, scaled_in) -> Destroyed:
    held = account(project.aws)
    outcome = project.engine.destroy()
    return Destroyed(outcome, held, account(project.aws), project.snapshot().urns)


def slots(plan: Plan, state: NodeState | None = None) -> set[str]:
    """The node resource names of a plan, of those in `state` where given."""
    return {
        f"{slot.id.replace('/', '-')}-g{node.generation}"
        for tier in plan.desired.tiers
        for slot in tier.slots
        for node in slot.nodes
        if state is None or node.state is state
    }


def test_creates_from_nothing(created: Turn) -> None:
    assert created.before.urns == set()
    assert created.planned == 11, "creating a stack from nothing needs a person"
    assert set(created.after.nodes) == slots(created.plan)
    assert {s["op"] for s in created.preview["changes"]} == {"create"}
    assert created.counts == created.preview["counts"]
    assert (created.verified, created.report.findings) == (0, ())


def test_second_up_changes_nothing(again: Again, created: Turn) -> None:
    assert again.preview.ok, again.preview.output
    assert again.preview.changes == ()
    assert again.up.code == 0, again.up.err
    assert set(again.up.data["counts"]) == {"same"}
    assert again.stands


def test_planning_on_its_own_result_proposes_nothing(again: Again) -> None:
    assert again.plan.code == 0
    assert again.plan.data["nothing_to_do"] is True
    assert again.plan.data["digest"] is None


def test_rise_adds_exactly_the_planned_slots(risen: Turn) -> None:
    new = slots(risen.plan) - set(risen.before.nodes)
    assert new, "the morning must need more nodes than the night"
    added = [c for c in risen.plan.changes if c.additive and c.kind is not ChangeKind.CONFIGURE]
    assert {c.subject.removeprefix("slot ").replace("/", "-") + "-g1" for c in added} == new
    # The tier's other nodes hear of their new siblings.
    told = {c.subject for c in risen.plan.changes if c.additive and c.kind is ChangeKind.CONFIGURE}
    assert len(told) == len(risen.before.nodes)
    assert all(subject.startswith("object nodes/") for subject in told)
    assert set(risen.after.nodes) == slots(risen.plan)
    assert {name for kind, name in risen.previewed("create") if kind == INSTANCE} == new
    assert (risen.verified, risen.report.findings) == (0, ())


def test_rise_replaces_nothing(risen: Turn) -> None:
    assert {s["op"] for s in risen.preview["changes"]} <= {"create", "update"}
    assert set(risen.counts) <= {"create", "update", "same"}
    assert risen.before.kept_by(risen.after)
    assert not {name for kind, name in risen.previewed("update") if kind == INSTANCE}


def test_scale_in_drains_first(draining: Turn, risen: Turn) -> None:
    leaving = slots(draining.plan, NodeState.DRAINING)
    assert leaving, "the evening must need fewer nodes than the morning"
    assert leaving < slots(risen.plan)
    assert {c.kind for c in draining.plan.changes} <= {ChangeKind.DRAIN_NODE, ChangeKind.CONFIGURE}
    assert draining.after.nodes == risen.after.nodes
    assert draining.verified == 0


def test_scale_in_removes_only_the_planned_slots(scaled_in: Turn, draining: Turn) -> None:
    leaving = slots(draining.plan, NodeState.DRAINING)
    assert set(scaled_in.before.nodes) - set(scaled_in.after.nodes) == leaving
    assert {name for kind, name in scaled_in.previewed("delete") if kind == INSTANCE} == leaving
    gone = scaled_in.before.urns - scaled_in.after.urns
    assert all(any(_belongs(urn, name) for name in leaving) for urn in gone), gone
    assert scaled_in.after.urns < scaled_in.before.urns, "no neighbour's URN moved: none is new"
    assert scaled_in.after.kept_by(scaled_in.before)
    assert {op for op, count in scaled_in.counts.items() if count} <= {"delete", "update", "same"}
    assert (scaled_in.verified, scaled_in.report.findings) == (0, ())


def _belongs(urn: str, node: str) -> bool:
    """Whether the resource is the node's own: by its name, or by its configuration object's key."""
    name = urn.rpartition("::")[2]
    return name.split("/")[0] == node or name.replace("/", "-").startswith(f"nodes-{node}-")


def test_destroy_leaves_nothing_behind(destroyed: Destroyed, empty: set[tuple[str, str]]) -> None:
    assert destroyed.outcome.ok, destroyed.outcome.output
    assert len(destroyed.held - empty) > 40, "the account's inventory must have seen the stack"
    assert destroyed.left == empty
    assert destroyed.resources == set()
