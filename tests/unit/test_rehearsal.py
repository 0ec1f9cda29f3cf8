"""A fleet's plans replayed: the very plans that `ecm plan` makes, each on the plan before it."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm import intent, telemetry
from ecm.model.plan import Decision, Plan
from ecm.pipeline.rehearsal import Span, outcomes, rehearse, until, verdicts
from ecm.store import EntryKind, open_store
from tests.cli import ROOT, STACK, make_project

END = datetime(2026, 11, 18, 12, tzinfo=UTC)
SPAN = Span(END - timedelta(hours=12), END, 15)
WANTED = intent.load(ROOT, STACK)


@pytest.fixture(scope="module")
def table():
    made = telemetry.generate(WANTED.fleet, end=END, days=16, interval_min=15)
    stamps = telemetry_stamps(made)
    made["mbps"] *= 2
    # A load that rises fourfold in the middle of the span makes the plans change.
    made.loc[stamps >= np.datetime64("2026-11-18T05:00"), "mbps"] *= 4
    return made


def telemetry_stamps(table):
    return table["timestamp"].str.removesuffix("Z").to_numpy().astype("datetime64[s]")


def read(table, folder):
    telemetry.write_table(table, folder / "load.parquet")
    return telemetry.read(folder / "load.parquet", fleet=WANTED.fleet)


@pytest.fixture(scope="module")
def replayed(table, tmp_path_factory):
    history = read(table, tmp_path_factory.mktemp("load"))
    return history, tuple(rehearse(WANTED, history, SPAN, ROOT / "templates"))


def test_every_moment_has_a_decision_and_the_load_is_answered(replayed):
    history, steps = replayed
    assert [s.as_of for s in steps] == list(SPAN.times())
    assert len(steps) == 48
    nodes = [sum(t.nodes_after for t in s.plan.tiers) for s in steps]
    assert nodes[-1] > nodes[0]
    assert sum(count for _, count in verdicts(steps)) == 48
    found = outcomes(steps, history, WANTED, 15)
    assert [o.tier for o in found] == sorted(t.id for t in WANTED.fleet.tiers)
    for outcome in found:
        assert outcome.measured_min == 720
        assert 0 <= outcome.longest_min <= outcome.violated_min <= 720
        assert outcome.node_hours >= 12
        assert outcome.usd > 0
    assert any(o.node_changes for o in found)


def test_what_comes_later_changes_no_decision(replayed, table, tmp_path):
    _, steps = replayed
    scrambled = table.copy()
    late = telemetry_stamps(table) >= np.datetime64("2026-11-18T04:00")
    scrambled.loc[late, "mbps"] = np.random.default_rng(3).permutation(scrambled.loc[late, "mbps"].to_numpy())
    again = rehearse(WANTED, read(scrambled, tmp_path), SPAN, ROOT / "templates")
    for one, other in zip(steps, again, strict=False):
        if one.as_of > datetime(2026, 11, 18, 4, tzinfo=UTC):
            break
        assert one.plan.desired == other.plan.desired
        assert one.plan.forecasts == other.plan.forecasts


def test_twenty_moments_planned_again_on_the_command_line(replayed, table, tmp_path, capsys, monkeypatch):
    _, steps = replayed
    stamps = telemetry_stamps(table)
    chosen = sorted(np.random.default_rng(7).choice(len(steps), size=20, replace=False))
    for place in chosen:
        step = steps[int(place)]
        root = tmp_path / f"at-{place}"
        before = steps[int(place) - 1].stands if place else None
        load = root.parent / f"load-{place}.parquet"
        telemetry.write_table(table[stamps < np.datetime64(step.as_of.replace(tzinfo=None))], load)
        project = make_project(root, capsys, monkeypatch, load)
        project.clock.at = step.as_of
        if before is not None:
            store = open_store(".ecm/store", stack=STACK, root=root, s3=None)
            store.put_plan(before)
            store.record(EntryKind.APPLIED, at=before.as_of, plan=before.digest, who="test")
        stamp = step.as_of.strftime("%Y-%m-%dT%H:%MZ")
        made = project.json("plan", "--offline", "--telemetry", str(load), "--as-of", stamp)
        assert plan_again(made["plan"]) == comparable(step.plan), step.as_of
        shutil.rmtree(root)


def comparable(plan: Plan) -> dict:
    """All of a plan but what a rehearsal has not: a longer file has other findings; it asks no pack and no engine."""
    return plan.model_dump(mode="json", exclude={"inputs": {"telemetry", "guardrails", "libraries"}})


def plan_again(data: dict) -> dict:
    return comparable(Plan.model_validate(data))


def test_a_refused_plan_is_not_applied(replayed, table, tmp_path):
    history = read(table, tmp_path)
    strict = WANTED.model_copy(update={"limits": WANTED.limits.model_copy(update={"budget_usd_per_hour": 1})})
    steps = tuple(rehearse(strict, history, Span(END - timedelta(hours=1), END, 30), ROOT / "templates"))
    assert [s.plan.verdict.decision for s in steps] == [Decision.REFUSED] * 2
    assert [s.stands for s in steps] == [None, None]
    assert [o.violated_min for o in outcomes(steps, history, strict, 30)] == [60] * len(WANTED.fleet.tiers)


def test_only_the_past_is_known(replayed):
    history, _ = replayed
    known = until(history, SPAN.start)
    assert known.end == SPAN.start
    assert known.mbps.shape[1] < history.mbps.shape[1]
