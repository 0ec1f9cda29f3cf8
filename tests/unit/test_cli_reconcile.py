"""Parts of a scheduled run: who holds a lock, what a killed run is, metrics, and the commands that read the journal."""

from __future__ import annotations

import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from ecm.cli.exits import OF_RUN, Code
from ecm.cli.owners import owner_is_dead
from ecm.cli.reconciling import Ended
from ecm.cli.recovering import was_killed
from ecm.cli.runmetrics import run_metrics
from ecm.engine import LockHolder, lock_holders
from ecm.model.run import Phase, Run, RunOutcome
from ecm.store import EntryKind, Store, StoreError, open_store
from tests.cli import NOW, STACK, Project
from tests.reviews import LOW, decided, prod

HOST = socket.gethostname()


def dead_process() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def test_only_a_process_of_this_machine_is_seen_to_be_dead() -> None:
    dead = dead_process()
    assert owner_is_dead(f"ana@{HOST} (process {dead})")
    assert not owner_is_dead(f"ana@{HOST} (process {os.getpid()})")
    assert not owner_is_dead(f"ana@elsewhere (process {dead})")
    assert not owner_is_dead("whoever")


def test_a_lock_is_taken_from_a_dead_owner_only(tmp_path) -> None:
    store = open_store(".ecm/store", stack=STACK, root=tmp_path)
    held = store.lock(owner="dead", now=NOW, minutes=60)
    held.__enter__()
    with pytest.raises(StoreError, match="held by dead"), store.lock(owner="bo", now=NOW, minutes=1):
        pass
    with store.lock(owner="bo", now=NOW, minutes=1, is_dead="dead".__eq__) as lease:
        assert lease.owner == "bo"


def test_who_holds_pulumis_lock() -> None:
    said = (
        "error: could not import deployment: the stack is currently locked by 2 lock(s). Either wait ...\n"
        "  file:///s/.pulumi/locks/p/dev/a.json?no_tmp_dir=true: created by root@vm (pid 99) at 2026-11-26T13:00Z\n"
        "  file:///s/.pulumi/locks/p/dev/b.json: created by ana@ci-7.example (pid 3) at 2026-11-26T13:00Z\n"
    )
    assert lock_holders(said) == (LockHolder("root", "vm", 99), LockHolder("ana", "ci-7.example", 3))
    assert lock_holders("error: no such stack") == ()


def test_a_run_was_killed_when_its_end_is_not_told(tmp_path) -> None:
    store = open_store(".ecm/store", stack=STACK, root=tmp_path)

    def after(*kinds: EntryKind) -> bool:
        for kind in kinds:
            store.record(kind, at=NOW, plan=None, who="t")
        return was_killed(store.journal())

    assert not after()
    assert not after(EntryKind.PLANNED, EntryKind.APPROVED)
    assert after(EntryKind.ATTEMPTED)
    assert after(EntryKind.RECONCILED, EntryKind.PLANNED)  # a later run that did not get as far
    assert not after(EntryKind.FAILED)
    assert not after(EntryKind.ATTEMPTED, EntryKind.APPLIED)


def test_every_outcome_has_its_exit_code() -> None:
    assert set(OF_RUN) == set(RunOutcome)
    assert {o for o, code in OF_RUN.items() if code is Code.DONE} == {RunOutcome.CONVERGED, RunOutcome.APPLIED}


def test_a_reason_of_any_length_is_one_line_that_a_run_can_hold() -> None:
    ended = Ended(RunOutcome.REFUSED, "the guardrails are broken:\n" + "    no-ssh: port 22\n" * 100)
    run = Run(stack=STACK, started_at=NOW, outcome=ended.outcome, reason=ended.reason)
    assert run.reason.startswith("the guardrails are broken: no-ssh: port 22 no-ssh")


def test_metrics_of_a_run() -> None:
    plan = decided(prod(), LOW)
    run = Run(
        stack=plan.stack,
        started_at=datetime(2026, 11, 18, 12, tzinfo=UTC),
        outcome=RunOutcome.APPLIED,
        reason="plan 1",
        phases=(
            Phase(name="up", milliseconds=1500),
            Phase(name="plan", milliseconds=20),
            Phase(name="up", milliseconds=500),
        ),
    )
    lines = run_metrics(run, plan).splitlines()
    stack = f'stack="{plan.stack}"'
    assert f"ecm_reconcile_last_run_timestamp_seconds{{{stack}}} 1795003200" in lines
    assert [line for line in lines if line.startswith("ecm_reconcile_outcome") and line.endswith(" 1")] == [
        f'ecm_reconcile_outcome{{{stack},outcome="applied"}} 1'
    ]
    assert f'ecm_reconcile_phase_seconds{{{stack},phase="up"}} 2' in lines
    assert f"ecm_plan_serial{{{stack}}} {plan.serial}" in lines
    for tier in plan.tiers:
        assert f'ecm_tier_capacity_mbps{{{stack},tier="{tier.tier}"}} {tier.capacity_mbps}' in lines
    assert "ecm_plan_serial" not in run_metrics(run, None)


# the journal's readers


def applied(store: Store, digest: str, at: datetime) -> None:
    store.record(EntryKind.APPLIED, at=at, plan=digest, who="t")


def test_history_is_the_journal(project: Project) -> None:
    project.plan()
    project.run("approve", "--offline", "--why", "because")
    code, out, _ = project.run("history")
    assert code == 0
    assert [word in out for word in ("planned", "approved", "because")] == [True] * 3
    everything = project.json("history")
    assert [entry["kind"] for entry in everything] == ["planned", "approved"]
    assert project.json("history", "--last", "1") == everything[1:]
    assert project.json("history", "--plan", "latest") == everything
    assert project.run("history", "--plan", "abcdef")[0] == 1


def test_explain_at_a_time_goes_by_what_was_applied_then(project: Project) -> None:
    project.plan()
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    digest = store.find_plan("latest")
    applied(store, digest, NOW)
    later = (NOW + timedelta(hours=1)).isoformat()
    assert project.json("explain", "lab-in", "--at", later) == project.json("explain", "lab-in", "--plan", digest)
    code, _, err = project.run("explain", "lab-in", "--at", (NOW - timedelta(hours=1)).isoformat())
    assert (code, "nothing was applied at" in err) == (1, True)
    code, _, err = project.run("explain", "lab-in", "--at", "yesterday")
    assert (code, "--at 'yesterday'" in err) == (64, True)


def nodes(plan) -> dict[str, int]:
    return {tier["id"]: len(tier["slots"]) for tier in plan["desired"]["tiers"]}


def test_rollback_plans_the_nodes_of_an_earlier_plan(project: Project) -> None:
    project.edit("policies/limits.yaml", "min_healthy_nodes: 1", "min_healthy_nodes: 6")
    more = project.json("plan", "--offline", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    applied(store, more["digest"], NOW)
    project.edit("policies/limits.yaml", "min_healthy_nodes: 6", "min_healthy_nodes: 1")
    fewer = project.json("plan", "--offline", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    applied(store, fewer["digest"], NOW)
    back = project.json("rollback", "previous", "--offline", "--telemetry", str(project.load))
    active = [
        node["state"] for tier in back["plan"]["desired"]["tiers"] for slot in tier["slots"] for node in slot["nodes"]
    ]
    assert active == ["active"] * 6
    assert back["plan"]["basis"] == fewer["digest"]
    assert back["plan"]["serial"] == fewer["plan"]["serial"] + 1
    assert (
        project.json("rollback", more["digest"], "--offline", "--telemetry", str(project.load))["plan"] == back["plan"]
    )


def test_rollback_never_takes_a_chain_that_is_no_longer_good_enough(project: Project) -> None:
    """The earlier plan let an application pass a chain that its profile now forbids: security is hard."""
    given = ("--offline", "--telemetry", str(project.load))
    first = project.json("plan", *given, "--as-of", "2026-11-18T12:00Z")
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    applied(store, first["digest"], NOW)
    project.edit(
        "policies/qos.yaml",
        "    security_level: 1\n    max_outage_s: 300",
        "    security_level: 4\n    max_outage_s: 300",
    )
    code, _, err = project.run("rollback", first["digest"], *given)
    assert (code, "security_level" in err) == (1, True)


def test_rollback_needs_a_plan_to_return_to(project: Project) -> None:
    code, _, err = project.run("rollback", "previous", "--offline", "--telemetry", str(project.load))
    assert (code, "no plan was applied" in err) == (1, True)
