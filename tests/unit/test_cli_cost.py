"""`ecm cost`: periods, the plans that stood in them, and what is said where there is nothing to share."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ecm.store import EntryKind, applied_between
from ecm.store.folder import FolderObjects
from ecm.store.journal import Journal

DAY = [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, 30)]


def journal(tmp_path, *applied: tuple[str, datetime]):
    kept = Journal(FolderObjects(tmp_path), "journal.jsonl")
    for name, at in applied:
        kept.append(EntryKind.APPLIED, at=at, plan="sha256:" + name * 64, who="a")
        kept.append(EntryKind.VERIFIED, at=at, plan="sha256:" + "f" * 64, who="a")
    return kept.entries()


def test_a_plan_stands_from_when_it_was_applied_until_another_one_is(tmp_path):
    entries = journal(tmp_path, ("a", DAY[1]), ("a", DAY[2]), ("b", DAY[5]), ("a", DAY[8]))
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    whole = ((a, DAY[1], DAY[5]), (b, DAY[5], DAY[8]), (a, DAY[8], DAY[20]))
    assert applied_between(entries, DAY[0], DAY[20]) == whole
    assert applied_between(entries, DAY[3], DAY[4]) == ((a, DAY[3], DAY[4]),)
    assert applied_between(entries, DAY[5], DAY[8]) == ((b, DAY[5], DAY[8]),)
    assert applied_between(entries, DAY[0], DAY[1]) == ()


def planned(project) -> str:
    assert project.plan()[0] in (10, 11)
    (plan,) = (project.root / ".ecm" / "store" / "dev" / "plans").glob("*.json")
    return f"sha256:{plan.stem}"


def cost(project, *more: str):
    return project.json("cost", "--telemetry", str(project.load), *more)


def test_a_period_costs_the_sum_of_its_parts_wherever_it_is_cut(project):
    planned(project)
    ends = ("2026-11-10T00:00Z", "2026-11-12T07:20Z", "2026-11-14T00:00Z")
    whole = cost(project, "--plan", "latest", "--since", ends[0], "--until", ends[2])
    parts = [cost(project, "--plan", "latest", "--since", a, "--until", b) for a, b in pairwise(ends)]
    for which in ("measured", "forecast"):
        total = whole["total_usd_micro"][which]
        assert sum(part["total_usd_micro"][which] for part in parts) == pytest.approx(total, abs=4)
    sent = [sum(c["megabytes"] for c in made["chains"]) for made in (whole, *parts)]
    assert sent[1] + sent[2] == pytest.approx(sent[0], abs=2)
    assert whole["unmeasured"]["measured"]["compute_usd_micro"] == 0


def test_the_journal_says_which_plans_stood(project):
    digest = planned(project)
    code, _, err = project.run("cost", "--telemetry", str(project.load))
    assert code == 1
    assert "no plan of dev was applied before" in err
    assert "--plan" in err
    store = project.root / ".ecm" / "store"
    Journal(FolderObjects(store), "dev/journal.jsonl").append(EntryKind.APPLIED, at=DAY[15], plan=digest, who="a")
    made = cost(project, "--until", "2026-11-18T00:00Z")
    assert made["start"] == "2026-11-11T00:00:00Z"
    assert [(p["plan"], p["start"], p["end"]) for p in made["plans"]] == [
        (digest, "2026-11-16T00:00:00Z", "2026-11-18T00:00:00Z")
    ]
    _, out, _ = project.run("cost", "--telemetry", str(project.load), "--until", "2026-11-18T00:00Z")
    assert "for the first 5 days" in out
    assert "headroom" in out


def test_time_without_telemetry_is_not_measured_and_an_empty_period_is_refused(project):
    planned(project)
    before = cost(project, "--plan", "latest", "--since", "2026-10-01T00:00Z", "--until", "2026-10-02T00:00Z")
    assert before["unmeasured"]["measured"]["compute_usd_micro"] == before["total"]["measured"]["compute_usd_micro"] > 0
    assert before["total"]["forecast"]["traffic_usd_micro"] > 0
    code, _, err = project.run(
        "cost", "--plan", "latest", "--telemetry", str(project.load), "--since", "2027-01-01T00:00Z"
    )
    assert code == 64
    assert "is not before" in err
    assert project.wrote_nothing()
