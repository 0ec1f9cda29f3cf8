"""`ecm backtest` of one trace, scored again by the time model's words alone."""

import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.cli.exits import Code
from ecm.cli.main import run
from ecm.telemetry import TelemetryError, read_trace

START = datetime(2026, 3, 2, tzinfo=UTC)


def a_load(days=6, step=15, seed=5):
    rng = np.random.default_rng(seed)
    minute = np.arange(days * 1440 // step) * step
    return np.round((100 + 70 * np.sin(2 * np.pi * minute / 1440)) * np.exp(0.1 * rng.standard_normal(minute.size)), 3)


def write(path, load, step=15, form="%Y-%m-%dT%H:%M:%SZ"):
    rows = ((START + timedelta(minutes=step * i)).strftime(form) for i in range(len(load)))
    cells = ("" if np.isnan(v) else repr(float(v)) for v in load)
    path.write_text("timestamp,requests\n" + "".join(f"{s},{c}\n" for s, c in zip(rows, cells, strict=True)))
    return path


@pytest.fixture
def backtest(tmp_path, capsys):
    def call(load, *options, step=15, form="%Y-%m-%dT%H:%M:%SZ"):
        trace = write(tmp_path / "load.csv", load, step, form)
        target = tmp_path / "decisions.csv"
        target.unlink(missing_ok=True)
        capsys.readouterr()
        code = run(
            ["backtest", "--trace", str(trace), "--node-capacity", "20", "--decisions", str(target), "--json", *options]
        )
        said = capsys.readouterr()
        if code:
            return code, said.err, None
        with target.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return code, json.loads(said.out), rows

    return call


def scored(load, nodes, *, capacity, step, boot, tail=5):
    """Violated minutes and node-hours, minute by minute, node by node."""
    launched = [-boot] * nodes[0]
    violated, billed = 0, 0
    for row, wanted in enumerate(nodes):
        start = row * step
        while len(launched) < wanted:
            launched.append(start)
        while len(launched) > wanted:
            launched.pop()
            billed += tail
        for minute in range(start, start + step):
            ready = sum(1 for at in launched if minute >= at + boot)
            violated += load[row] > ready * capacity
        billed += len(launched) * step
    return violated, billed / 60


@pytest.mark.parametrize(("boot", "every"), [(5, None), (20, None), (7, "30m")])
def test_the_figures_follow_from_the_decisions(backtest, boot, every):
    load = a_load() * np.random.default_rng(1).choice([1.0, 3.0], p=[0.95, 0.05], size=576)
    options = ["--policy", "ecm", "--boot", f"{boot}m", "--quantile", "0.9", *(["--every", every] if every else [])]
    code, report, rows = backtest(load, *options)
    assert code == 0
    decided = load[len(load) * 2 // 3 :]
    nodes = [int(r["nodes_desired"]) for r in rows]
    assert len(nodes) == len(decided)
    assert rows[0]["timestamp"] == "2026-03-06T00:00:00Z"
    ours = report["policies"][0]
    violated, hours = scored(decided, nodes, capacity=20, step=15, boot=boot)
    assert ours["violation_min"] == violated > 0
    assert ours["instance_hours"] == pytest.approx(hours)
    assert min(nodes) >= 2
    if every:
        assert all(nodes[i] == nodes[i + 1] for i in range(0, len(nodes) - 1, 2))


def test_what_comes_later_changes_no_decision(backtest):
    load = a_load()
    _, _, whole = backtest(load, "--policy", "ecm")
    for place in (130, 150, 171):
        changed = load.copy()
        changed[len(load) * 2 // 3 + place - 128 :] *= np.random.default_rng(place).uniform(0, 5)
        _, _, again = backtest(changed, "--policy", "ecm")
        same = place - 128 + 1
        assert again[:same] == whole[:same]


def test_all_peers_beside_ours_and_a_report(backtest, tmp_path, monkeypatch):
    # The time of a fit is the one figure of a report that is not a function of its inputs.
    monkeypatch.setattr("ecm.cli.commands.backtest.perf_counter", lambda: 0.0)
    form = "%Y-%m-%d %H:%M:%S"
    code, report, rows = backtest(a_load(), "--report", str(tmp_path / "out"), form=form)
    assert code == 0
    assert rows[0]["timestamp"] == "2026-03-06 00:00:00"
    names = [p["name"] for p in report["policies"]]
    assert names[0] == "ecm"
    assert names[-1] == "clairvoyant"
    assert {"recent peak", "AWS target tracking", "weekly max", "Kubernetes HPA", "static peak"} < set(names)
    assert report["policies"][-1]["violation_min"] == 0
    assert all(p["instance_hours"] >= report["policies"][-1]["instance_hours"] for p in report["policies"][:1])
    assert {c["quantile"] for c in report["coverage"]} == {0.9, 0.95, 0.99}
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert report["verdict"]["answer"] in page
    assert "weekly max" in (tmp_path / "out/report.md").read_text(encoding="utf-8")
    again = (tmp_path / "out/report.html").read_bytes()
    backtest(a_load(), "--report", str(tmp_path / "out"), form=form)
    assert (tmp_path / "out/report.html").read_bytes() == again


@pytest.mark.parametrize(
    "load",
    [
        np.full(600, 50.0),
        np.zeros(600),
        np.where(np.arange(600) % 50 == 0, 90.0, 0.0),
        2.0 ** (np.arange(600) / 40),
        np.where(np.arange(600) % 3 == 0, np.nan, 40.0),
        np.array([10.0, 900.0]),
    ],
    ids=["constant", "zero", "intermittent", "exploding", "holes", "two points"],
)
def test_odd_traces_are_decided(backtest, load):
    code, report, rows = backtest(load, "--policy", "ecm")
    assert code == 0, report
    assert all(int(r["nodes_desired"]) >= 2 for r in rows)


def test_a_file_with_holes_is_replayed_and_says_so(tmp_path, capsys):
    trace = write(tmp_path / "load.csv", a_load())
    lines = trace.read_text().splitlines(keepends=True)
    trace.write_text("".join([*lines[:400], *lines[404:], lines[-1]]))
    assert run(["backtest", "--trace", str(trace), "--node-capacity", "20", "--policy", "ecm"]) == 0
    said = capsys.readouterr()
    assert "4 steps have no row" in said.err
    assert "1 rows repeat a step" in said.err
    assert "ecm" in said.out


def test_an_announced_event_is_provided_for(backtest, tmp_path):
    load = a_load()
    at = START + timedelta(days=5, hours=3)
    place = (5 * 1440 + 180) // 15
    load[place : place + 8] *= 3
    events = tmp_path / "events.yaml"
    events.write_text(
        f"events:\n- {{id: sale, kind: sale, start: {at.isoformat()}, end: {(at + timedelta(hours=2)).isoformat()}, "
        "expected_factor: 3}\n"
    )
    _, plain, _ = backtest(load, "--policy", "ecm")
    _, told, _ = backtest(load, "--policy", "ecm", "--events", str(events))
    assert told["policies"][0]["violation_min"] < plain["policies"][0]["violation_min"]
    assert told["effects"]
    assert not plain["effects"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--policy", "magic"], "choose of ecm"),
        (["--boot", "soon"], "such as 5m"),
        (["--every", "20m"], "multiple of the step"),
        (["--from", "2030-01-01"], "no history before it or no row after it"),
        (["--from", "yesterday"], "--from"),
        (["--node-capacity", "0"], "must be more than 0"),
    ],
)
def test_bad_options_are_usage_errors(backtest, options, word):
    code, said, _ = backtest(a_load(), *options)
    assert code == Code.USAGE
    assert word in said


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no"),
        ("timestamp,a,b\n2026-01-01T00:00Z,1,2\n", "more than one column"),
        ("timestamp,a\n2026-01-01T00:00Z,-1\n2026-01-01T00:05Z,1\n", "negative"),
        ("timestamp,a\n2026-01-01T00:00Z,1\n2026-01-01T00:07Z,1\n", "7 min"),
        ("timestamp,a\n2026-01-01T00:00Z,1\n", "fewer than two"),
        ("timestamp,a\n01/02/03,1\n", "not a date"),
        (
            "timestamp,a\n2026-01-01T00:00Z,1\n2026-01-01T00:05Z,1\n2026-01-01T00:10Z,1\n2026-01-01T00:17Z,1\n",
            "not on the grid",
        ),
    ],
)
def test_a_trace_that_cannot_be_read_is_named(tmp_path, text, word):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(TelemetryError, match=word):
        read_trace(path)


def test_gaps_repeats_order_and_jitter(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(
        "timestamp,a\n2026-01-01 00:10:00,3\n2026-01-01 00:00:00,1\n2026-01-01 00:05:10,2\n2026-01-01 00:10:00,5\n"
        "2026-01-01 00:20:00,7\n2026-01-01 00:25:00,8\n"
    )
    found = read_trace(path)
    np.testing.assert_array_equal(found.values, [1, 2, 4, np.nan, 7, 8])
    assert (found.step_min, found.missing, found.repeated, found.aware) == (5, 1, 1, False)
    assert read_trace(path, time_zone="Europe/Athens").start == found.start - timedelta(hours=2)
