"""`ecm collect`: load into the history, and plans from it."""

from __future__ import annotations

import json

import pandas as pd

from ecm.model.points import MANIFEST
from tests.cli import AS_OF
from tests.prometheus import with_source


def minute_csv(project, name: str = "load.csv"):
    """The generated load as CSV with `saturated`, some points without a value."""
    table = pd.read_parquet(project.load)
    table["saturated"] = table.index % 97 == 5
    table.loc[table.index % 211 == 7, "mbps"] = None
    path = project.root / name
    table.to_csv(path, index=False)
    return path, table


def planned(project, *more: str) -> str:
    code, _, err = project.run("plan", "--offline", "--as-of", AS_OF, *more)
    assert code in (10, 11), err
    (plan,) = (project.root / ".ecm" / "store" / "dev" / "plans").glob("*.json")
    text = plan.read_text()
    plan.unlink()
    (project.root / ".ecm" / "store" / "dev" / "journal.jsonl").unlink()
    return text


def test_a_plan_from_collected_telemetry_is_the_plan_from_the_file_byte_for_byte(project):
    path, table = minute_csv(project)
    want = planned(project, "--telemetry", str(path))
    late = table.index % 5 == 0
    stale = table[~late].assign(mbps=1.0)
    for number, part in enumerate((stale, table[~late], table[late].sample(frac=1.0, random_state=1))):
        part.to_csv(project.root / f"part{number}.csv", index=False)
    assert project.run("collect", *(str(project.root / f"part{i}.csv") for i in range(3)))[0] == 0
    assert planned(project) == want
    assert planned(project, "--telemetry", str(project.root / ".ecm" / "store" / "dev" / "history")) == want


def test_collect_says_what_it_did_and_does_nothing_twice(project):
    path, table = minute_csv(project)
    first = project.json("collect", str(path))
    assert first["sources"] == [{"source": str(path), "points": len(table), "late": 0, "changed": True}]
    assert first["last"] == "2026-11-18T11:45:00Z"
    again = project.json("collect", str(path))
    assert again["sources"] == [{**first["sources"][0], "changed": False}]
    with_source(project, "http://localhost:9090", collection={"keep_raw_days": 7})
    project.json("collect", str(path))
    held = project.json("collect", str(path))
    assert held["sources"][0]["late"] > 0
    assert held["days"] == first["days"]
    _, out, _ = project.run("collect", str(path))
    assert "too late" in out


def test_a_bad_file_leaves_what_was_collected_and_the_run_can_be_repeated(project):
    good, table = minute_csv(project)
    project.run("collect", str(good))
    before = project.json("telemetry", "check")
    whole = project.root / "later.parquet"
    table.assign(mbps=3.0).to_parquet(whole)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    code, _, err = project.run("collect", str(whole))
    assert (code, "later.parquet" in err, "whole" in err) == (1, True, True)
    assert project.json("telemetry", "check") == before
    whole.write_bytes(data)
    assert project.run("collect", str(whole))[0] == 0
    assert project.json("telemetry", "check") != before


def test_a_folder_above_a_history_is_refused(project):
    path, _ = minute_csv(project)
    project.run("collect", str(path))
    code, _, err = project.run("plan", "--offline", "--as-of", AS_OF, "--telemetry", str(project.root / ".ecm"))
    assert code == 1
    assert "holds a history" in err
    assert "store/dev/history" in err


def test_a_history_that_was_damaged_is_said_and_not_planned_on(project):
    path, _ = minute_csv(project)
    project.run("collect", str(path))
    manifest = project.root / ".ecm" / "store" / "dev" / "history" / MANIFEST
    named = json.loads(manifest.read_text())
    part = manifest.parent / named["days"][3]["raw"][0]["name"]
    part.unlink()
    code, _, err = project.run("plan", "--offline", "--as-of", AS_OF)
    assert code == 1
    assert part.name in err
    assert "missing" in err
