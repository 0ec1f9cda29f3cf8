"""One LSTM of all series: how what came over the last hours, in its order, tells what comes next."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.features import SMALLEST, Asked, Known, at, calendar
from ecm.forecast.learning import between, blocks
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season
from ecm.forecast.usual import Usual

RANK = 34
EXTRA = "lstm"
NEEDS = ("jax", "keras")
REFIT_DAYS = 28
"""Training costs a hundred times what other models cost; what loads have in common changes slowly."""

LENGTH = 24
"""The network reads so many blocks of time ..."""
BLOCKS_PER_HOUR = 2
"""... of half an hour, or of one step where steps are longer: half a day to a day."""
UNITS = 24
HIDDEN = 32
EXAMPLES = 6_000
"""Past origins to learn from, over all series: bounds the time of training whatever the size of the panel."""
TEACHERS = 200
DAYS_BACK = 35
"""It learns from the last five weeks alone, whole days of the history: the same whenever they are the same."""
LEAST_SERIES = 8
"""What it learns is what several series have in common."""
LEAST_DAYS = 14
LEAST_EXAMPLES = 500
"""With less there is nothing to learn."""
CHECKED_SHARE = 0.2
"""The latest examples are not learnt: training stops when it no longer helps them."""
EPOCHS = 40
PATIENCE = 4
BATCH = 128
LEARNING_RATE = 3e-3
SEED = 4
REACH_DAYS = 2
TIME_OF_DAY = (0, 2)
"""Columns of the calendar that tell the time of day; weekdays come with the usual loads."""
KNOTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96, 144, 192, 288, 576)
"""Horizons that are forecast, all at once; those between are interpolated, the longest holds beyond."""
CLIP = 8.0
"""Inputs beyond this many mean loads are cut."""
DECIMALS = 6
"""Outputs are rounded to this, in mean loads: sums of any order of threads are equal far below it."""
ROWS_AT_ONCE = 1 << 14
REMEMBERED = 16
"""Trainings that are not repeated in one process."""


class Weights(NamedTuple):
    """A trained network, arrays alone: it forecasts without the packages that trained it."""

    kernel: Values
    """(inputs, 4 units): gates in the order input, forget, cell, output."""
    recurrent: Values
    bias: Values
    hidden: Values
    hidden_bias: Values
    out: Values
    out_bias: Values


_TAUGHT: Final[OrderedDict[bytes, Weights]] = OrderedDict()


class Lstm(PanelForecaster):
    """Usual load plus what a long short-term memory, trained on windows of all series, expects on top of it.

    Hochreiter and Schmidhuber, Long Short-Term Memory (1997); one global network with a direct output for every horizon
    (Salinas et al., DeepAR, 2020, trains one network over series scaled by their mean, as here). It reads how the last
    blocks of time differed from the usual load, scaled by the mean load, with the time of day of each, then the present
    residual and what is usual at each horizon. Effects of events are taken out before and put back after every model.

    Training is by Keras on JAX, in one thread, from fixed seeds, on mean absolute error, and stops early; the forecast
    itself is numpy. Histories given to `learn` and `paths` must begin at the same time of day.

    Examples
    --------
    >>> from ecm.forecast.models.lstm import Lstm
    >>> Lstm(day_steps=24, week_steps=168, reach=4).get_params()["reach"]
    4

    """

    def __init__(self, day_steps: int = 96, week_steps: int = 672, recent_steps: int = 4, reach: int = 1) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.recent_steps = recent_steps
        self.reach = reach
        super().__init__()

    def learn(self, values: Values) -> Weights | None:
        """Return the trained network; None where there are too few examples. ImportError without the extra."""
        if values.shape[1] < LEAST_DAYS * self.day_steps:
            return None
        day = self.day_steps
        values = values[:, max(0, values.shape[1] - DAYS_BACK * day) // day * day :]
        key = sha256(repr((self.get_params(), values.shape)).encode() + np.ascontiguousarray(values).tobytes()).digest()
        if key not in _TAUGHT:
            examples = self._examples(values)
            if examples is None:
                return None
            _TAUGHT[key] = _train(*examples)
            if len(_TAUGHT) > REMEMBERED:
                _TAUGHT.popitem(last=False)
        return _TAUGHT[key]

    def _examples(self, values: Values) -> tuple[Values, Values, Values] | None:
        """Return sequences, facts and targets of past origins, in time; None where there are too few."""
        chosen = np.unique(np.linspace(0, len(values) - 1, min(TEACHERS, len(values))).astype(np.int64))
        known = self._known(values[chosen], self._reach)
        length = values.shape[1]
        rng = np.random.default_rng(SEED)
        series = rng.integers(0, len(chosen), EXAMPLES)
        origin = np.sort(rng.integers(0, length - 1, EXAMPLES))
        asked = _each(series, origin, self._knots)
        target = (at(known.values, *_target(asked)) - known.base(asked)) / known.usual.unit[asked.series, asked.origin]
        good = np.isfinite(target).all(axis=1)
        if good.sum() < LEAST_EXAMPLES:
            return None
        sequence, facts = self._inputs(known, series[good], origin[good])
        return sequence, facts, np.clip(target[good], -CLIP, CLIP)

    @property
    def _reach(self) -> int:
        return REACH_DAYS * self.day_steps

    @property
    def _knots(self) -> Steps:
        return np.array([k for k in KNOTS if k <= self._reach])

    def _inputs(self, known: Known, series: Steps, origin: Steps) -> tuple[Values, Values]:
        """Return what the network reads: sequences (rows, LENGTH, inputs) and facts (rows, facts)."""
        unit = known.usual.unit[series, origin][:, None]
        stride = max(1, self.recent_steps // BLOCKS_PER_HOUR)
        steps = origin[:, None] - stride * np.arange(LENGTH - 1, -1, -1)
        residual = at(known.residual_hour if stride > 1 else known.residual, series[:, None], steps) / unit
        load = at(known.hour if stride > 1 else known.values, series[:, None], steps) / unit
        clock = calendar(steps, (self.day_steps, self.week_steps))[..., list(TIME_OF_DAY)]
        asked = _each(series, origin, self._knots)
        base = known.base(asked) / unit
        days = known.usual.days_ahead(asked.ahead) * self.day_steps
        yesterday = at(known.residual_hour, asked.series, asked.origin + asked.ahead - days) / unit
        now = np.stack([known.residual[series, origin], known.residual_day[series, origin]], axis=1) / unit
        level = (known.hour[series, origin] / np.maximum(known.today[series, origin], SMALLEST))[:, None]
        sequence = np.concatenate([residual[..., None], load[..., None], clock], axis=2)
        facts = np.concatenate([base, yesterday, now, level], axis=1)
        return _bounded(sequence), _bounded(facts)

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        weights = self.learn(values[:, : int(origins.min()) + 1]) if learnt is None else learnt
        out = np.full((len(values), len(origins), steps), np.nan)
        if not isinstance(weights, Weights):
            return out
        ahead = np.arange(1, steps + 1)
        for part in blocks(len(values), max(1, ROWS_AT_ONCE // (len(origins) + values.shape[1] // LENGTH))):
            known = self._known(values[part], max(steps, self._reach))
            series, origin = (a.ravel() for a in np.broadcast_arrays(np.arange(len(values[part]))[:, None], origins))
            excess = np.concatenate(
                [
                    _forward(weights, *self._inputs(known, series[rows], origin[rows]))
                    for rows in blocks(len(series), ROWS_AT_ONCE)
                ]
            )
            asked = _each(series, origin, ahead)
            unit = known.usual.unit[series, origin][:, None]
            path = np.maximum(known.base(asked) + between(excess, self._knots, steps) * unit, 0.0)
            out[part] = path.reshape(-1, len(origins), steps)
        return out

    def _known(self, values: Values, ahead: int) -> Known:
        usual = Usual.of(values, (self.day_steps, self.week_steps), reach=self.reach, ahead=ahead)
        return Known.of(values, usual, self.recent_steps)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "recent_steps": 1, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "recent_steps": 2},
        ]


def _each(series: Steps, origin: Steps, ahead: Steps) -> Asked:
    """Return every horizon of each origin: (origins, horizons)."""
    shape = (len(origin), len(ahead))
    return Asked(*(np.broadcast_to(a, shape) for a in (series[:, None], origin[:, None], ahead)))


def _target(asked: Asked) -> tuple[Steps, Steps]:
    return asked.series, asked.origin + asked.ahead


def _bounded(inputs: Values) -> Values:
    bounded: Values = np.clip(np.nan_to_num(inputs, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)
    return bounded


def _sigmoid(values: Values) -> Values:
    found: Values = 1.0 / (1.0 + np.exp(-values))
    return found


def _forward(weights: Weights, sequence: Values, facts: Values) -> Values:
    """Return the network's output, (rows, horizons), rounded."""
    state = np.zeros((len(sequence), UNITS))
    memory = np.zeros_like(state)
    with threadpool_limits(limits=1, user_api="blas"):
        for step in range(LENGTH):
            gates = sequence[:, step] @ weights.kernel + state @ weights.recurrent + weights.bias
            enter, forget, cell, leave = np.split(gates, 4, axis=1)
            memory = _sigmoid(forget) * memory + _sigmoid(enter) * np.tanh(cell)
            state = _sigmoid(leave) * np.tanh(memory)
        hidden = np.maximum(np.concatenate([state, facts], axis=1) @ weights.hidden + weights.hidden_bias, 0.0)
        found: Values = np.round(hidden @ weights.out + weights.out_bias, DECIMALS)
    return found


def _train(sequence: Values, facts: Values, target: Values) -> Weights:
    """Return the weights of a network trained on all but the latest examples, as good as it ever was on those."""
    keras = _keras()
    seed = iter(range(SEED, SEED + 9))

    def start() -> object:
        return keras.initializers.GlorotUniform(seed=next(seed))

    read = keras.Input(sequence.shape[1:])
    told = keras.Input(facts.shape[1:])
    layers = keras.layers
    lstm = layers.LSTM(
        UNITS, kernel_initializer=start(), recurrent_initializer=keras.initializers.Orthogonal(seed=next(seed))
    )
    hidden = layers.Dense(HIDDEN, activation="relu", kernel_initializer=start())
    # It begins as the usual load itself.
    out = layers.Dense(target.shape[1], kernel_initializer="zeros")
    model = keras.Model([read, told], out(hidden(layers.Concatenate()([lstm(read), told]))))
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mean_absolute_error")
    learnt = round(len(target) * (1 - CHECKED_SHARE))
    order = np.random.default_rng(SEED).permutation(learnt)
    inputs = [sequence.astype(np.float32), facts.astype(np.float32)]
    wanted = target.astype(np.float32)
    model.fit(
        [a[:learnt][order] for a in inputs],
        wanted[:learnt][order],
        validation_data=([a[learnt:] for a in inputs], wanted[learnt:]),
        epochs=EPOCHS,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
    )
    arrays = [np.asarray(w, dtype=np.float64) for layer in (lstm, hidden, out) for w in layer.get_weights()]
    return Weights(*arrays)


def _keras() -> Any:  # noqa: ANN401 - a module without types, loaded only here
    """Return Keras on JAX, one thread, whatever a person's own settings of Keras say."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp(prefix="keras-"))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    import keras  # noqa: PLC0415 - seconds to load, and not always installed

    return keras


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Lstm(
        day_steps=season.day, week_steps=season.week, recent_steps=season.steps(60), reach=15 // season.interval_min
    )
