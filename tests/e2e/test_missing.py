"""A machine without AWS credentials or without Pulumi: one clear sentence, exit 1, nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.project import NIGHT, Project, new_folder

pytestmark = pytest.mark.slow


def refused(project: Project, env: Mapping[str, str], *words: str) -> str:
    """Run a command in `env`; return what it said after asserting exit 1, one sentence and no trace on disk."""
    before = project.files()
    result = replace(project, env=env).ecm(*words)
    assert (result.code, result.out) == (1, ""), result
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err
    assert project.files() == before, "nothing may be written"
    return result.err


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project on a machine without Pulumi: neither on PATH nor in the cache."""
    folder = tmp_path_factory.mktemp("bare")
    env = {"PATH": str(folder / "bin"), "HOME": str(folder), "ECM_CACHE": str(folder / "cache")}
    project = Project(new_folder(folder / "project"), "dev", env)
    project.edit("policies/catalog.yaml", as_of="2031-02-01")
    project.load({"web": 100, "desktop": 100})
    plan, _ = project.plan(NIGHT)
    project.made("approve", plan.digest)
    return project


@pytest.mark.parametrize("words", [("preview",), ("up",), ("verify",)])
def test_without_pulumi(bare: Project, words: tuple[str, ...]) -> None:
    said = refused(bare, bare.env, *words)
    assert "the Pulumi command line was not found on PATH or in the cache folder" in said
    assert "make setup" in said
    assert len(said.splitlines()) == 1


def test_without_pulumi_everything_else_works(bare: Project, tmp_path: Path) -> None:
    assert bare.ecm("plan", "--as-of", NIGHT).code == 11
    assert bare.made("explain", "lab-in").out
    assert bare.made("status").out
    assert bare.made("forecast", "--as-of", NIGHT).out
    assert bare.made("telemetry", "check").out
    bare.made("review", "--output", str(tmp_path / "plan.md"))
    assert "lab-in" in (tmp_path / "plan.md").read_text()


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("dev")
    project.load({"web": 100, "desktop": 100})
    plan, _ = project.plan(NIGHT)
    project.made("approve", plan.digest)
    return project


def without_credentials(project: Project) -> dict[str, str]:
    env = {k: v for k, v in project.env.items() if k not in {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}}
    return env | {"HOME": str(project.folder / "nobody"), "ECM_CACHE": str(cache_of(project))}


def cache_of(project: Project) -> Path:
    """The cache that the toolchain was found in: HOME, which names it otherwise, is another one here."""
    assert project.toolchain is not None
    return project.toolchain.cli.parents[3]


@pytest.mark.engine
@pytest.mark.parametrize("words", [("verify",), ("up",), ("preview",)])
def test_without_credentials(project: Project, words: tuple[str, ...]) -> None:
    said = refused(project, without_credentials(project), *words)
    assert "no AWS credentials" in said
    assert "AWS_PROFILE" in said
