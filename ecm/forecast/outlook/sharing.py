"""What the blocks of a panel share: the models worth trying, models of all series, the shape of errors' tails."""

from __future__ import annotations

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.models import Model, candidates
from ecm.forecast.outlook.bands import shape_of
from ecm.forecast.outlook.block import Series, Shared, named, occurrences_of, past_of
from ecm.forecast.outlook.choosing import SHARES, Past, choose
from ecm.forecast.outlook.grid import Grid

LEFT_OUT = ("residual-regression", "ets", "lstm")
"""Two days of steps, one by one, take these more than ten times as long per series as any other model."""
FEW = 256
"""Panels of so many series try every model for every series, models of all series too: those work out their features
over the whole recent history at every step, which was worth 3 % of the loss but half of the time of an update."""
TEACHERS = 128
"""So many series, evenly spread over a larger panel, show which models are worth trying."""
LEAST_SHARE = 0.1
MOST_MODELS = 3
"""... those that make at least this share of the teachers' forecasts, and at most so many: on generated panels five
were less than 1 % better at twice the time."""


def teachers(series: int) -> Steps:
    """Return the rows of a panel that teach what all blocks share."""
    return np.unique(np.linspace(0, series - 1, min(TEACHERS, series)).astype(np.int64))


def tried(grid: Grid, series: int) -> tuple[Model, ...]:
    """Return the models that are tried on the teachers of a panel of so many series."""
    known = (m for m in candidates(grid.season, series) if m.name not in LEFT_OUT)
    return tuple(m for m in known if series <= FEW or m.least_series == 1)


def learn(taught: list[Series], grid: Grid, series: int) -> Shared:
    """Return what all blocks of a panel of `series` series share, learnt from its teachers, grouped by time zone."""
    known = tried(grid, series)
    nothing = np.full((len(SHARES), len(grid.bands)), np.nan)
    events = [occurrences_of(one, grid) for one in taught]
    clean = np.concatenate([
        one.values / eventful.spread(len(one.values), 0, grid.fitted)[0]
        for one, eventful in zip(taught, events, strict=True)
    ])  # fmt: skip
    early, late = _global(known, clean, grid)
    able = tuple(m.name for m in known if m.least_series == 1 or None not in (early.get(m.name), late.get(m.name)))
    every = Shared(able, nothing, early, late)
    pasts = [past_of(one, eventful, grid, every) for one, eventful in zip(taught, events, strict=True)]
    past = Past(
        np.concatenate([p.actual for p in pasts]),
        np.concatenate([p.paths for p in pasts], axis=1),
        np.concatenate([p.floor for p in pasts]),
    )
    names = _shortlist(past, grid, every.models) if series > FEW else every.models
    past = past._replace(paths=past.paths[[every.models.index(name) for name in names]])
    early, late = ({n: found for n, found in kept.items() if n in names} for kept in (every.early, every.late))
    return Shared(names, shape_of(past, choose(past, grid.groups), grid), early, late)


def restored(names: tuple[str, ...], shape: Values, taught: list[Series], grid: Grid) -> Shared:
    """Return what `learn` returned from what of it can be kept as arrays: models of all series learn again."""
    known = tuple(m for m in named(grid, names) if m.least_series > 1)
    if not known:
        return Shared(names, shape, {}, {})
    clean = np.concatenate([
        one.values / occurrences_of(one, grid).spread(len(one.values), 0, grid.fitted)[0] for one in taught
    ])  # fmt: skip
    return Shared(names, shape, *_global(known, clean, grid))


def _global(known: tuple[Model, ...], values: Values, grid: Grid) -> tuple[dict[str, object], dict[str, object]]:
    """Return what models of all series learn from before the first past origin, and from all history."""
    early, late = {}, {}
    for model in (m for m in known if m.least_series > 1):
        if len(grid.origins):
            early[model.name] = model.forecaster.learn(values[:, grid.used : int(grid.origins[0]) + 1])
        late[model.name] = model.forecaster.learn(values[:, grid.cut :])
    return early, late


def _shortlist(past: Past, grid: Grid, names: tuple[str, ...]) -> tuple[str, ...]:
    used = choose(past, grid.groups).used.mean(axis=(0, 2))
    best = sorted(range(len(names)), key=lambda place: (-round(float(used[place]), 9), place))[:MOST_MODELS]
    return tuple(name for place, name in enumerate(names) if place in best and used[place] >= LEAST_SHARE)
