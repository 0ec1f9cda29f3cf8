"""A staging-sized stack whose ingress tier gets another shape: the new generation stands before the old one goes."""

from __future__ import annotations

import pytest

from ecm.model.plan import ChangeKind, NodeState, TierPlan
from tests.e2e.inventory import INSTANCE, instances
from tests.e2e.project import NIGHT, Project, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
HEALTHY, DRAINED = "2031-03-05T06:05Z", "2031-03-05T06:15Z"
"""After the new generation's health check, and 10 min of `drain_min` later."""
OLD, NEW = "c6gn.medium", "c7gn.large"


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("staging")
    project.load({"intranet": 300, "updates": 300})
    return project


@pytest.fixture(scope="module")
def created(project) -> Turn:
    return project.turn(NIGHT, preview=False)


@pytest.fixture(scope="module")
def doubled(project, created) -> Turn:
    """The catalog's answer to a shape that is no longer wanted: the tier may only have another one."""
    project.edit("stacks/staging.fleet.yaml", tiers__0__shapes=[NEW])
    return project.turn(NIGHT)


@pytest.fixture(scope="module")
def draining(project, doubled) -> Turn:
    return project.turn(HEALTHY, preview=False)


@pytest.fixture(scope="module")
def replaced(project, draining) -> tuple[Turn, dict[str, str]]:
    turn = project.turn(DRAINED, preview=False)
    standing = {i["InstanceId"]: i["InstanceType"] for i in instances(project.aws) if i["State"]["Name"] == "running"}
    return turn, standing


def tier(turn: Turn, name: str) -> TierPlan:
    return next(t for t in turn.plan.desired.tiers if t.id == name)


def generations(turn: Turn) -> dict[str, list[tuple[int, str, NodeState]]]:
    """(generation, shape, state) of the ingress tier's slots."""
    return {s.id: [(n.generation, n.shape, n.state) for n in s.nodes] for s in tier(turn, "corp-in").slots}


def test_two_tiers_are_created(created: Turn) -> None:
    assert {t.id: len(t.slots) for t in created.plan.desired.tiers} == {"corp-in": 2, "corp-out": 2}
    assert {n[0][1] for n in generations(created).values()} == {OLD}
    assert len(created.after.nodes) == 4
    assert (created.verified, created.report.findings) == (0, ())


def test_new_generation_stands_beside_the_old_one(doubled: Turn, created: Turn) -> None:
    active = NodeState.ACTIVE
    assert set(generations(doubled)) == set(generations(created))
    assert all(g == [(1, OLD, active), (2, NEW, active)] for g in generations(doubled).values())
    assert created.after.kept_by(doubled.after), "nothing that stood may go or be replaced"
    new = set(doubled.after.nodes) - set(created.after.nodes)
    assert new == {f"{slot.replace('/', '-')}-g2" for slot in generations(doubled)}
    assert {name for kind, name in doubled.previewed("create") if kind == INSTANCE} == new
    assert {s["op"] for s in doubled.preview["changes"]} <= {"create", "update"}
    assert (doubled.verified, doubled.report.findings) == (0, ())


def test_old_generation_drains_once_the_new_one_is_healthy(draining: Turn, doubled: Turn) -> None:
    wanted = [(1, OLD, NodeState.DRAINING), (2, NEW, NodeState.ACTIVE)]
    assert all(g == wanted for g in generations(draining).values())
    assert {c.kind for c in draining.plan.changes} <= {ChangeKind.DRAIN_NODE, ChangeKind.CONFIGURE}
    assert draining.after.nodes == doubled.after.nodes
    assert draining.verified == 0


def test_old_generation_goes_when_it_has_drained(
    replaced: tuple[Turn, dict[str, str]], draining: Turn, created: Turn
) -> None:
    turn, standing = replaced
    assert all(g == [(2, NEW, NodeState.ACTIVE)] for g in generations(turn).values())
    gone = set(draining.after.nodes) - set(turn.after.nodes)
    assert gone == {name for name in created.after.nodes if name.startswith("corp-in-")}
    assert turn.after.urns < draining.after.urns
    assert turn.after.kept_by(draining.after)
    assert standing == {physical: NEW if "corp-in" in name else OLD for name, physical in turn.after.nodes.items()}
    assert (turn.verified, turn.report.findings) == (0, ())


def test_the_other_tier_keeps_its_nodes(replaced: tuple[Turn, dict[str, str]], created: Turn) -> None:
    theirs = {name: physical for name, physical in created.after.nodes.items() if name.startswith("corp-out-")}
    assert theirs
    assert {n: i for n, i in replaced[0].after.nodes.items() if n.startswith("corp-out-")} == theirs
