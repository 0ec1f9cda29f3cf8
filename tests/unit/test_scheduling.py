"""What runs ECM on its own: systemd units and GitHub workflows, checked by the tools that know their languages."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ecm.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "templates" / "systemd"
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted(GITHUB.glob("actions/*/action.yml"))


def tool(name: str) -> str:
    """Return the program, or skip: in CI a missing tool is a failure."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{Path.home() / 'go/bin'}")
    if found is None and os.environ.get("ECM_REQUIRE_TOOLS"):
        pytest.fail(f"{name} is not installed")
    return found or pytest.skip(f"{name} is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units for a project that is here, so that the programs that they start are."""
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/ecm", str(tmp_path / "ecm")))
    program = tmp_path / "ecm" / ".venv" / "bin" / "ecm"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "ecm" / "README.md").touch()
    return tmp_path


def test_systemd_accepts_the_units(units: Path) -> None:
    argv = [tool("systemd-analyze"), "verify", "--man=no", str(units / "ecm-reconcile@prod.timer")]
    (units / "ecm-reconcile@prod.timer").symlink_to("ecm-reconcile@.timer")
    (units / "ecm-reconcile@prod.service").symlink_to("ecm-reconcile@.service")
    (units / "ecm-serve@prod.service").symlink_to("ecm-serve@.service")
    for name in ("ecm-reconcile@prod.timer", "ecm-reconcile@prod.service", "ecm-serve@prod.service"):
        argv[-1] = str(units / name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["ecm-reconcile@.service", "ecm-serve@.service"])
def test_the_service_is_locked_in(units: Path, name: str) -> None:
    unit = units / name
    argv = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure, said
    assert float(exposure[1]) < 3.0, said


def test_actionlint_accepts_the_workflows() -> None:
    done = subprocess.run([tool("actionlint"), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert len(WORKFLOWS) == 4


def loaded(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return document


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda p: p.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for name, comment in used:
        if not name.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), name
            assert re.fullmatch(r" # v[\d.]+", comment), comment


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_may_do_no_more_than_it_needs(path: Path) -> None:
    document = loaded(path)
    assert document["permissions"] == {}
    for job in document["jobs"].values():
        writes = {name for name, right in job["permissions"].items() if right == "write"}
        assert writes <= {"id-token", *(["pull-requests"] if path.stem == "review" else [])}


def test_no_two_runs_change_a_stack_at_once() -> None:
    groups = {
        path.stem: [job.get("concurrency") for job in loaded(path)["jobs"].values()]
        for path in WORKFLOWS
        if path.stem in ("apply", "reconcile")
    }
    one = {"group": "ecm-${{ matrix.stack }}", "cancel-in-progress": False}
    assert groups == {"apply": [one], "reconcile": [one]}


def commands() -> list[list[str]]:
    """The words of every `ecm ...` that the workflows and units run, up to the end of its command."""
    text = "\n".join(path.read_text() for path in (*WORKFLOWS, *UNITS.iterdir()))
    runs = re.findall(r"(?:^ *(?:- run: )?|[(;/] ?)ecm ([a-z]+[^|;>)\n]*)", text, re.MULTILINE)
    return [shlex.split(run.replace("$(", "").replace('"', "")) for run in runs]


def test_the_commands_that_are_run_exist_with_their_options() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = commands()
    assert {words[0] for words in found} == {"plan", "review", "up", "verify", "reconcile", "status", "serve"}
    for name, *words in found:
        options = {flag for parameter in known[name].params for flag in parameter.opts} | {"--json"}
        assert {word for word in words if word.startswith("--")} <= options, (name, words)
