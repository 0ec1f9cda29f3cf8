"""Same inputs, same plan: whatever the order of the rows, whatever the number of threads."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.e2e.project import MORNING, ROOT, Project, new_folder

pytestmark = pytest.mark.slow
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def planned(folder: Path, order: str, threads: int) -> tuple[str, bytes]:
    """Plan in a process of its own with `threads`, from rows in `order`; return the plan file's name and bytes."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_", "ECM_"))}
    env |= dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(threads)}
    project = Project(new_folder(folder), "staging", env)
    project.edit("policies/catalog.yaml", as_of="2031-02-01")
    project.load({"intranet": 700, "updates": 900})
    table = pd.read_csv(project.measured(MORNING), dtype=str)
    if order == "shuffled":
        table = table.sample(frac=1, random_state=7)
    table.to_csv(project.measured(MORNING), index=False)
    result = project.ecm_process("plan", "--offline", "--as-of", MORNING)
    assert result.code == 11, result.err
    [plan] = (folder / ".ecm" / "store" / "staging" / "plans").iterdir()
    return plan.name, plan.read_bytes()


def test_order_of_rows_and_threads_change_no_byte(tmp_path: Path) -> None:
    first = planned(tmp_path / "a", "as written", 1)
    assert planned(tmp_path / "b", "shuffled", 2) == first
