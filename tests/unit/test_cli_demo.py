"""The demonstration: its work folder, and what it shows on a machine without Pulumi."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from ecm import intent
from ecm.cli.demo import story
from ecm.cli.demo_world import STACK, an_interval_ago, announce, prepare, write_telemetry
from ecm.cli.exits import Code, CommandError
from ecm.forecast import predict
from ecm.telemetry import read
from tests.cli import ROOT, Project


@pytest.fixture
def clone(project: Project) -> Project:
    """A project folder that has the Pulumi program as well."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy2(ROOT / name, project.root / name)
    return project


@pytest.mark.parametrize("hour", [0, 5, 11, 12, 13, 20, 23])
def test_the_office_stands_where_it_is_noon(clone: Project, hour: int) -> None:
    at = datetime(2026, 11, 18, hour, 20, tzinfo=UTC)
    folder = prepare(clone.root, at)
    fleet = intent.load(folder, STACK).fleet
    assert at.astimezone(ZoneInfo(fleet.vpns[0].time_zone)).hour == 12


def test_telemetry_ends_at_the_wanted_load(clone: Project) -> None:
    at = datetime(2026, 11, 18, 9, 7, 30, tzinfo=UTC)
    end = an_interval_ago(at)
    assert end == datetime(2026, 11, 18, 9, 0, tzinfo=UTC)
    folder = prepare(clone.root, at)
    table = pd.read_parquet(write_telemetry(folder, end, 250))
    last = table.groupby("application").tail(1)
    assert set(last["mbps"]) == {250.0}
    assert set(last["timestamp"]) == {"2026-11-18T08:45:00Z"}


def test_a_second_run_begins_afresh(clone: Project) -> None:
    at = datetime(2026, 11, 18, 9, 7, tzinfo=UTC)
    folder = prepare(clone.root, at)
    (folder / "left-over").write_text("x", encoding="utf-8")
    assert not (prepare(clone.root, at) / "left-over").exists()


def test_outside_a_clone_it_says_so(project: Project) -> None:
    with pytest.raises(CommandError, match="runs in a clone"):
        prepare(project.root, datetime(2026, 11, 18, 9, 7, tzinfo=UTC))


def test_the_story_ends_where_it_should(clone: Project) -> None:
    steps = story(clone.root / "a", lambda: None)
    commands = [step.arguments[0] for step in steps]
    assert commands[:9] == ["forecast", "plan", "review", "explain", "approve", "preview", "up", "verify", "plan"]
    assert steps[8].codes == (Code.DONE,)
    assert commands[9:17] == ["forecast", "plan", "review", "approve", "preview", "up", "verify", "plan"]
    assert steps[9].before is not None
    assert steps[16].codes == (Code.DONE,)


def test_the_campaign_raises_the_forecast_and_not_the_load(clone: Project) -> None:
    at = datetime(2026, 11, 18, 9, 7, tzinfo=UTC)
    folder = prepare(clone.root, at)
    load = read(write_telemetry(folder, an_interval_ago(at), 250), fleet=intent.load(folder, STACK).fleet)

    def peak() -> int:
        fleet = intent.load(folder, STACK).fleet
        found = predict(load, fleet, as_of=at, lead_min=25, hold_min=120)
        return sum(a.window_p90_mbps for a in found.applications)

    before = peak()
    announce(folder, at)
    assert before < 700
    assert peak() > 2.5 * before


def test_without_pulumi_it_shows_what_needs_none(clone: Project) -> None:
    code, out, err = clone.run("demo")
    assert code == Code.ERROR, err
    assert "The telemetry is generated, not measured" in out
    assert "make setup" in out
    assert "4/4 Why one tier is as it is" in out
    assert (clone.root / ".ecm/demo/plan-1.md").read_text(encoding="utf-8").startswith("<!-- ecm-review: staging -->")
    outside = {name for name in clone.files() if not name.startswith(".ecm/demo/")}
    assert outside == set(clone.before), "nothing but .ecm/demo is written"
