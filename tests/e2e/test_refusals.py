"""What the gate refuses: by plain Pulumi and by `ecm`, with nothing changed."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ecm.engine import Outcome
from ecm.model.plan import Plan
from tests.e2e.inventory import Snapshot
from tests.e2e.project import MORNING, NIGHT, Project, Result, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
APPROVED = "endpoint-chain-manager:approvedPlan"
LAST_YEAR = "2025-03-05T13:00Z"


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 800, "desktop": 500})
    return project


@pytest.fixture(scope="module")
def first(project) -> Turn:
    return project.turn(NIGHT)


@dataclass(frozen=True)
class Rivals:
    """Two plans made on the same basis; the newer one was applied."""

    older: Plan
    newer: Turn


@pytest.fixture(scope="module")
def rivals(project, first) -> Rivals:
    older, _ = project.plan("2031-03-05T12:00Z")
    return Rivals(older, project.turn(MORNING))


@dataclass(frozen=True)
class Tried:
    """What plain `pulumi preview` and `pulumi up` said of a digest in the configuration, and whether all stayed."""

    preview: Outcome
    up: Outcome
    before: Snapshot
    after: Snapshot


def tried(project: Project, digest: str) -> Tried:
    """Write `digest` into the configuration by hand, run plain Pulumi, and put the file back."""
    before, config = project.snapshot(), project.folder / "stacks" / f"Pulumi.{project.stack}.yaml"
    text = config.read_text()
    try:
        project.engine.set_config(APPROVED, digest)
        return Tried(project.engine.preview(), project.engine.up(), before, project.snapshot())
    finally:
        config.write_text(text)


def refused(seen: Tried, *words: str) -> None:
    """Assert that both commands failed with `words` in what they said, and that nothing changed."""
    for outcome in (seen.preview, seen.up):
        assert outcome.result == "failed"
        said = " ".join(" ".join(d.message for d in outcome.errors).split())
        assert not [word for word in words if word not in said], said
        assert "Traceback" not in outcome.output
    assert seen.after == seen.before
    assert seen.before.nodes


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
    refused(tried(project, older.digest), *names)
    said_no(project.ecm("approve", older.digest), 1, older.digest, rivals.newer.plan.digest, "would undo a newer plan")


def test_plan_edited_by_hand_is_refused(project: Project, rivals: Rivals) -> None:
    plan = rivals.newer.plan
    path = project.folder / ".ecm" / "store" / "dev" / "plans" / f"{plan.digest.removeprefix('sha256:')}.json"
    data = path.read_bytes()
    document = json.loads(data)
    document["desired"]["tiers"][0]["slots"][0]["nodes"][0]["shape"] = "c7gn.xlarge"
    try:
        path.chmod(0o644)
        path.write_text(json.dumps(document))
        refused(tried(project, plan.digest), "edited by hand", path.name)
        said_no(project.ecm("up"), 1, "edited by hand", path.name)
    finally:
        path.write_bytes(data)


def test_plan_of_another_stack_is_refused(project: Project, rivals: Rivals) -> None:
    other = rivals.newer.plan.model_copy(update={"stack": "staging", "basis": rivals.newer.plan.digest})
    plans = project.folder / ".ecm" / "store" / "dev" / "plans"
    from ecm.model.base import canonical  # noqa: PLC0415 - only here are a plan's bytes forged

    (plans / f"{other.digest.removeprefix('sha256:')}.json").write_bytes(canonical(other))
    refused(tried(project, other.digest), other.digest, "staging", "dev")
    said_no(project.ecm("approve", other.digest), 1, other.digest, "staging")


def test_plan_that_nobody_approved_is_refused(project: Project, rivals: Rivals) -> None:
    refused(tried(project, ""), "no plan is approved", "ecm approve")
    refused(tried(project, "sha256:" + "0" * 64), "not in the store")
    said_no(_up_with(project, ""), 11, "no plan is approved", "ecm approve")
    plan, code = project.plan("2031-03-06T02:00Z")
    assert code in {10, 11}
    said_no(_up_with(project, plan.digest), 11, plan.digest, "the journal has no approval of it")


def _up_with(project: Project, digest: str) -> Result:
    config = project.folder / "stacks" / f"Pulumi.{project.stack}.yaml"
    text = config.read_text()
    try:
        project.engine.set_config(APPROVED, digest)
        return project.ecm("up")
    finally:
        config.write_text(text)


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
    said_no(project.ecm("approve", plan.digest), 13, plan.digest, "expired at 2025-03-05T17:00:00+00:00", "ecm plan")


def test_configuration_that_was_not_reviewed_is_refused(project: Project, rivals: Rivals) -> None:
    templates = project.folder / "templates"
    theirs = templates.resolve()
    import shutil  # noqa: PLC0415 - only this test changes a template

    templates.unlink()
    shutil.copytree(theirs, templates)
    changed = sorted(p for p in templates.rglob("*.j2") if p.name == "ecm.nft.j2")[0]
    try:
        changed.write_text(changed.read_text() + "\n# a line that nobody reviewed\n")
        refused(tried(project, rivals.newer.plan.digest), "is not what was reviewed")
    finally:
        shutil.rmtree(templates)
        templates.symlink_to(theirs)


def test_the_applied_plan_may_be_applied_again(project: Project, rivals: Rivals) -> None:
    outcome = project.no_change()
    assert outcome.ok, outcome.output
    assert rivals.newer.verified == 0
