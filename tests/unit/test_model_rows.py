"""Every listed model has its row of a backtest: measured alone, by the replay that measures the selection."""

import itertools
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from ecm.backtest import Rules, Trace
from ecm.cli.main import run
from ecm.forecast.models import models
from ecm.forecast.season import Season
from ecm.pipeline.alone import SELECTION, Alone, alone, selected
from ecm.pipeline.replay import Question, Replay, replay

LISTED = [m.name for m in models(Season(60))]
START = datetime(2026, 3, 2, tzinfo=UTC)


def a_question(weeks=3, quantiles=(900,)):
    """Hourly loads that repeat last week's values but for noise: what a week ago teaches, an hour ago does not."""
    rng = np.random.default_rng(4)
    load = np.tile(100 + 40 * rng.standard_normal(168), weeks) + 0.5 * rng.standard_normal(weeks * 168)
    trace = Trace("load", START, 60, np.maximum(load, 0.0))
    return Question(trace, Rules(capacity=5.0, boot_min=5, min_nodes=1), trace.rows - 48, quantiles)


@pytest.fixture(scope="module", autouse=True)
def without_extras():
    """What is tested here does not depend on what is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecm.forecast.models.find_spec", lambda _package: None)
        yield


@pytest.fixture(scope="module")
def rows():
    asked = a_question()
    ticks = itertools.count()
    return {one.model: one for one in alone(asked, replay(asked), lambda: float(next(ticks)))}


def test_every_listed_model_has_a_row_beside_the_selection(rows):
    assert list(rows) == [SELECTION, *LISTED]
    for one in rows.values():
        if one.installed:
            assert np.isfinite([one.loss, one.within, one.fit_s, one.update_ms]).all()
            assert one.score is not None
    assert [name for name, one in rows.items() if not one.installed] == ["lstm"]
    assert rows["lstm"].score is None


def test_rows_tell_good_models_from_bad_ones(rows):
    """A last value knows nothing of this load; its loss is many times that of the week before."""
    assert rows["last-value"].loss > 10 * rows["naive-week"].loss
    assert rows["last-value"].score.node_hours > 1.3 * rows["naive-week"].score.node_hours
    assert rows[SELECTION].loss < 1.2 * min(r.loss for n, r in rows.items() if n in LISTED and r.installed)


def test_a_row_is_the_replay_of_that_model_alone(rows, monkeypatch):
    """Broken, the model's own row gets worse; the others stay as they are."""
    naive = next(m for m in models(Season(60)) if m.name == "naive-week").forecaster
    whole = type(naive).paths
    monkeypatch.setattr(
        type(naive),
        "paths",
        lambda self, values, *rest: (
            np.roll(whole(self, values, *rest), 5, axis=1) if self.season_steps == 168 else whole(self, values, *rest)
        ),
    )
    asked = a_question()
    again = {one.model: one for one in alone(asked, replay(asked), lambda: 0.0)}
    assert again["naive-week"].loss > 5 * rows["naive-week"].loss
    assert again["ets"].loss == rows["ets"].loss


def test_shares_of_selections_add_up(rows):
    assert sum(rows[n].selected for n in LISTED if rows[n].installed) == pytest.approx(1.0)
    made = Replay(np.ones((1, 4)), models=(("ets + theta", 3), ("ets, borrowed from a, b", 1)))
    assert selected(made) == {"ets": 0.625, "theta": 0.375}


def test_a_long_trace_is_judged_by_its_last_decisions(monkeypatch):
    spans = []
    monkeypatch.setattr("ecm.pipeline.alone._measured", lambda name, span, _clock: spans.append(span) or Alone(name))
    monkeypatch.setattr("ecm.pipeline.alone.MOST_DECISIONS", 24)
    asked = a_question(quantiles=(900, 950))
    alone(asked, Replay(np.ones((2, 1)), models=(("ets", 1),)), lambda: 0.0)
    assert {(s.first, s.quantiles) for s in spans} == {(asked.trace.rows - 24, (900,))}
    assert [s.tried.only for s in spans][:2] == [(), (LISTED[0],)]


def test_the_report_and_its_json_have_the_rows(tmp_path, capsys):
    question = a_question()
    stamps = (np.datetime64("2026-03-02T00:00:00") + np.arange(question.trace.rows) * np.timedelta64(1, "h")).astype(
        str
    )
    lines = [f"{s}Z,{v:.3f}" for s, v in zip(stamps, question.trace.load, strict=True)]
    (tmp_path / "load.csv").write_text("timestamp,requests\n" + "\n".join(lines) + "\n")
    words = ["backtest", "--trace", str(tmp_path / "load.csv"), "--node-capacity", "5", "--policy", "ecm", "--json"]
    span = ["--from", str(stamps[question.first]) + "Z"]
    assert run([*words, *span, "--report", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)["models"]
    assert [row["model"] for row in found] == [SELECTION, *LISTED]
    for form in ("report.md", "report.html"):
        text = (tmp_path / "out" / form).read_text()
        assert all(name in text for name in LISTED)
        assert "lstm (not installed)" in text
    assert run([*words, *span]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == []
