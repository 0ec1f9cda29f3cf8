"""A block of series: fitted at a refit, forecast at every step; it knows of no other block."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Values, mean
from ecm.forecast.causes import Cause
from ecm.forecast.models import Model, models
from ecm.forecast.outlook.bands import quantiles, scaled, tables
from ecm.forecast.outlook.choosing import Chosen, Past, actual, choose, unit
from ecm.forecast.outlook.grid import Grid
from ecm.forecast.outlook.occurrences import Occurrences, occurrences
from ecm.forecast.panel import PanelForecaster, held
from ecm.forecast.selection import SCALE_FLOOR
from ecm.forecast.wallclock import WallClock

FALLBACK = "naive-day"
"""Where nothing can be judged or none of the chosen models can forecast; before it has a day, the last value stays."""
SMALLEST = 1e-6
MAX_MBPS = 10_000_000.0
DECIMALS = 3
"""Loads are told to 1 kbit/s: machines differ in the last bits of what is behind."""


class Series(NamedTuple):
    """Series of one time zone, up to a refit."""

    values: Values
    """(series, steps), Mbit/s, from the start of the history."""
    causes: tuple[tuple[Cause, ...], ...]
    """Of every series."""
    zone: str


class Shared(NamedTuple):
    """What all blocks have in common, learnt once from some series of the panel."""

    models: tuple[str, ...]
    """Names of the models that are tried, in order of preference."""
    shape: Values
    """(shares, bands): see `bands.shape_of`."""
    early: dict[str, object]
    """By name, what models of all series learnt from the history before the first past origin."""
    late: dict[str, object]
    """... and from the whole of it."""


class BlockFit(NamedTuple):
    """What a refit leaves of a block."""

    chosen: Chosen
    tables: Values
    """(series, shares, bands): quantiles of scaled errors."""
    floor: Values
    """(series): smallest unit of scaled errors, Mbit/s."""
    learnt: dict[str, Values]
    """By name, the parameters of the chosen models, (series, parameters); NaN in rows that do not use them."""
    occurrences: Occurrences


def named(grid: Grid, names: tuple[str, ...]) -> tuple[Model, ...]:
    """Return the models called `names`, in their order."""
    known = {model.name: model for model in models(grid.season)}
    return tuple(known[name] for name in names)


def occurrences_of(series: Series, grid: Grid) -> Occurrences:
    """Return what events and holidays did to `series`, and are expected to do until the last step that may be asked."""
    return occurrences(series.values, series.causes, grid.season, grid.ahead)


def past_of(series: Series, eventful: Occurrences, grid: Grid, shared: Shared) -> Past:
    """Return what models forecast at past origins, with parameters from before the first of them, and what came."""
    rows, cut, origins = len(series.values), grid.used, grid.origins
    known = named(grid, shared.models)
    ahead = origins[:, None] + grid.leads
    paths = np.full((len(known), rows, *ahead.shape), np.nan)
    if len(origins):
        measured, expected, _ = eventful.spread(rows, cut, grid.fitted + grid.steps)
        values = series.values[:, cut:] / measured[:, : grid.fitted - cut]
        clock = _clock(series.zone, grid, cut, grid.fitted + grid.steps)
        for place, model in enumerate(known):
            learnt = shared.early.get(model.name)
            if learnt is None:
                learnt = clock.learn(model.forecaster, values[:, : int(origins[0]) + 1 - cut])
            found = clock.paths(model.forecaster, values, origins - cut, grid.steps, learnt)
            paths[place] = found[:, :, grid.leads - 1] * expected[:, ahead - cut]
    floor = SCALE_FLOOR * np.nan_to_num(mean(series.values[:, cut:])) + SMALLEST
    return Past(actual(series.values, grid), paths, floor)


def fit(series: Series, grid: Grid, shared: Shared) -> BlockFit:
    """Return what a forecast at any step until the next refit needs besides the recent history."""
    eventful = occurrences_of(series, grid)
    past = past_of(series, eventful, grid, shared)
    chosen = choose(past, grid.groups)
    return BlockFit(
        chosen=chosen,
        tables=tables(scaled(past, chosen, grid), shared.shape),
        floor=past.floor,
        learnt=_learnt(series, eventful, grid, (shared, chosen)),
        occurrences=eventful,
    )


def _learnt(series: Series, eventful: Occurrences, grid: Grid, made: tuple[Shared, Chosen]) -> dict[str, Values]:
    """Return the parameters of the chosen models that learn from each series, from the whole of the recent history."""
    shared, chosen = made
    measured, _, _ = eventful.spread(len(series.values), grid.cut, grid.fitted)
    values = series.values[:, grid.cut :] / measured
    clock = _clock(series.zone, grid, grid.cut, grid.fitted)
    found = {}
    for place, model in enumerate(named(grid, shared.models)):
        rows = np.flatnonzero(chosen.used[:, place].any(axis=0))
        if len(rows) and model.name not in shared.late and _learns(model.forecaster):
            learnt = np.asarray(clock.learn(model.forecaster, values[rows]), dtype=np.float64)
            found[model.name] = np.full((len(values), *learnt.shape[1:]), np.nan)
            found[model.name][rows] = learnt
    return found


def _learns(forecaster: PanelForecaster) -> bool:
    return type(forecaster).learn is not PanelForecaster.learn


class Recent(NamedTuple):
    """What a forecast starts from."""

    values: Values
    """(series, steps), Mbit/s, from `Grid.cut` on; the forecast begins after the last."""
    zone: str
    steps: int
    """Forecast steps."""


def forecast(recent: Recent, kept: BlockFit, grid: Grid, shared: Shared) -> Values:
    """Return quantiles (series, shares, steps), Mbit/s, of the load after `recent`; NaN where nothing was measured."""
    rows, known = recent.values.shape
    cut, steps = grid.cut, max(recent.steps, grid.steps)
    length = cut + known
    measured, expected, sigma = kept.occurrences.spread(rows, cut, length + steps)
    values = recent.values / measured[:, :known]
    clock = _clock(recent.zone, grid, cut, length + steps)
    path = _path((values, clock, steps), kept, grid, shared) * expected[:, known:]
    errors = grid.between(kept.tables, steps) * unit(path, kept.floor, kept.chosen.power)[:, None]
    found = quantiles(path, errors, sigma[:, known:])[..., : recent.steps]
    told: Values = np.asarray(np.round(np.minimum(found, MAX_MBPS), DECIMALS), dtype=np.float64)
    told[np.isnan(recent.values).all(axis=1)] = np.nan
    return told


def _path(world: tuple[Values, WallClock, int], kept: BlockFit, grid: Grid, shared: Shared) -> Values:
    """Return the mean of the chosen models' forecasts, (series, steps); where there is none, yesterday or the last."""
    values, clock, steps = world
    last = np.array([values.shape[1] - 1])
    group = grid.group_of(steps)
    total, count = np.zeros((len(values), steps)), np.zeros((len(values), steps))
    for place, model in enumerate(named(grid, shared.models)):
        used = kept.chosen.used[:, place]
        rows = np.flatnonzero(used.any(axis=0))
        if not len(rows):
            continue
        learnt = shared.late.get(model.name)
        if learnt is None and model.name in kept.learnt:
            learnt = kept.learnt[model.name][rows]
        path = clock.paths(model.forecaster, values[rows], last, steps, learnt)[:, 0]
        counted = used[group][:, rows].T & ~np.isnan(path)
        total[rows] += np.where(counted, path, 0.0)
        count[rows] += counted
    path = total / np.maximum(count, 1)
    missing = np.flatnonzero((count == 0).any(axis=1))
    if len(missing):
        yesterday = clock.paths(named(grid, (FALLBACK,))[0].forecaster, values[missing], last, steps)[:, 0]
        stays = np.where(np.isnan(yesterday), held(values[missing], last), yesterday)
        path[missing] = np.where(count[missing] == 0, stays, path[missing])
    return path


def _clock(zone: str, grid: Grid, first: int, after: int) -> WallClock:
    """Return the wall clock of the steps [first, after)."""
    interval = grid.season.interval_min
    return WallClock.of(zone, grid.start + timedelta(minutes=interval * first), interval, after - first)
