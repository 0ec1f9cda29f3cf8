"""A project folder of its own with an embedded AWS of its own, driven through the `ecm` command line.

Time is `--as-of`: the telemetry of the project is cut at that moment, and nothing waits. The days lie in the future, so
that no plan expires while the tests run, whatever the machine's clock says.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ecm import intent
from ecm.cli.main import run
from ecm.engine import CommandFailed, Options, Outcome, Stack, Toolchain
from ecm.model.plan import Plan
from ecm.model.report import Report
from ecm.store import Store, open_store
from ecm.telemetry import write_table
from ecm.telemetry.synthetic import generate
from tests.e2e.inventory import Snapshot
from tools.standin.embedded import REAL_PLUGIN, EmbeddedAws

ROOT = Path(__file__).resolve().parents[2]
_MEANT = ("ECM_ROOT", "ECM_STACK")
"""What would lead commands to another project than the test's."""
DAYS = 15
INTERVAL_MIN = 30
NIGHT, MORNING, EVENING = "2031-03-05T06:00Z", "2031-03-05T13:00Z", "2031-03-06T02:00Z"
"""A Wednesday in New York: 01:00, 08:00 (the busiest hours lie in the window of such a plan) and 21:00."""


@dataclass(frozen=True)
class Result:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Turn:
    """One turn of the job: a plan, what the engine said that it would do, what it did, and what was found then."""

    plan: Plan
    planned: int
    """Exit code of `ecm plan`."""
    preview: Mapping[str, Any]
    counts: Mapping[str, int]
    before: Snapshot
    after: Snapshot
    verified: int
    """Exit code of `ecm verify`."""
    report: Report
    said: str

    def previewed(self, *ops: str) -> set[tuple[str, str]]:
        """(type, name) of the previewed changes, of `ops` where given."""
        return {(s["type"], s["name"]) for s in self.preview["changes"] if not ops or s["op"] in ops}


@dataclass
class Project:
    """A project folder, its stack, and the AWS that it is applied to."""

    folder: Path
    stack: str
    env: Mapping[str, str]
    aws: EmbeddedAws | None = None
    toolchain: Toolchain | None = None
    table: pd.DataFrame | None = field(default=None, repr=False)

    # what people write

    def edit(self, name: str, **values: Any) -> None:
        """Set nested fields (`stacks__dev__budget_usd_per_hour`, `tiers__0__shapes`) of a YAML file of the project."""
        path = self.folder / name
        document = yaml.safe_load(path.read_text())
        for dotted, value in values.items():
            *parents, last = dotted.split("__")
            place = document
            for key in parents:
                place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
            place[last] = value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def load(self, scale: Mapping[str, float], *, end: str = "2031-03-07T00:00Z") -> None:
        """Generate telemetry to `end`; `scale` is each application's busiest ordinary hour in Mbit/s."""
        fleet = intent.load(self.folder, self.stack).fleet
        moment = datetime.fromisoformat(end)
        self.table = generate(fleet, end=moment, days=DAYS, interval_min=INTERVAL_MIN, scale=scale)

    def level(self, mbps: float) -> None:
        """Let every application have had about `mbps` all the time, so that the hour does not matter."""
        assert self.table is not None
        self.table["mbps"] = (mbps * (1 + 0.01 * np.sin(np.arange(len(self.table))))).round(3)

    def measured(self, until: str) -> Path:
        """Write what had been measured at `until` to where `ecm` finds it."""
        assert self.table is not None
        moment = pd.Timestamp(until) - timedelta(minutes=INTERVAL_MIN)
        path = self.folder / ".ecm" / "telemetry" / f"{self.stack}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(self.table[pd.to_datetime(self.table["timestamp"], utc=True) <= moment], path)
        return path

    # the command line

    def ecm(self, *words: str) -> Result:
        """Run a command in this process, which has the scientific libraries loaded."""
        out, err = io.StringIO(), io.StringIO()
        with _environment(self.env), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["--root", str(self.folder), "--stack", self.stack, *words])
        return Result(code, out.getvalue(), err.getvalue())

    def ecm_process(self, *words: str) -> Result:
        """Run a command as a person does: in a process of its own, in the project's folder."""
        argv = [sys.executable, "-m", "ecm.cli", "--stack", self.stack, *words]
        done = subprocess.run(argv, cwd=self.folder, env=dict(self.env), capture_output=True, text=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def made(self, *words: str) -> Result:
        """Run a command that must succeed."""
        result = self.ecm(*words)
        assert result.code == 0, f"ecm {' '.join(words)} ended with {result.code}\n{result.out}{result.err}"
        return result

    # the job

    def plan(self, at: str) -> tuple[Plan, int]:
        """Plan as at `at` on what had been measured then; return plan and exit code."""
        self.measured(at)
        result = self.ecm("plan", "--json", "--as-of", at)
        assert result.out, f"ecm plan said nothing but {result.err}"
        return Plan.model_validate(result.data["plan"]), result.code

    def turn(self, at: str, *, preview: bool = True) -> Turn:
        """Plan, approve, preview (unless told not to), apply and verify."""
        before = self.snapshot()
        plan, planned = self.plan(at)
        assert plan.verdict.passed, plan.verdict
        self.made("approve", plan.digest, "--who", "tester", "--why", "end-to-end test")
        foreseen = self._preview() if preview else {}
        applied = self.made("up", "--json")
        assert applied.data["applied"] == plan.digest
        verified = self.ecm("verify", "--json")
        return Turn(
            plan=plan,
            planned=planned,
            preview=foreseen,
            counts=applied.data["counts"],
            before=before,
            after=self.snapshot(),
            verified=verified.code,
            report=Report.model_validate(verified.data),
            said=applied.err,
        )

    def _preview(self) -> Mapping[str, Any]:
        result = self.ecm("preview", "--json")
        assert result.out, result.err
        preview: Mapping[str, Any] = result.data
        return preview

    # what stands

    @property
    def engine(self) -> Stack:
        """The stack as Pulumi's own commands see it."""
        assert self.toolchain is not None
        return Stack(self.toolchain, self.folder, self.stack, self.env)

    @property
    def store(self) -> Store:
        """The stack's store."""
        return open_store(".ecm/store", stack=self.stack, root=self.folder)

    def snapshot(self) -> Snapshot:
        """What the engine's state has."""
        try:
            return Snapshot.of(self.engine.state())
        except CommandFailed as error:
            if "no stack named" not in str(error):
                raise
            return Snapshot({})

    def no_change(self) -> Outcome:
        """Run plain `pulumi preview --expect-no-changes`."""
        return self.engine.preview(Options(expect_no_changes=True))

    def files(self) -> dict[str, bytes]:
        """Every file of the project that a command may write, but for Python's byte code beside the policy pack."""
        kept = (p for name in ("stacks", "policies", ".ecm") for p in (self.folder / name).rglob("*"))
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in kept if p.is_file() and p.suffix != ".pyc"}


def now() -> datetime:
    """The machine's own time: scheduled runs and plans after a refusal decide as of it, so measurements end at it."""
    return datetime.now(UTC)  # noqa: TID251 - see above


def made_now(project: Project) -> Project:
    """`project` with prices of today and a level load that was measured until now, without holidays.

    On a holiday, which has no past in so short a load, quantiles are wide: the day would decide what is planned.
    """
    project.edit("stacks/dev.fleet.yaml", vpns__0__holidays=None)
    project.edit("policies/catalog.yaml", as_of=now().date().isoformat())
    project.load({"web": 100, "desktop": 100}, end=now().isoformat())
    project.level(150)
    return project


def new_folder(folder: Path) -> Path:
    """Make a project at `folder`: intent and program are copies, code and templates are this checkout's."""
    folder.mkdir(parents=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("policies", "stacks"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("ecm", "templates"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@contextlib.contextmanager
def open_project(folder: Path, stack: str, toolchain: Toolchain) -> Iterator[Project]:
    """Yield a project with an AWS, a Pulumi backend and a store of its own; its limits leave room for the tests."""
    with EmbeddedAws(folder / "aws") as aws:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PULUMI_", "AWS_")) and k not in _MEANT}
        env |= aws.environment | {"PYTHONPATH": str(ROOT)}
        if os.environ.get(REAL_PLUGIN) != "1":
            env["PULUMI_HOME"] = str(folder / "pulumi-home")
        else:  # the installed plugin lies in Pulumi's own folder
            env |= {k: os.environ[k] for k in ("PULUMI_HOME",) if k in os.environ}
        project = Project(new_folder(folder / "project"), stack, env, aws, toolchain)
        project.edit("policies/catalog.yaml", as_of="2031-02-01")
        project.edit("policies/limits.yaml", **{f"stacks__{stack}__budget_usd_per_hour": 150})
        yield project


@contextlib.contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env)
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
