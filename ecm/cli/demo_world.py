"""What the demonstration stands on: a work folder of its own, generated telemetry, and an embedded AWS beside it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from ecm import intent
from ecm.cli.exits import CommandError
from ecm.telemetry import generate, write_table

STACK: Final = "staging"
FOLDER: Final = ".ecm/demo"
INTERVAL_MIN: Final = 15
DAYS: Final = 28
_COPIED: Final = ("Pulumi.yaml", "__main__.py", "stacks", "policies", "templates")
_STANDIN: Final = "tools.standin"
CAMPAIGN_FACTOR: Final = 3


def prepare(root: Path, at: datetime) -> Path:
    """Make the work folder afresh, a copy of the example stack, and return it.

    One thing differs from the example, so that the story is the same at any hour: the office stands where it is noon.
    """
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in _COPIED:
        source = root / name
        if not source.exists():
            raise CommandError(f"{source} is missing: ecm demo runs in a clone of the project; give --root")
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    if (root / ".venv").exists():
        (folder / ".venv").symlink_to((root / ".venv").resolve())
    _edit(folder / "stacks" / f"{STACK}.fleet.yaml", _noon_here(at))
    return folder


def announce(folder: Path, at: datetime) -> None:
    """Write a campaign of the next hours into the fleet file, in the place of the example's event."""
    campaign = {
        "id": "campaign",
        "kind": "campaign",
        "start": (at + timedelta(minutes=30)).isoformat(timespec="minutes"),
        "end": (at + timedelta(hours=6)).isoformat(timespec="minutes"),
        "expected_factor": CAMPAIGN_FACTOR,
    }
    _edit(folder / "stacks" / f"{STACK}.fleet.yaml", {"events": [campaign]})


def _noon_here(at: datetime) -> dict[str, object]:
    offset = 12 - at.astimezone(UTC).hour
    zone = "UTC" if offset == 0 else f"Etc/GMT{-offset:+d}"  # POSIX counts westwards: Etc/GMT-2 is two hours ahead
    return {"vpns": [{"time_zone": zone}]}


def _edit(path: Path, change: Mapping[str, object]) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    document = yaml.load(path.read_text(encoding="utf-8"))
    _merge(document, change)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)


def _merge(document: dict[str, object], change: Mapping[str, object]) -> None:
    for key, value in change.items():
        below = document.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict):
            _merge(below, value)
        elif isinstance(value, list) and isinstance(below, list):
            for item, new in zip(below, value, strict=False):
                _merge(item, new)
        else:
            document[key] = value


def write_telemetry(folder: Path, at: datetime, mbps_now: float) -> Path:
    """Generate four weeks that end at `at` with about `mbps_now` Mbit/s per application, and return the file."""
    fleet = intent.load(folder, STACK).fleet
    made = generate(
        fleet, end=at, days=DAYS, interval_min=INTERVAL_MIN, scale={a.id: 1000.0 for a in fleet.applications}
    )
    last = made.groupby("application")["mbps"].transform("last")
    made["mbps"] = (made["mbps"] * (mbps_now / last)).round(3)
    target = folder / f"load-{round(mbps_now)}.parquet"
    write_table(made, target)
    return target


def an_interval_ago(at: datetime) -> datetime:
    """Return the end of the last whole interval before `at`."""
    return at - timedelta(minutes=at.minute % INTERVAL_MIN, seconds=at.second)


@contextmanager
def embedded_aws(root: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Run the embedded AWS as a process of its own; yield the environment that points Pulumi and boto3 at it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH", ""))))}
    state = folder / "aws"
    state.mkdir()
    with (state / "log").open("w+", encoding="utf-8") as log:
        command = [sys.executable, "-m", _STANDIN, "serve", "--while-stdin"]
        server = subprocess.Popen(command, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            line = server.stdout.readline() if server.stdout else b""
            if not line:
                log.seek(0)
                raise CommandError(_why_not(log.read()))
            yield {**_exports(root, state, json.loads(line)["endpoint"], env), "PYTHONPATH": env["PYTHONPATH"]}
        finally:
            if server.stdin:
                server.stdin.close()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _why_not(log: str) -> str:
    if "No module named 'moto'" in log or "No module named 'werkzeug'" in log:
        return (
            "the embedded AWS needs the extra `demo`\n"
            "    Run: make setup, or pip install endpoint-chain-manager[engine,demo]"
        )
    if f"No module named {_STANDIN}" in log or "No module named 'tools" in log:
        return "the embedded AWS is part of a clone of the project, not of the package: run ecm demo in a clone"
    return f"the embedded AWS did not start:\n{log[-2000:]}"


def _exports(root: Path, state: Path, endpoint: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the embedded AWS's own `env` command prints as shell exports."""
    command = [sys.executable, "-m", _STANDIN, "env", "--endpoint", endpoint, "--folder", str(state)]
    said = subprocess.run(command, cwd=root, env=dict(env), capture_output=True, text=True, check=True).stdout
    pairs = (word.partition("=") for line in said.splitlines() for word in shlex.split(line.removeprefix("export ")))
    return {name: value for name, _, value in pairs}
