"""Fixtures that several unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import Project, make_project, write_load


@pytest.fixture(scope="session")
def generated_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated telemetry of the dev stack: two weeks, a small load."""
    return write_load(tmp_path_factory.mktemp("load") / "load.parquet", 20)


@pytest.fixture
def project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, generated_load: Path
) -> Project:
    """A copy of the examples to run commands in."""
    return make_project(tmp_path, capsys, monkeypatch, generated_load)
