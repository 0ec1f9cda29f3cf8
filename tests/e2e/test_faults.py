"""Faults, one after the other on one stack that serves.

During each a run ends with an outcome that may be, and after it runs converge to the plan; nothing is orphaned or
doubled, no node that is well goes, no journal entry is lost. Kills are in `test_kills`. How many faults were tried and
survived is printed at the end. `ECM_KILLS` above ten tries each share of failing calls with more seeds, and
faults that are much like others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Start
from tests.e2e.inventory import instances
from tests.e2e.leftovers import unknown_to_the_state
from tests.e2e.project import Project, made_now, now

pytestmark = [pytest.mark.engine, pytest.mark.slow]
LONG = int(os.environ.get("ECM_KILLS", "3")) > 10
SEEDS = range(1, 7 if LONG else 2)
ZONE = "us-east-1a"
MANY = 5
"""Runs after a fault of which one must find nothing left to do."""


@dataclass
class Scene:
    """A stack that serves, and what faults have done to it."""

    project: Project
    load: float = 150
    ahead: timedelta = timedelta()
    """Of the machine's clock, the time that runs are told: what must wait for minutes does so at once."""
    wrong: timedelta = timedelta()
    """By which that clock is wrong, too."""
    disks: bool = True
    """Store and state lie on small disks of their own."""
    ill: set[str] = field(default_factory=set)
    """Instances that a fault has killed or made unwell: they may go."""

    def need(self, mbps: float) -> None:
        """Let the load be `mbps`, until now."""
        self.load = mbps
        self.project.level(mbps)
        self.project.measured((now() + self.ahead).isoformat())

    def alive(self, zone: str = "") -> set[str]:
        """Return the instances that run, in `zone` where one is named."""
        assert self.project.aws is not None
        running = (i for i in instances(self.project.aws) if i["State"]["Name"] == "running")
        return {i["InstanceId"] for i in running if i["Placement"]["AvailabilityZone"].startswith(zone)}

    def terminate(self, ids: set[str]) -> None:
        """Terminate instances behind ECM's back."""
        assert self.project.aws is not None
        self.ill |= ids
        self.project.aws.client("ec2").terminate_instances(InstanceIds=sorted(ids))


@dataclass(frozen=True)
class Fault:
    """One fault: what is broken while a run is tried, and with which outcomes that run may end."""

    kind: str
    name: str
    breaking: Callable[[Scene], AbstractContextManager[None]]
    outcomes: frozenset[str]
    worked: bool | None = True
    """There was something to do: a run that has nothing to do proves little. None: another run may have done it."""
    long: bool = False
    """In the long campaign only: a fault much like it is in the short one."""


@dataclass(frozen=True)
class Trial:
    """What came of a fault."""

    fault: Fault
    during: tuple[str, ...]
    after: tuple[str, ...]
    orphans: frozenset[tuple[str, str]]
    lost: frozenset[str]
    """Instances that were well and are gone."""
    journal_kept: bool
    failed_calls: int
    """As the fault made them."""

    @property
    def survived(self) -> bool:
        ended = self.during[-1].partition(":")[0] in self.fault.outcomes and self.after[-1].startswith("converged")
        return ended and not (self.orphans or self.lost) and self.journal_kept


def run(scene: Scene) -> str:
    with clock(scene.ahead + scene.wrong):
        result = scene.project.ecm("reconcile", "--json")
    return f"{result.data['outcome']}: {result.data['reason']}" if result.out else f"no outcome: {result.err}"


# faults


@contextmanager
def _aws(scene: Scene, **document: object) -> Iterator[None]:
    assert scene.project.aws is not None
    scene.project.aws.faults(document)
    try:
        yield
    finally:
        scene.project.aws.faults({})


def flaky(how: str, seed: int, work: Callable[[Scene], None]) -> Callable[[Scene], AbstractContextManager[None]]:
    """Every fifth call of whoever calls AWS fails, while there is work to do."""

    def breaking(scene: Scene) -> AbstractContextManager[None]:
        work(scene)
        return _aws(scene, flaky={"permille": 200, "seed": seed, "how": how})

    return breaking


def grow(scene: Scene) -> None:
    scene.need(scene.load + 1500)


def lose_an_instance(scene: Scene) -> None:
    scene.terminate({min(scene.alive())})


def lose_a_rule(scene: Scene) -> None:
    """Somebody takes a firewall rule away by hand."""
    project = scene.project
    assert project.aws is not None
    ec2 = project.aws.client("ec2")
    [rule] = [i for urn, i in project.snapshot().ids.items() if urn.endswith("::lab-in/clients/51820")]
    rows = ec2.describe_security_group_rules()["SecurityGroupRules"]
    [group] = {row["GroupId"] for row in rows if row["SecurityGroupRuleId"] == rule}
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule])


def quota(name: str, most: int) -> Callable[[Scene], AbstractContextManager[None]]:
    def breaking(scene: Scene) -> AbstractContextManager[None]:
        lose_an_instance(scene)
        return _aws(scene, quotas={name: most})

    return breaking


@contextmanager
def never_healthy(scene: Scene) -> Iterator[None]:
    """What replaces a dead instance is never healthy either, however long one waits."""
    before = scene.alive()
    lose_an_instance(scene)
    with _aws(scene, unhealthy=[{"tags": {"ecm:slot": _slot(scene, next(iter(scene.ill & before)))}}]):
        run(scene)
        scene.ahead += timedelta(minutes=3)
        yield
        scene.ill |= scene.alive() - before


def _slot(scene: Scene, instance: str) -> str:
    assert scene.project.aws is not None
    tags = next(i["Tags"] for i in instances(scene.project.aws) if i["InstanceId"] == instance)
    return next(t["Value"] for t in tags if t["Key"] == "ecm:slot")


@contextmanager
def zone_gone(scene: Scene) -> Iterator[None]:
    """Every instance of a zone is gone, and EC2 has nothing there."""
    scene.terminate(scene.alive(ZONE))
    with _aws(scene, no_capacity=[{"shape": "*", "zone": ZONE}], delay_ms={"RunInstances": 1000}):
        yield


@contextmanager
def half_a_zone_gone(scene: Scene) -> Iterator[None]:
    """Half of a zone's instances are gone at once."""
    there = sorted(scene.alive(ZONE))
    assert len(there) > 1, "there is no half of one"
    scene.terminate(set(there[: len(there) // 2]))
    yield


@contextmanager
def launches_refused(scene: Scene) -> Iterator[None]:
    """No instance may be launched: the account has as many as it may."""
    lose_an_instance(scene)
    with _aws(scene, fail=[{"action": "RunInstances", "code": "InstanceLimitExceeded"}]):
        yield


@contextmanager
def full(scene: Scene, folder: Path) -> Iterator[None]:
    """The disk that `folder` lies on is full."""
    lose_a_rule(scene)
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 4096)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "probe").write_bytes(b"\0" * 65536)
    (folder / "probe").unlink()
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(scene: Scene, folder: Path) -> Iterator[None]:
    lose_a_rule(scene)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def store_folder(scene: Scene) -> Path:
    return scene.project.folder / ".ecm"


def state_folder(scene: Scene) -> Path:
    return Path(scene.project.env["PULUMI_BACKEND_URL"].removeprefix("file://"))


@contextmanager
def torn(scene: Scene, tail: bytes, *, cut: int = 0) -> Iterator[None]:
    """The journal ends in the middle of a line, or in garbage; what was cut off is not counted as an entry."""
    journal = store_folder(scene) / "store" / "dev" / "journal.jsonl"
    data = journal.read_bytes()
    last = data.splitlines(keepends=True)[-1]
    journal.write_bytes((data + last[:-cut] if cut else data) + tail)
    yield


@contextmanager
def cut_off(scene: Scene) -> Iterator[None]:
    """A run was killed while it wrote: the journal's last line is half there, the sidecar of Pulumi's state empty."""
    [sidecar] = state_folder(scene).glob(".pulumi/stacks/*/dev.json.attrs")
    sidecar.write_bytes(b"")
    with torn(scene, b"", cut=20):
        yield


@contextmanager
def measured(scene: Scene, change: Callable[[list[str]], list[str]]) -> Iterator[None]:
    """The rows of the telemetry are changed, the header is not."""
    path = scene.project.folder / ".ecm" / "telemetry" / "dev.csv"
    text = path.read_text()
    header, *rows = text.splitlines()
    path.write_text("\n".join([header, *change(rows)]) + "\n")
    try:
        yield
    finally:
        path.write_text(text)


def shuffled(rows: list[str]) -> list[str]:
    return [rows[i] for i in np.random.default_rng(5).permutation(len(rows))]


def zeroed(rows: list[str]) -> list[str]:
    return [*rows[:-40], *(",".join([*row.split(",")[:3], "0"]) for row in rows[-40:])]


@contextmanager
def clock(jump: timedelta) -> Iterator[None]:
    """Commands of this process are told a time that lies `jump` after the machine's."""

    class Moved:
        @staticmethod
        def now(zone: tzinfo) -> datetime:
            return datetime.now(zone) + jump  # noqa: TID251 - moved, it still runs at the right pace

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecm.cli.edges.datetime", Moved)
        yield


@contextmanager
def wrong_clock(scene: Scene, jump: timedelta) -> Iterator[None]:
    """The machine's clock is wrong by `jump`."""
    scene.wrong = jump
    try:
        yield
    finally:
        scene.wrong = timedelta()


@contextmanager
def second_run(scene: Scene) -> Iterator[None]:
    """Another run begins a moment before, with work to do."""
    lose_an_instance(scene)
    argv = [sys.executable, "-m", "ecm.cli", "--stack", "dev", "reconcile"]
    other = subprocess.Popen(argv, cwd=scene.project.folder, env=dict(scene.project.env), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)  # fmt: skip
    time.sleep(4)
    try:
        yield
    finally:
        other.wait(timeout=180)


WORKS = frozenset({"applied"})
STILL = frozenset({"converged"})
STOPS = frozenset({"failed"})
STALE = frozenset({"stale-inputs"})
SHORT = STOPS | {"refused", "needs-review"}
"""Also while marks of an earlier refusal still hold: then a person is asked before the launch is tried."""
ANY = frozenset({"applied", "failed", "needs-review", "converged"})
FAILING = {"throttled", "error 500", "timed out", "mixed", "launches refused"}
"""Kinds of faults that let calls fail."""
FAULTS = (
    # First: the other run is told the machine's own time.
    Fault("two runs", "two runs at once", second_run, STOPS | STILL | WORKS, worked=None),
    *(Fault("throttled", f"20 % of calls throttled, seed {s}", flaky("throttle", s, grow), ANY) for s in SEEDS),
    *(
        Fault("error 500", f"20 % of calls answer 500, seed {s}", flaky("error", s, lose_an_instance), ANY)
        for s in SEEDS
    ),
    *(Fault("timed out", f"20 % of calls get no answer, seed {s}", flaky("drop", s, lose_a_rule), ANY) for s in SEEDS),
    *(
        Fault("mixed", f"20 % of calls fail somehow, seed {s}", flaky("mixed", s, lose_an_instance), ANY, long=True)
        for s in SEEDS
    ),
    Fault("never healthy", "an instance that is never healthy", never_healthy, ANY),
    Fault("zone", "half of a zone's nodes gone", half_a_zone_gone, WORKS),
    Fault("zone", "half of the nodes gone with their zone", zone_gone, WORKS),
    Fault("disk", "the store's disk is full", lambda s: full(s, store_folder(s)), STOPS),
    Fault("disk", "the store cannot be written", lambda s: read_only(s, store_folder(s)), STOPS, long=True),
    Fault("disk", "the state cannot be written", lambda s: read_only(s, state_folder(s)), STOPS),
    Fault("journal", "a line is written half, and so is the state", cut_off, WORKS | STILL, worked=False),
    Fault("journal", "garbage at the end", lambda s: torn(s, b"\0\0\xff{]\n\0"), WORKS | STILL, worked=False),
    Fault("telemetry", "shuffled", lambda s: measured(s, shuffled), STILL, worked=False),
    Fault("telemetry", "doubled", lambda s: measured(s, lambda rows: [*rows, *rows]), STILL, worked=False),
    Fault("telemetry", "zeroed", lambda s: measured(s, zeroed), STILL, worked=False),
    Fault(
        "telemetry",
        "frozen",
        lambda s: measured(s, lambda rows: rows[: len(rows) * 2 // 3]),
        STALE,
        worked=False,
    ),
    Fault("clock", "six hours ahead", lambda s: wrong_clock(s, timedelta(hours=6)), STALE, worked=False),
    Fault(
        "clock",
        "three days behind",
        lambda s: wrong_clock(s, timedelta(days=-3)),
        STILL | STALE,
        worked=False,
        long=True,
    ),
    # Last: their marks of places without capacity hold for minutes.
    Fault("quota", "VcpuLimitExceeded", quota("vcpus", 1), SHORT),
    Fault("quota", "interfaces", quota("interfaces", 1), SHORT, long=True),
    Fault("quota", "AddressLimitExceeded", quota("addresses", 1), SHORT, long=True),
    Fault("launches refused", "InstanceLimitExceeded", launches_refused, SHORT),
)


# the campaign


@pytest.fixture(scope="module")
def scene(start: Start) -> Iterator[Scene]:
    """A stack that serves; store and state lie on small disks of their own, which a test may fill."""
    project = start("dev")
    project.env = {key: value for key, value in project.env.items() if key != "PULUMI_SKIP_CHECKPOINTS"}
    made = Scene(made_now(project))
    with contextlib.ExitStack() as mounted:
        # Pulumi keeps every state that ever was: its disk must not be full but when a fault fills it.
        for folder, size_mb in ((store_folder(made), 32), (state_folder(made), 1024)):
            folder.mkdir(parents=True, exist_ok=True)
            made.disks = mounted.enter_context(small_disk(folder, size_mb)) and made.disks
        project.edit("stacks/dev.fleet.yaml", zones=["us-east-1a", "us-east-1b", "us-east-1c"])
        project.load({"web": 100, "desktop": 100}, end=(now() + timedelta(days=1)).isoformat())
        made.need(150)
        project.edit(
            "policies/limits.yaml",
            unhealthy_after_min=1,
            unavailable_ttl_min=5,
            drain_min=3,
            max_nodes_added=8,
            stacks__dev__approval={
                "additive_automatic": True,
                "draining_automatic": True,
                "automatic_budget_step_usd_per_hour": 100.0,
            },
        )
        assert run(made).startswith("needs-review")
        project.made("approve", "latest", "--why", "faults")
        assert run(made).startswith("applied")
        yield made


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[bool]:
    """Mount a disk of its own at `folder`; False where this machine's user may not."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        if os.environ.get("ECM_REQUIRE_TOOLS"):
            pytest.fail(f"a disk to fill cannot be mounted: {done.stderr}")
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module", params=[f for f in FAULTS if LONG or not f.long], ids=lambda fault: fault.name)
def trial(request: pytest.FixtureRequest, scene: Scene) -> Trial:
    fault: Fault = request.param
    if fault.kind == "disk" and not scene.disks:
        pytest.skip("filling a disk needs root: a small one is mounted")
    project = scene.project
    blank = unknown_to_the_state(project)
    assert project.aws is not None
    journal, injected = project.store.journal(), project.aws.injected()
    scene.ill.clear()
    well = scene.alive()
    with fault.breaking(scene):
        during = run(scene)
    after = []
    while len(after) < MANY and not (after and after[-1].startswith("converged")):
        scene.ahead += timedelta(minutes=6)  # by the next scheduled run marks of capacity have expired
        scene.need(scene.load)
        after.append(run(scene))
    kept = project.store.journal()
    return Trial(
        fault=fault,
        during=(during,),
        after=tuple(after),
        orphans=frozenset(unknown_to_the_state(project) - blank),
        lost=frozenset(well - scene.ill - scene.alive()),
        journal_kept=kept[: len(journal)] == journal and len(kept) > len(journal),
        failed_calls=project.aws.injected() - injected,
    )


def test_the_run_ends_with_an_outcome_that_may_be(trial: Trial, record_property: Callable[[str, object], None]) -> None:
    record_property("faults", [[trial.fault.kind, trial.survived]])
    record_property("outcomes", [*trial.during, *trial.after])
    assert trial.during[-1].partition(":")[0] in trial.fault.outcomes, trial.during


def test_the_next_runs_converge(trial: Trial) -> None:
    assert trial.after[-1].startswith("converged"), (trial.during, trial.after)


def test_there_was_something_to_do(trial: Trial) -> None:
    changed = [said for said in (*trial.during, *trial.after) if said.startswith("applied") and "no change" not in said]
    assert trial.fault.worked in (None, bool(changed)), (trial.during, trial.after)


def test_calls_did_fail(trial: Trial) -> None:
    assert (trial.failed_calls > 0) == (trial.fault.kind in FAILING), trial.during


def test_nothing_is_orphaned_or_doubled(trial: Trial) -> None:
    assert trial.orphans == frozenset(), (trial.during, trial.after)


def test_no_node_that_is_well_goes(trial: Trial) -> None:
    assert trial.lost == frozenset(), (trial.during, trial.after)


def test_no_journal_entry_is_lost(trial: Trial) -> None:
    assert trial.journal_kept


def test_what_stands_at_the_end_is_the_plan(scene: Scene) -> None:
    verified = scene.project.ecm("verify")
    assert verified.code == 0, verified.out
