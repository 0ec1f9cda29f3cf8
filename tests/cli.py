"""A project folder to run commands in, with generated telemetry, at a fixed time, without Pulumi and without AWS."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecm import intent, telemetry
from ecm.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 18, 12, 5, tzinfo=UTC)
AS_OF = "2026-11-18T12:00Z"
STACK = "dev"


@dataclass
class Clock:
    """The time that commands see."""

    at: datetime = NOW

    def now(self, zone: Any) -> datetime:
        return self.at.astimezone(zone)


@dataclass
class Project:
    """A copy of the examples in a folder of its own."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    clock: Clock
    load: Path
    before: dict[str, bytes] = field(default_factory=dict)

    def run(self, *arguments: str, stack: str = STACK) -> tuple[int, str, str]:
        """Run `ecm ARGUMENTS` and return exit code, stdout and stderr."""
        self.before = self.files()
        self.capsys.readouterr()
        code = run(["--root", str(self.root), "--stack", stack, *arguments])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def plan(self, *more: str) -> tuple[int, str, str]:
        """Run `ecm plan` offline on the generated telemetry."""
        return self.run("plan", "--offline", "--telemetry", str(self.load), "--as-of", AS_OF, *more)

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and return what it printed."""
        code, out, err = self.run(*arguments, "--json")
        assert out, (code, err)
        return json.loads(out)

    def files(self) -> dict[str, bytes]:
        """Every file and its bytes."""
        return {str(p.relative_to(self.root)): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}

    def wrote_nothing(self) -> bool:
        """Whether the last command left every file as it was, and made none."""
        return self.files() == self.before

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace `old` once in a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


def write_load(path: Path, mbps: float, *, days: int = 14, end: datetime = NOW) -> Path:
    """Generate telemetry of the dev stack whose last value is about `mbps` per application."""
    fleet = intent.load(ROOT, STACK).fleet
    made = telemetry.generate(fleet, end=end, days=days, interval_min=15)
    last = made.groupby("application")["mbps"].transform("last")
    made["mbps"] = (made["mbps"] * (mbps / last)).round(3)
    telemetry.write_table(made, path)
    return path


def make_project(root: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, load: Path) -> Project:
    """Copy the examples to `root`; no Pulumi, no AWS credentials, the clock at NOW."""
    for folder in ("stacks", "policies", "templates"):
        shutil.copytree(ROOT / folder, root / folder)
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "ECM_STACK",
        "ECM_ROOT",
    ):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(root / "absent"))
    patch.setenv("AWS_CONFIG_FILE", str(root / "absent"))
    patch.setenv("PATH", str(root / "absent"))
    patch.setenv("ECM_CACHE", str(root / "absent"))
    clock = Clock()
    patch.setattr("ecm.cli.edges.datetime", clock)
    return Project(root, capsys, clock, load)
