"""What the gate refuses: by plain Pulumi and by `ecm`, with nothing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from ecm.engine import Outcome
from ecm.model.base import canonical
from ecm.model.plan import Plan
from ecm.store import EntryKind
from tests.e2e.project import EVENING, MORNING, NIGHT, Project, Result, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
APPROVED = "endpoint-chain-manager:approvedPlan"
LAST_YEAR = "2025-03-05T13:00Z"


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 800, "desktop": 500})
    return project


@dataclass(frozen=True)
class Rivals:
    """Two approved plans made on the same basis; the newer one was applied."""

    older: Plan
    newer: Turn


@pytest.fixture(scope="module")
def rivals(project) -> Rivals:
    older, _ = project.plan(NIGHT)
    project.made("approve", older.digest)
    return Rivals(older, project.turn(MORNING, preview=False))


def refused(project: Project, digest: str, *words: str, commands: tuple[str, ...] = ("up",)) -> None:
    """Approve `digest` by hand; assert that plain Pulumi refuses it with `words` and changes nothing."""
    before = project.snapshot()
    assert before.nodes
    with configured(project, digest):
        for command in commands:
            outcome: Outcome = getattr(project.engine, command)()
            assert outcome.result == "failed"
            said = " ".join(" ".join(d.message for d in outcome.errors).split())
            assert not [word for word in words if word not in said], said
            assert "Traceback" not in outcome.output
    assert project.snapshot() == before


@contextmanager
def configured(project: Project, digest: str) -> Iterator[None]:
    """Have `digest` as the approved plan for a block, as a hand that edits the file would."""
    config = project.folder / "stacks" / f"Pulumi.{project.stack}.yaml"
    text = config.read_text()
    document = yaml.safe_load(text)
    document["config"][APPROVED] = digest
    config.write_text(yaml.safe_dump(document))
    try:
        yield
    finally:
        config.write_text(text)


def said_no(result: Result, code: int, *words: str) -> None:
    """Assert that a command of `ecm` refused with `code` and `words`."""
    assert (result.code, result.out) == (code, ""), result
    said = " ".join(result.err.split())
    assert not [word for word in words if word not in said], said


def test_older_plan_is_refused_after_a_newer_one_was_applied(project: Project, rivals: Rivals) -> None:
    older = rivals.older
    assert older.verdict.passed
    assert older.basis == rivals.newer.plan.basis
    names = (older.digest, rivals.newer.plan.digest, "would undo it")
    refused(project, older.digest, *names, commands=("preview", "up"))
    said_no(project.ecm("approve", older.digest), 13, older.digest, rivals.newer.plan.digest, "would undo a newer plan")


def test_plan_edited_by_hand_is_refused(project: Project, rivals: Rivals) -> None:
    plan = rivals.newer.plan
    path = project.folder / ".ecm" / "store" / "dev" / "plans" / f"{plan.digest.removeprefix('sha256:')}.json"
    data = path.read_bytes()
    document = json.loads(data)
    document["desired"]["tiers"][0]["slots"][0]["nodes"][0]["shape"] = "c7gn.xlarge"
    try:
        path.chmod(0o644)
        path.write_text(json.dumps(document))
        refused(project, plan.digest, "edited by hand", path.name)
        said_no(project.ecm("up"), 1, "edited by hand", path.name)
    finally:
        path.write_bytes(data)


def test_plan_of_another_stack_is_refused(project: Project, rivals: Rivals) -> None:
    other = rivals.newer.plan.model_copy(update={"stack": "staging", "basis": rivals.newer.plan.digest})
    plans = project.folder / ".ecm" / "store" / "dev" / "plans"
    (plans / f"{other.digest.removeprefix('sha256:')}.json").write_bytes(canonical(other))
    refused(project, other.digest, other.digest, "staging", "dev")
    said_no(project.ecm("approve", other.digest), 1, other.digest, "staging")


def test_plan_judged_by_other_limits_is_refused(project: Project, rivals: Rivals) -> None:
    plan, _ = project.plan(EVENING)
    assert plan.basis == rivals.newer.plan.digest
    limits = project.folder / "policies" / "limits.yaml"
    text = limits.read_text()
    try:
        project.edit("policies/limits.yaml", stacks__dev__max_nodes_added=11)
        names = (plan.digest, "is stale", "policies/limits.yaml: sha256:", "docs/refusals.md#stale-content")
        refused(project, plan.digest, *names, commands=("preview", "up"))
        said_no(project.ecm("approve", plan.digest), 13, *names)
    finally:
        limits.write_text(text)


def test_plan_that_nobody_approved_is_refused(project: Project, rivals: Rivals) -> None:
    refused(project, "", "no plan is approved", "ecm approve")
    refused(project, "sha256:" + "0" * 64, "not in the store")
    plan, _ = project.plan(EVENING)
    assert plan.verdict.passed
    with configured(project, ""):
        said_no(project.ecm("up"), 11, "no plan is approved", "ecm approve")
    with configured(project, plan.digest):
        said_no(project.ecm("up"), 11, plan.digest, "the journal has no approval of it")


def test_expired_plan_is_refused(project: Project, rivals: Rivals) -> None:
    table, project.table = project.table, None
    try:
        project.edit("policies/catalog.yaml", as_of="2025-02-01")
        project.load({"web": 100, "desktop": 100}, end="2025-03-06T00:00Z")
        plan, _ = project.plan(LAST_YEAR)
    finally:
        project.table = table
        project.edit("policies/catalog.yaml", as_of="2031-02-01")
    assert plan.basis == rivals.newer.plan.digest
    words = (plan.digest, "expired at 2025-03-05T17:00:00+00:00", "ecm plan")
    said_no(project.ecm("approve", plan.digest), 13, *words)
    project.store.record(EntryKind.APPROVED, at=plan.as_of, plan=plan.digest, who="somebody in time")
    with configured(project, plan.digest):
        said_no(project.ecm("up"), 13, *words)


def test_configuration_that_was_not_reviewed_is_refused(project: Project, rivals: Rivals) -> None:
    templates = project.folder / "templates"
    theirs = templates.resolve()
    templates.unlink()
    shutil.copytree(theirs, templates)
    changed = templates / "node" / "nftables" / "ecm.nft.j2"
    try:
        changed.write_text(changed.read_text() + "\n# a line that nobody reviewed\n")
        refused(project, rivals.newer.plan.digest, "is not what was reviewed")
    finally:
        shutil.rmtree(templates)
        templates.symlink_to(theirs)
