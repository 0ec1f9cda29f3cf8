"""`ecm review` on the real engine: a plan that nobody has approved is previewed, and nothing is written for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ecm.engine import Options
from ecm.model.plan import Plan
from ecm.model.review import Answer, EngineState, Review
from tests.e2e.inventory import INSTANCE
from tests.e2e.project import MORNING, NIGHT, Project, Result

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@dataclass(frozen=True)
class Reviewed:
    """A review, and whether it left every file and the state as they were."""

    plan: Plan
    review: Review
    wrote_nothing: bool
    said: str


def review(project: Project, plan: Plan, at: str) -> Reviewed:
    before = project.files(), project.snapshot()
    result: Result = project.ecm("review", plan.digest, "--json", "--as-of", at)
    assert result.code == 0, result.err
    return Reviewed(
        plan, Review.model_validate(result.data), before == (project.files(), project.snapshot()), result.err
    )


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 300, "desktop": 200})
    return project


@pytest.fixture(scope="module")
def creation(project) -> Reviewed:
    plan, _ = project.plan(NIGHT)
    return review(project, plan, NIGHT)


@pytest.fixture(scope="module")
def growth(project, creation) -> Reviewed:
    """The morning's plan on the stack of the night, one of whose security groups was changed by hand meanwhile."""
    project.turn(NIGHT, preview=False)
    group = project.aws.client("ec2").describe_security_groups()["SecurityGroups"]
    mine = next(g for g in group if g.get("Tags"))
    project.aws.client("ec2").create_tags(Resources=[mine["GroupId"]], Tags=[{"Key": "by-hand", "Value": "yes"}])
    project.load({"web": 3000, "desktop": 2000})
    plan, _ = project.plan(MORNING)
    return review(project, plan, MORNING)


def test_a_stack_that_does_not_exist_is_previewed_without_making_it(creation: Reviewed, project: Project) -> None:
    engine = creation.review.engine
    assert engine.state is EngineState.DONE, engine.note
    assert creation.review.verdict.answer is Answer.APPROVAL
    nodes = sum(t.nodes_after for t in creation.review.tiers)
    assert nodes
    assert sum(s.op == "create" and s.type == INSTANCE for s in engine.steps) == nodes
    assert creation.wrote_nothing


def test_the_engine_agrees_with_the_plan_before_anybody_approves(growth: Reviewed) -> None:
    engine = growth.review.engine
    assert engine.state is EngineState.DONE, engine.note
    added = sum(t.nodes_after - t.nodes_before for t in growth.review.tiers)
    assert added > 0
    assert sum(s.op == "create" and s.type == INSTANCE for s in engine.steps) == added
    assert not [s for s in engine.steps if "replace" in s.op or s.op == "delete"]
    assert growth.wrote_nothing


def test_what_was_changed_by_hand_is_drift_and_not_the_plans(growth: Reviewed) -> None:
    (step,) = growth.review.drift.steps
    assert step.type == "aws:ec2/securityGroup:SecurityGroup"
    assert step.op == "update"


def test_an_up_does_not_take_the_reviewed_plan_for_an_approved_one(growth: Reviewed, project: Project, tmp_path: Path):
    config = (project.folder / "stacks/Pulumi.dev.yaml").read_text(encoding="utf-8")
    held = tmp_path / "Pulumi.dev.yaml"
    held.write_text(config + f"  endpoint-chain-manager:reviewedPlan: {growth.plan.digest}\n", encoding="utf-8")
    before = project.snapshot()
    outcome = project.engine.up(Options(config_file=held))
    assert (outcome.count("create"), project.snapshot()) == (0, before)
