"""Killed runs: whatever moment a scheduled run dies at, the next ones converge, and nothing is orphaned or doubled.

The machine dies with the run: every process of the project is killed at once. `ECM_KILLS` sets how many moments are
tried (CI: a few; a full campaign: 50 and more).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Start
from tests.e2e.leftovers import unknown_to_the_state
from tests.e2e.project import Project, made_now, now

pytestmark = [pytest.mark.engine, pytest.mark.slow]
KILLS = int(os.environ.get("ECM_KILLS", "3"))
SEED = 8
HELD = {
    "CreateNetworkInterface": "NetworkInterface",
    "AllocateAddress": "Eip",
    "CreateTargetGroup": "TargetGroup",
    "CreateSecurityGroup": "SecurityGroup",
    "CreateRole": "Role",
    "CreateSubnet": "Subnet",
    "CreateRoute": "Route",
    "RunInstances": "Instance",
    "CreateLoadBalancer": "LoadBalancer",
    "CreateVpc": "Vpc",
    "AssociateRouteTable": "RouteTableAssociation",
    "CreateVpcEndpoint": "VpcEndpoint",
    "AuthorizeSecurityGroupIngress": "SecurityGroupIngressRule",
    "CreateInternetGateway": "InternetGateway",
    "AssociateAddress": "EipAssociation",
    "CreateInstanceProfile": "InstanceProfile",
    "CreateListener": "Listener",
    "CreateManagedPrefixList": "ManagedPrefixList",
    "CreateFlowLogs": "FlowLog",
    "PutMetricAlarm": "MetricAlarm",
}
"""Actions whose answer is held back, so that the run dies between the deed and the checkpoint; and what they make."""
HOLD_S, SURE_S = 6.0, 1.5


@dataclass(frozen=True)
class Death:
    """One killed run: what was under way in the engine's state, and what the runs after it said."""

    moment: str
    pending: tuple[str, ...]
    said: tuple[str, ...]
    extra: frozenset[tuple[str, str]]
    """What the account holds and the state does not."""


@pytest.fixture(scope="module")
def project(start: Start) -> Project:
    made = start("dev")
    # Checkpoints as on a real account: they are what tells the next run what was under way.
    made.env = {key: value for key, value in made.env.items() if key != "PULUMI_SKIP_CHECKPOINTS"}
    made_now(made).load({"web": 100, "desktop": 100}, end=(now() + timedelta(days=1)).isoformat())
    made.level(150)
    made.measured(now().isoformat())
    assert made.ecm("reconcile").code == 11
    made.made("approve", "latest", "--why", "kills")
    return made


def _kill_all(project: Project) -> None:
    """Kill every process of the project but its AWS, which is not on the machine that dies."""
    mark = f"PULUMI_HOME={project.env['PULUMI_HOME']}".encode()
    while True:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                own = mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if own and state != "Z":
                found.append(int(folder.name))
        if not found:
            return
        for number in found:
            os.kill(number, signal.SIGKILL)
        time.sleep(0.05)


def _die(project: Project, enough: Callable[[], bool]) -> None:
    """Begin a run as a scheduler does and kill it with all that it has started as soon as `enough`."""
    argv = [sys.executable, "-m", "ecm.cli", "--stack", project.stack, "reconcile"]
    process = subprocess.Popen(
        argv, cwd=project.folder, env=dict(project.env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 90
    while process.poll() is None and not enough() and time.monotonic() < end:
        time.sleep(0.02)
    _kill_all(project)
    process.wait()


def _pending(project: Project) -> tuple[str, ...]:
    """Types of the creations that are under way by the engine's own state file, which is replaced as a whole."""
    folder = Path(project.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    found = list(folder.glob(".pulumi/stacks/*/*.json"))
    if not found:
        return ()
    latest = json.loads(found[0].read_text() or "{}").get("checkpoint", {}).get("latest") or {}
    pending = (o for o in latest.get("pending_operations") or () if o["type"] == "creating")
    return tuple(o["resource"]["type"].rpartition(":")[2] for o in pending)


def _seen_for(project: Project, kind: str, seconds: float) -> Callable[[], bool]:
    """Whether a creation of `kind` has been under way for so long that AWS has done it and holds the answer back."""
    since: float | None = None

    def enough() -> bool:
        nonlocal since
        if kind not in _pending(project):
            since = None
            return False
        since = since or time.monotonic()
        return time.monotonic() - since > seconds

    return enough


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _converge(project: Project) -> tuple[str, ...]:
    said = []
    for _ in range(4):
        result = project.ecm("reconcile", "--json")
        said.append(f"{result.data['outcome']}: {result.data['reason']}" if result.out else result.err)
        if result.out and result.data["outcome"] == "converged":
            break
    return tuple(said)


@pytest.fixture(scope="module")
def deaths(project: Project) -> list[Death]:
    """Every other death lies between a resource's creation and its checkpoint, the others at random moments."""
    chance = np.random.default_rng(SEED)
    assert project.aws is not None
    blank = unknown_to_the_state(project)
    found = []
    for number in range(KILLS):
        if project.snapshot().urns:
            project.engine.destroy()
        project.measured(now().isoformat())  # a long campaign outlasts what telemetry may be old
        if number % 2 == 0:
            action = list(HELD)[number // 2 % len(HELD)]
            project.aws.faults({"hold_ms": {action: int(1000 * HOLD_S)}})
            moment, enough = f"after {action}", _seen_for(project, HELD[action], SURE_S)
        else:
            wait = float(chance.uniform(3.0, 25.0))
            moment, enough = f"after {wait:.1f} s", _after(wait)
        _die(project, enough)
        pending = _pending(project)
        project.aws.faults({})
        found.append(Death(moment, pending, _converge(project), unknown_to_the_state(project) - blank))
    return found


def test_the_runs_after_a_death_converge(deaths: list[Death]) -> None:
    assert {death.moment: death.said[-1].partition(":")[0] for death in deaths} == {
        death.moment: "converged" for death in deaths
    }, deaths


def test_nothing_is_orphaned_or_doubled(deaths: list[Death], record_property: Callable[[str, object], None]) -> None:
    survived = [["killed", death.said[-1].startswith("converged") and not death.extra] for death in deaths]
    record_property("faults", survived)
    assert {death.moment: sorted(death.extra) for death in deaths if death.extra} == {}, deaths


def test_deaths_between_a_deed_and_its_checkpoint_are_among_them(deaths: list[Death], record_property: object) -> None:
    held = [death for death in deaths if death.moment.partition(" ")[2] in HELD]
    assert held
    assert [d.moment for d in held if HELD[d.moment.partition(" ")[2]] not in d.pending] == []
    record_property("states", f"{len(deaths)} runs killed, {len(held)} of them between a deed and its checkpoint")  # type: ignore[operator]


def test_no_journal_entry_is_lost(deaths: list[Death], project: Project) -> None:
    """Each entry is bound to the one before: one that is lost would break the chain, and reading would refuse it."""
    kinds = [entry.kind.value for entry in project.store.journal()]
    assert kinds.count("attempted") >= len(deaths)
    assert kinds[-1] == "reconciled"


def test_what_stands_at_the_end_is_the_plan(deaths: list[Death], project: Project) -> None:
    assert project.ecm("verify").code == 0
