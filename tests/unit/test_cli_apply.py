"""preview, up and verify over an engine that answers as told: approval, order, capacity failures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecm.cli.exits import Code
from ecm.cli.retry import resource_name
from ecm.engine import Diagnostic, Outcome, Step, Toolchain
from ecm.model.observed import Health, InstanceState, Observed, ObservedConfig, ObservedNode, ObservedRoute
from ecm.model.plan import Plan
from tests.cli import NOW, Project, write_load


@dataclass
class World:
    """A stack that obeys: what is applied and what runs."""

    project: Project
    full: set[tuple[str, str]] = field(default_factory=set)
    """(shape, zone) without capacity."""
    broken: str = ""
    """An error of the engine that is not about capacity."""
    applied: str | None = None
    running: dict[tuple[str, int], Any] = field(default_factory=dict)
    ups: list[str] = field(default_factory=list)

    def plan(self) -> Plan:
        config = (self.project.root / "stacks/Pulumi.dev.yaml").read_text(encoding="utf-8")
        digest = config.partition("approvedPlan: ")[2].split()[0]
        path = self.project.root / f".ecm/store/dev/plans/{digest.removeprefix('sha256:')}.json"
        return Plan.model_validate_json(path.read_bytes())

    def exists(self) -> bool:
        return self.applied is not None or bool(self.ups)

    def outputs(self) -> dict[str, Any]:
        return {"planDigest": self.applied, "region": "us-east-1"} if self.applied else {}

    def select(self, *, create: bool = False) -> None:
        assert create

    def preview(self, *_: Any, **__: Any) -> Outcome:
        step = Step(
            urn="u", type="aws:ec2/instance:Instance", name="lab-in-us-east-1a-0-g1", op="create", state="planned"
        )
        return Outcome(command="preview", exit_code=0, result="succeeded", steps=(step,), counts=(("create", 1),))

    def up(self, *_: Any, **__: Any) -> Outcome:
        plan = self.plan()
        self.ups.append(plan.digest)
        wanted = {(s.id, n.generation): (s, n) for t in plan.desired.tiers for s in t.slots for n in s.nodes}
        said = []
        for key, (slot, node) in wanted.items():
            if key not in self.running and (node.shape, slot.zone) in self.full:
                message = f"InsufficientInstanceCapacity: no {node.shape} in {slot.zone}"
                said.append(Diagnostic(severity="error", message=message, urn=f"urn::{resource_name(slot, node)}"))
            else:
                self.running[key] = (slot, node)
        if self.broken:
            said = [Diagnostic(severity="error", message=self.broken, urn="urn::lab")]
        if said:
            return Outcome(command="up", exit_code=255, result="failed", diagnostics=tuple(said))
        self.running = {k: v for k, v in self.running.items() if k in wanted}
        self.applied = plan.digest
        return Outcome(command="up", exit_code=0, result="succeeded", counts=(("create", len(wanted)),))

    def observe(self, outputs: dict[str, Any], **about: Any) -> Observed:
        plan = self.plan()
        return Observed(
            stack="dev",
            taken_at=about["taken_at"],
            applied=outputs.get("planDigest"),
            unavailable=tuple(about["unavailable"]),
            nodes=tuple(
                ObservedNode(
                    slot=slot.id,
                    generation=node.generation,
                    instance_id=f"i-{slot.index}",
                    shape=node.shape,
                    zone=slot.zone,
                    state=InstanceState.RUNNING,
                    health=Health.HEALTHY,
                    private_ip=str(node.private_ip),
                    source_dest_check=False,
                    registered=True,
                )
                for slot, node in (self.running[key] for key in sorted(self.running))
            ),
            routes=(
                ObservedRoute(
                    name="internet", route_table="rtb-1", destination="0.0.0.0/0", target="igw-1", state="active"
                ),
            ),
            configs=tuple(ObservedConfig(key=c.key, digest=c.digest) for c in plan.configs),
        )


@pytest.fixture
def world(project: Project, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(project)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setattr("ecm.cli.edges.locate", lambda _: Toolchain(Path("pulumi"), None, "3.250.0"))
    monkeypatch.setattr("ecm.cli.edges.Stack", lambda *_: world)
    monkeypatch.setattr("ecm.aws.observe", world.observe)
    return world


def approve(project: Project) -> str:
    code, out, err = project.run("plan", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z", "--json")
    assert code in (Code.REVIEW, Code.CHANGES), err
    assert project.run("approve", "latest", "--why", "test")[0] == Code.DONE
    digest: str = json.loads(out)["digest"]
    return digest


def kinds(project: Project) -> list[str]:
    return [e["kind"] for e in project.json("status")["journal"]]


def up(project: Project) -> tuple[int, str, str]:
    return project.run("up", "--telemetry", str(project.load))


def test_up_applies_the_approved_plan_and_keeps_a_record(project: Project, world: World) -> None:
    digest = approve(project)
    code, out, _ = project.run("preview")
    assert (code, "create             lab-in-us-east-1a-0-g1" in out) == (Code.CHANGES, True)
    assert project.wrote_nothing()
    code, out, err = up(project)
    assert code == Code.DONE, err
    assert f"applied plan 1: {digest}" in out
    assert world.ups == [digest]
    assert kinds(project) == ["planned", "approved", "attempted", "applied"]
    status = project.json("status")
    assert (status["applied"], status["unfinished"]) == (digest, None)
    code, out, _ = project.run("plan", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    assert (code, "nothing to do" in out) == (Code.DONE, True)


def test_up_without_approval(project: Project, world: World) -> None:
    code, _, err = up(project)
    assert (code, "no plan is approved for stack dev" in err) == (Code.REVIEW, True)
    digest = json.loads(project.plan("--json")[1])["digest"]
    project.edit("stacks/Pulumi.dev.yaml", "config:\n", f"config:\n  endpoint-chain-manager:approvedPlan: {digest}\n")
    code, _, err = up(project)
    assert (code, "the journal has no approval of it" in err) == (Code.REVIEW, True)
    assert project.wrote_nothing()
    assert world.ups == []


def test_up_enforces_the_expiry_of_what_is_not_applied_yet(project: Project, world: World) -> None:
    digest = approve(project)
    project.clock.at = NOW + timedelta(hours=4)
    code, _, err = up(project)
    assert (code, "expired" in err) == (Code.STALE, True)
    assert project.wrote_nothing()
    assert world.ups == []
    project.clock.at = NOW
    assert up(project)[0] == Code.DONE
    project.clock.at = NOW + timedelta(days=3)
    assert up(project)[0] == Code.DONE, "what is applied may be applied again at any time"
    assert world.ups == [digest, digest]


def test_an_older_plan_never_undoes_a_newer_one(project: Project, world: World, tmp_path: Path) -> None:
    project.edit("policies/limits.yaml", "  dev:\n    budget_usd_per_hour: ", "  dev:\n    budget_usd_per_hour: 10")
    older = approve(project)
    assert up(project)[0] == Code.DONE
    project.load = write_load(tmp_path / "more.parquet", 600)
    newer = approve(project)
    assert newer != older
    assert up(project)[0] == Code.DONE
    code, _, err = project.run("approve", older)
    assert (code, "it would undo a newer plan" in err) == (Code.STALE, True)
    assert project.wrote_nothing()
    project.edit("stacks/Pulumi.dev.yaml", newer, older)
    for command in ("up", "preview"):
        code, _, err = project.run(command)
        assert (code, f"but {newer} is applied" in err) == (Code.STALE, True)
        assert project.wrote_nothing()
    assert world.ups == [older, newer]


def test_another_failure_is_told_and_recorded(project: Project, world: World) -> None:
    approve(project)
    world.broken = "error creating Route: RouteLimitExceeded"
    code, _, err = up(project)
    assert code == Code.ERROR
    assert "Pulumi could not apply plan 1" in err
    assert "RouteLimitExceeded" in err
    assert kinds(project)[-1] == "failed"
    assert project.json("status")["unfinished"] == world.ups[0]
    world.broken = ""
    assert up(project)[0] == Code.DONE


def test_no_capacity_leads_to_another_plan_within_the_approval(project: Project, world: World) -> None:
    approved = approve(project)
    node = world.plan().desired.tiers[0].slots[0]
    place = (node.nodes[0].shape, node.zone)
    world.full = {place}
    code, _, err = up(project)
    if code == Code.REVIEW:
        pytest.fail(err)
    assert code == Code.DONE, err
    assert f"EC2 has no {place[0]} in {place[1]}: marked for 60 min" in err
    assert world.ups[0] == approved
    assert len(world.ups) == 2
    plan = world.plan()
    assert world.applied == plan.digest == world.ups[1]
    assert plan.serial == 2
    assert plan.basis is None
    standing = {(n.shape, s.zone) for t in plan.desired.tiers for s in t.slots for n in s.nodes}
    assert place not in standing
    assert set(world.running) == {(s.id, n.generation) for t in plan.desired.tiers for s in t.slots for n in s.nodes}
    journal = project.json("status")["journal"]
    assert [e["kind"] for e in journal][2:] == [
        "attempted",
        "unavailable",
        "planned",
        "approved",
        "attempted",
        "applied",
    ]
    assert journal[-3]["why"] == f"within the approval of {approved}: no capacity"


def test_no_capacity_beyond_the_approval_asks_a_person(project: Project, world: World) -> None:
    project.edit(
        "policies/limits.yaml", "automatic_budget_step_usd_per_hour: ", "automatic_budget_step_usd_per_hour: 0 #"
    )
    approved = approve(project)
    node = world.plan().desired.tiers[0].slots[0]
    world.full = {(node.nodes[0].shape, node.zone)}
    code, _, err = up(project)
    assert code == Code.REVIEW
    assert "more than what was approved" in err
    assert "USD/h more than the approved plan" in err
    status = project.json("status")
    assert status["approved"] == approved
    assert status["unfinished"] == approved
    assert project.run("approve", "latest")[0] == Code.DONE
    assert up(project)[0] == Code.DONE
    assert project.run("verify")[0] == Code.DONE


def test_no_capacity_anywhere_ends(project: Project, world: World) -> None:
    approve(project)
    plan = world.plan()
    shapes = ("c6gn.medium", "c7gn.large", "c6gn.large", "t4g.small")
    world.full = {(shape, zone) for shape in shapes for zone in plan.desired.network.zones}
    code, _, err = up(project)
    assert code != Code.DONE
    assert "capacity" in err
    assert len(world.ups) <= 4


def test_verify(project: Project, world: World) -> None:
    code, _, err = project.run("verify")
    assert (code, "nothing is approved or applied" in err) == (Code.ERROR, True)
    approve(project)
    assert up(project)[0] == Code.DONE
    code, out, _ = project.run("verify")
    assert (code, "as planned" in out) == (Code.DONE, True)
    world.running.pop(next(iter(world.running)))
    report = project.json("verify")
    assert [f["kind"] for f in report["findings"]] == ["instance-missing"]
    code, out, _ = project.run("verify")
    assert code == Code.CHANGES
    assert "instance-missing" in out


def test_a_second_run_waits_for_the_first(project: Project, world: World) -> None:
    approve(project)
    lease = {"owner": "ana", "since": NOW.isoformat(), "until": (NOW + timedelta(minutes=60)).isoformat()}
    (project.root / ".ecm/store/dev/lock.json").write_text(json.dumps(lease), encoding="utf-8")
    code, _, err = up(project)
    assert (code, "held by ana" in err) == (Code.ERROR, True)
    assert world.ups == []
    project.clock.at = NOW + timedelta(minutes=61)
    assert up(project)[0] == Code.DONE
