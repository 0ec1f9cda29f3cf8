"""Every listed model on one trace, alone: what its forecasts were worth, what it would have decided, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ecm.backtest import Score, score, simulate
from ecm.forecast import Tried
from ecm.forecast.models import models
from ecm.forecast.season import Season
from ecm.pipeline.replay import Question, Replay, World, replay

SELECTION = "selection of all"
MOST_DECISIONS = 4032
"""At most so many of the last decisions, 14 days of 5 min: a dozen more replays of a long trace would take too long."""
JUDGED = 990
"""Permille whose coverage a row states."""
Clock = Callable[[], float]


@dataclass(frozen=True)
class Alone:
    """One model that decides alone, or the selection of all."""

    model: str
    installed: bool = True
    fit_s: float = float("nan")
    """Of one refit: learning, and its forecasts from all past origins."""
    update_ms: float = float("nan")
    """Of one decision between two refits."""
    selected: float = float("nan")
    """Share of ECM's own decisions that rest on it; of the mean of several models each has an equal part."""
    loss: float = float("nan")
    """Mean pinball loss of the window's maximum at the planning quantile, in the unit of the trace."""
    within: float = float("nan")
    """Share of the windows whose maximum stayed within P99."""
    score: Score | None = None


def alone(
    asked: Question, made: Replay, clock: Clock, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> tuple[Alone, ...]:
    """Return what the selection and each listed model alone make of the last decisions of `asked`.

    All at the first planning quantile of `asked`. `made` is the replay of `asked` itself, for the shares of selections;
    `clock` returns seconds and is read around fits and updates alone; `progress` is told of the models done.
    """
    first = max(asked.first, asked.trace.rows - MOST_DECISIONS)
    span = replace(asked, first=first, quantiles=asked.quantiles[:1])
    listed = models(Season(asked.trace.step_min))
    shares = selected(made)
    rows = [_measured(SELECTION, span, clock)]
    for place, model in enumerate(listed):
        progress(place, len(listed))
        if not model.installed:
            rows.append(Alone(model.name, installed=False))
            continue
        mine = replace(span, tried=Tried(only=(model.name,)))
        rows.append(replace(_measured(model.name, mine, clock), selected=shares.get(model.name, 0.0)))
    return tuple(rows)


def selected(made: Replay) -> dict[str, float]:
    """Return the share of decisions that rested on each model."""
    total = sum(count for _, count in made.models)
    shares: dict[str, float] = {}
    for text, count in made.models:
        names = text.split(", ")[0].split(" + ")
        for name in names:
            shares[name] = shares.get(name, 0.0) + count / total / len(names)
    return shares


def _measured(name: str, span: Question, clock: Clock) -> Alone:
    world = World(span, span.rules.period(span.trace.step_min))
    began = clock()
    world.forecast(span.first)
    fitted = clock()
    world.forecast(min(span.first + 1, span.trace.rows - 1))
    updated = clock()
    made = replay(span)
    run = simulate(span.trace.part(span.first), span.rules, made.desired[0])
    return Alone(
        model=name,
        fit_s=fitted - began,
        update_ms=1000 * (updated - fitted),
        loss=_mean(made.loss),
        within=1 - _mean(made.exceeded(JUDGED)),
        score=score(run, span.trace.part(span.first), span.rules),
    )


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
