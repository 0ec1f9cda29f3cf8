"""Approval holds for what was reviewed: a change of what the plan was judged by is named, and stops approve and up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import ecm
from ecm.cli.content import check_content
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import make_session
from ecm.intent import judged
from ecm.store import open_store
from tests.cli import STACK, Project

EDITS = {
    "policies/qos.yaml": ("latency_ms: 6", "latency_ms: 7"),
    "policies/security.yaml": ("allowed_countries: [US, DE, IE]", "allowed_countries: [US, DE]"),
    "policies/limits.yaml": ("min_zones_per_tier: 2", "min_zones_per_tier: 1"),
    "policies/catalog.yaml": ("usd_per_hour: 0.0432", "usd_per_hour: 0.0433"),
    "policies/guardrails/adapter.py": ("MANDATORY", "ADVISORY"),
}


def said(project: Project) -> str:
    session = make_session(project.root, STACK, as_json=False)
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    with pytest.raises(CommandError) as refused:
        check_content(session, store.plan(store.find_plan("latest")))
    assert refused.value.code is Code.STALE
    return str(refused.value)


def test_what_has_not_changed_is_let_through(project: Project) -> None:
    project.plan()
    assert project.run("approve", "--offline")[0] == 0


@pytest.mark.parametrize("name", EDITS)
def test_what_has_changed_is_named_alone(name: str, project: Project) -> None:
    project.plan()
    project.edit(name, *EDITS[name])
    shown = name.removesuffix("/adapter.py")
    [line] = [line for line in said(project).splitlines() if " then, " in line]
    assert re.fullmatch(rf"    {re.escape(shown)}: sha256:[0-9a-f]{{12}} then, sha256:[0-9a-f]{{12}} now", line)
    code, _, err = project.run("approve", "--offline")
    assert (code, shown in err) == (13, True)


def test_another_version_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.plan()
    monkeypatch.setattr(ecm, "__version__", "9.9.9")
    assert "the version of ECM: 0." in said(project)
    assert "9.9.9 now" in said(project)


def test_a_rule_that_the_pack_runs_is_part_of_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.plan()
    copy = tmp_path / "guardrails"
    shutil.copytree(judged.RULES, copy)
    monkeypatch.setattr(judged, "RULES", copy)
    assert project.run("approve", "--offline")[0] == 0
    (copy / "firewall.py").write_text((copy / "firewall.py").read_text().replace("SSH: Final = 22", "SSH: Final = 23"))
    assert "policies/guardrails: sha256:" in said(project)
