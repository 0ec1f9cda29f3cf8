"""Scheduled runs on the real engine and the embedded AWS: each outcome, and that nothing broken takes a node away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.inventory import Snapshot
from tests.e2e.project import Project, made_now, now

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Ran:
    """One run: exit code, result and what stood after it."""

    code: int
    data: Mapping[str, Any]
    said: str
    after: Snapshot


def ran(project: Project, *words: str) -> Ran:
    result = project.ecm("reconcile", "--json", *words)
    assert result.out, result.err
    return Ran(result.code, result.data, result.err, project.snapshot())


@pytest.fixture(scope="module")
def project(start: Start) -> Project:
    made = made_now(start("dev"))
    made.measured(now().isoformat())
    return made


@pytest.fixture(scope="module")
def first(project: Project) -> Ran:
    return ran(project)


@pytest.fixture(scope="module")
def applied(project: Project, first: Ran) -> Ran:
    project.made("approve", "latest", "--why", "first")
    return ran(project)


@pytest.fixture(scope="module")
def again(project: Project, applied: Ran) -> Ran:
    return ran(project)


@pytest.fixture(scope="module")
def broken(project: Project, again: Ran) -> dict[str, Ran]:
    """Runs while something outside is broken, which is mended after each."""
    found = {}
    load = project.folder / ".ecm/telemetry/dev.csv"
    kept = load.read_bytes()
    lines = kept.splitlines(keepends=True)
    zeroed = [lines[0]] + [b",".join([*line.split(b",")[:3], b"0"]) + b"\n" for line in lines[1:]]
    for name, content in {
        "no telemetry": None,
        "telemetry cut short": kept[: len(kept) // 2] + b"\n2031-",
        "telemetry frozen": b"".join(lines[: len(lines) * 2 // 3]),
        "telemetry zeroed": b"".join([*lines[: len(lines) - 40], *zeroed[len(lines) - 40 :]]),
    }.items():
        load.unlink() if content is None else load.write_bytes(content)
        found[name] = ran(project)
        load.write_bytes(kept)
    endpoint = project.env["AWS_ENDPOINT_URL"]
    project.env = {**project.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    found["AWS away"] = ran(project)
    project.env = {**project.env, "AWS_ENDPOINT_URL": endpoint}
    return found


@pytest.fixture(scope="module")
def drifted(project: Project, broken: dict[str, Ran]) -> Ran:
    """Somebody takes a rule away by hand."""
    assert project.aws is not None
    ec2 = project.aws.client("ec2")
    [(_, rule)] = [(urn, i) for urn, i in project.snapshot().ids.items() if urn.endswith("::lab-in/clients/51820")]
    rows = ec2.describe_security_group_rules()["SecurityGroupRules"]
    [group] = {row["GroupId"] for row in rows if row["SecurityGroupRuleId"] == rule}
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule])
    return ran(project)


@pytest.fixture(scope="module")
def grown(project: Project, drifted: Ran) -> Ran:
    """The load rises; the limits let a run add nodes by itself."""
    project.edit(
        "policies/limits.yaml",
        stacks__dev__approval={
            "additive_automatic": True,
            "automatic_budget_step_usd_per_hour": 100.0,
        },
    )
    project.level(900)
    project.measured(now().isoformat())
    return ran(project)


def test_a_plan_beyond_the_limits_is_left_for_a_person(first: Ran, project: Project) -> None:
    assert (first.code, first.data["outcome"]) == (11, "needs-review")
    assert "ecm approve" in first.data["reason"]
    assert first.after.urns == set()
    assert (project.folder / ".ecm/reports/dev.md").read_text().startswith("<!-- ecm-review: dev -->\n")
    assert "<title>Stack dev, plan " in (project.folder / ".ecm/reports/dev.html").read_text()


def test_what_a_person_approved_is_applied(applied: Ran) -> None:
    assert (applied.code, applied.data["outcome"]) == (0, "applied")
    assert applied.data["plan"] == applied.data["applied"]
    assert len(applied.after.nodes) == 2


def test_a_run_with_nothing_to_do_changes_nothing(applied: Ran, again: Ran) -> None:
    assert (again.code, again.data["outcome"]) == (0, "converged")
    assert again.after.ids == applied.after.ids


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [
        ("no telemetry", 13, "stale-inputs"),
        ("telemetry cut short", 13, "stale-inputs"),
        ("telemetry frozen", 13, "stale-inputs"),
        ("AWS away", 1, "failed"),
    ],
)
def test_what_is_broken_outside_changes_nothing(
    fault: str, code: int, outcome: str, broken: dict[str, Ran], again: Ran
) -> None:
    run = broken[fault]
    assert (run.code, run.data["outcome"]) == (code, outcome), run.data["reason"]
    assert run.after.ids == again.after.ids


def test_a_load_that_vanishes_takes_no_node_away(broken: dict[str, Ran], again: Ran) -> None:
    assert broken["telemetry zeroed"].after.nodes == again.after.nodes


def test_drift_is_mended(drifted: Ran, again: Ran) -> None:
    assert (drifted.code, drifted.data["outcome"]) == (0, "applied"), drifted.data["reason"]
    assert drifted.after.urns == again.after.urns
    assert drifted.after.nodes == again.after.nodes


def test_growth_within_the_limits_needs_nobody(grown: Ran, drifted: Ran, project: Project) -> None:
    assert (grown.code, grown.data["outcome"]) == (0, "applied"), grown.data["reason"]
    assert drifted.after.nodes.items() <= grown.after.nodes.items()
    assert len(grown.after.nodes) > len(drifted.after.nodes)
    [approval] = [e for e in project.store.journal() if e.kind.value == "approved" and e.plan == grown.data["plan"]]
    assert approval.who == "ecm reconcile"


def test_every_run_is_in_the_journal(grown: Ran, project: Project) -> None:
    told = [e.why.partition(":")[0] for e in project.store.journal() if e.kind.value == "reconciled"]
    assert told[:3] == ["needs-review", "applied", "converged"]
    assert told[-2:] == ["applied", "applied"]
    assert len(told) == 10


def test_two_runs_at_once_do_not_meet(grown: Ran, project: Project) -> None:
    with project.store.lock(owner="ana@elsewhere (process 7)", now=now(), minutes=5):
        run = ran(project)
    assert (run.code, run.data["outcome"]) == (1, "failed")
    assert "held by ana@elsewhere" in run.data["reason"]
    assert run.after.ids == grown.after.ids
