"""The LSTM remembers what no other model sees, repeats itself bit for bit, and is loaded only where it is trained."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sktime.utils.estimator_checks import check_estimator

from ecm.forecast.arrays import take
from ecm.forecast.models import Tried, candidates, lstm, missing
from ecm.forecast.season import Season

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
ROOT = Path(__file__).resolve().parents[2]
SEASON = Season(60)
MODEL = lstm.forecaster(SEASON)
INSTALLED = not missing(Tried(also=("lstm",)))
needs_keras = pytest.mark.skipif(not INSTALLED, reason="the extra lstm is not installed")


def remembered(series=20, days=30, lag=4, seed=3):
    """Every value follows from the one four hours before by a rule that is not linear (tent map); the hours between
    say nothing. Tong, Non-linear Time Series (1990), 3.3."""
    rng = np.random.default_rng(seed)
    found = list(rng.uniform(-1, 1, (lag, series)))
    for step in range(lag, days * 24):
        found.append(np.clip(1 - 1.9 * np.abs(found[step - lag]) + 0.02 * rng.standard_normal(series), -1, 1))
    return np.geomspace(10, 10_000, series)[:, None] * (1 + 0.4 * np.array(found).T)


def loss(model, values, first, steps):
    origins = np.arange(first, values.shape[1] - steps)
    actual = take(values, origins[:, None] + np.arange(1, steps + 1))
    path = model.paths(values, origins, steps, model.learn(values[:, : first + 1]))
    return float((np.abs(actual - path) / values.mean(axis=1)[:, None, None]).mean())


def untrained(sequence, facts, target):
    """Weights of the right shapes that expect the usual load."""
    rows = (sequence.shape[2], lstm.UNITS, None, lstm.UNITS + facts.shape[1], None, lstm.HIDDEN, None)
    columns = (4 * lstm.UNITS,) * 3 + (lstm.HIDDEN,) * 2 + (target.shape[1],) * 2
    return lstm.Weights(*(np.zeros((r, c) if r else c) for r, c in zip(rows, columns, strict=True)))


@needs_keras
@pytest.mark.slow
def test_it_wins_where_what_came_hours_ago_decides():
    values = remembered()
    others = [
        m for m in candidates(SEASON, len(values)) if m.name in ("boosted", "arima", "ets", "residual-regression")
    ]
    assert loss(MODEL, values, 28 * 24, 2) < 0.4 * min(loss(m.forecaster, values, 28 * 24, 2) for m in others)


@needs_keras
def test_the_forecast_is_what_keras_would_give(monkeypatch):
    monkeypatch.setattr(lstm, "EPOCHS", 1)
    monkeypatch.setattr(lstm, "EXAMPLES", 1000)
    weights = MODEL.learn(remembered(10, 20))
    keras = lstm._keras()
    rng = np.random.default_rng(1)
    facts = weights.hidden.shape[0] - lstm.UNITS
    sequence, told = rng.standard_normal((7, lstm.LENGTH, len(weights.kernel))), rng.standard_normal((7, facts))
    read, more = keras.Input(sequence.shape[1:]), keras.Input((facts,))
    layers = [keras.layers.LSTM(lstm.UNITS), keras.layers.Dense(lstm.HIDDEN, activation="relu")]
    layers.append(keras.layers.Dense(len(weights.out_bias)))
    both = keras.layers.Concatenate()([layers[0](read), more])
    model = keras.Model([read, more], layers[2](layers[1](both)))
    for layer, arrays in zip(layers, (weights[:3], weights[3:5], weights[5:]), strict=True):
        layer.set_weights(arrays)
    theirs = model.predict([sequence, told], verbose=0)
    np.testing.assert_allclose(lstm._forward(weights, sequence, told), theirs, atol=1e-4)
    assert np.abs(weights.out).max() > 0


TRAINS = """
import hashlib, os, sys
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]))
from ecm.forecast.models import lstm
from ecm.forecast.season import Season
from tests.unit.test_forecast_lstm import remembered
lstm.EPOCHS = 2
model, values = lstm.forecaster(Season(60)), remembered(10, 20)
weights = model.learn(values)
path = model.paths(values, __import__("numpy").array([470]), 30, weights)
print(hashlib.sha256(b"".join(w.tobytes() for w in weights) + path.tobytes()).hexdigest())
"""


@needs_keras
@pytest.mark.slow
def test_the_same_bytes_with_one_thread_and_two():
    def digest(threads):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", TRAINS, threads]
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert digest("1") == digest("2") != ""


@pytest.mark.slow
def test_sktime_accepts_the_model(monkeypatch):
    """With training replaced: sktime fits a model a thousand times."""
    monkeypatch.setattr(lstm, "_train", untrained)
    results = check_estimator(lstm.Lstm, raise_exceptions=False, verbose=False)
    assert len(results) > 300
    assert {k: v for k, v in results.items() if v != "PASSED"} == {}


def test_a_forecast_sees_nothing_after_its_origin_and_no_other_origin(monkeypatch):
    rng = np.random.default_rng(2)
    monkeypatch.setattr(
        lstm, "_train", lambda *a: lstm.Weights(*(0.1 * rng.standard_normal(w.shape) for w in untrained(*a)))
    )
    values = remembered(3, 25)
    values[0, 100:130] = np.nan
    learnt = MODEL.learn(values[:, :400])
    origins = np.array([450, 470, 500])
    whole = MODEL.paths(values, origins, 60, learnt)
    assert np.isfinite(whole).all()
    changed = values.copy()
    changed[:, 471:] *= 7
    assert np.array_equal(MODEL.paths(changed, origins[1:2], 60, learnt)[:, 0], whole[:, 1])
    assert np.array_equal(MODEL.paths(values[:1], origins, 60, learnt)[0], whole[0])


def test_it_learns_the_same_wherever_the_history_was_cut(monkeypatch):
    seen = []
    monkeypatch.setattr(lstm, "_train", lambda *a: seen.append(a) or untrained(*a))
    values = remembered(3, 60)
    MODEL.learn(values[:, 5:])
    MODEL.learn(values[:, 5 + 3 * 24 :])
    assert len(seen) == 1


def test_too_little_history_is_no_forecast():
    assert MODEL.learn(remembered(3, 13)) is None
    assert np.isnan(MODEL.paths(remembered(3, 13), np.array([300]), 4)).all()


def test_it_is_tried_where_it_is_asked_for_installed_and_has_series_to_learn_from(monkeypatch):
    asked = Tried(also=("lstm",))

    def tried(series, how):
        return "lstm" in [m.name for m in candidates(SEASON, series, how)]

    monkeypatch.setattr("ecm.forecast.models.find_spec", lambda package: package)
    assert (tried(8, asked), tried(7, asked), tried(8, Tried())) == (True, False, False)
    assert missing(asked) == ()
    monkeypatch.setattr("ecm.forecast.models.find_spec", lambda _package: None)
    assert not tried(8, asked)
    assert missing(asked) == ("jax", "keras")
    assert missing(Tried()) == ()


LAZY = """
import sys
from ecm.cli.main import run
run(["--help"])
from ecm.forecast.models import candidates, models
from ecm.forecast.season import Season
assert any(m.name == "lstm" for m in models(Season(60)))
candidates(Season(60), 100)
import ecm.pipeline.trial
print("loaded", sorted({"keras", "jax"} & set(sys.modules)))
"""


def test_nothing_but_training_loads_keras():
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", LAZY], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"
