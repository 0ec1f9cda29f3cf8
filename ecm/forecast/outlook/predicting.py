"""Two days of quantiles for all applications: blocks of series, fitted at refits, updated at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from ecm.forecast.arrays import Steps
from ecm.forecast.causes import causes_by_application
from ecm.forecast.errors import ForecastError
from ecm.forecast.outlook.block import BlockFit, Recent, Series, Shared, fit, forecast
from ecm.forecast.outlook.choosing import SHARES
from ecm.forecast.outlook.grid import HOURS, Grid
from ecm.forecast.outlook.keeping import Kept, fit_key, packed, unpacked
from ecm.forecast.outlook.sharing import learn, restored, teachers, tried
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Fleet
from ecm.model.outlook import Outlook

SERIES_AT_ONCE = 128
"""Series of a block: enough that numpy's passes outweigh Python, few enough that a pass stays within some 100 MB."""

Made = TypeVar("Made")


class Backend(Protocol):
    """Where blocks are worked on."""

    def map(
        self, work: Callable[..., Made], common: tuple[object, ...], tasks: Iterable[tuple[object, ...]]
    ) -> Iterator[Made]:
        """Yield `work(*task, *common)` for all `tasks`, in their order; `common` is the same for all of them."""


class Here:
    """All blocks one after the other, in this process."""

    def map(
        self, work: Callable[..., Made], common: tuple[object, ...], tasks: Iterable[tuple[object, ...]]
    ) -> Iterator[Made]:
        """Yield `work(*task, *common)` for all `tasks`."""
        for task in tasks:
            yield work(*task, *common)


def outlook(history: DemandHistory, fleet: Fleet, *, as_of: datetime, hours: int = HOURS) -> Outlook:
    """Return quantiles of the load of every application of `history` for `hours` after `as_of`, at most 48.

    Pure: what was measured after `as_of` is not used, and equal arguments give equal bytes. Steps begin where the
    telemetry ends. ForecastError names applications without any measured value, or says that the telemetry ended too
    long ago.
    """
    return OutlookPredictor(history, fleet).at(as_of, hours)


class _Fit(NamedTuple):
    grid: Grid
    shared: Shared
    blocks: tuple[BlockFit, ...]
    kept: bytes


class _Block(NamedTuple):
    zone: str
    rows: Steps


class OutlookPredictor:
    """Forecasts one history as of many moments; until the next refit it only updates.

    `at` gives what `outlook` gives, wherever its blocks are worked on and whether the fit was kept or is made again.
    """

    def __init__(
        self, history: DemandHistory, fleet: Fleet, *, kept: bytes | None = None, backend: Backend | None = None
    ) -> None:
        self._history, self._fleet = history, fleet
        self._backend = backend or Here()
        self._kept = kept
        self._fit: _Fit | None = None
        zones = {vpn.id: vpn.time_zone for vpn in fleet.vpns}
        self._blocks = _blocks([zones[vpn] for vpn in history.vpns])

    @property
    def kept(self) -> bytes | None:
        """What to give to the next run's predictor."""
        return self._fit.kept if self._fit else self._kept

    def at(self, as_of: datetime, hours: int = HOURS) -> Outlook:
        """Return the quantiles of the `hours` after `as_of`; see `outlook`."""
        if not 1 <= hours <= HOURS:
            raise ValueError(f"hours {hours} must be 1 to {HOURS}")
        history = self._history
        grid, length = Grid.of(history, as_of)
        _require_values(history, length)
        if self._fit is None or self._fit.grid != grid:
            self._fit = self._fitted(grid)
        start = history.start + timedelta(minutes=history.interval_min * length)
        steps = -(-(as_of + timedelta(hours=hours) - start) // timedelta(minutes=history.interval_min))
        return self._outlook(self._fit, start, (length, int(steps)))

    def _fitted(self, grid: Grid) -> _Fit:
        history = self._history
        known = tuple(model.name for model in tried(grid, len(history.applications)))
        key = fit_key(history, self._fleet, grid, known)
        kept = unpacked(self._kept, key) if self._kept is not None else None
        taught = self._taught(grid)
        if kept is not None and self._kept is not None:
            return _Fit(grid, restored(kept.models, kept.shape, taught, grid), kept.blocks, self._kept)
        shared = learn(taught, grid, len(history.applications))
        tasks = ((series,) for series in self._series(self._blocks, grid))
        blocks = tuple(self._backend.map(fit, (grid, shared), tasks))
        return _Fit(grid, shared, blocks, packed(key, Kept(shared.models, shared.shape, blocks)))

    def _taught(self, grid: Grid) -> list[Series]:
        chosen = teachers(len(self._history.applications))
        blocks = [_Block(b.zone, np.intersect1d(b.rows, chosen)) for b in self._blocks]
        return list(self._series([b for b in blocks if len(b.rows)], grid))

    def _series(self, blocks: Sequence[_Block], grid: Grid) -> Iterator[Series]:
        history = self._history
        span = (history.start, history.interval_min, grid.fitted + grid.ahead)
        for block in blocks:
            names = tuple(history.applications[row] for row in block.rows)
            causes = causes_by_application(self._fleet, names, span)
            yield Series(history.mbps[block.rows, : grid.fitted], causes, block.zone)

    def _outlook(self, made: _Fit, start: datetime, grid: tuple[int, int]) -> Outlook:
        history, (length, steps) = self._history, grid
        cut = made.grid.cut
        tasks = (
            (Recent(history.mbps[block.rows, cut:length], block.zone, steps), kept)
            for block, kept in zip(self._blocks, made.blocks, strict=True)
        )
        mbps = np.empty((len(history.applications), len(SHARES), steps))
        models = [""] * len(mbps)
        texts: list[tuple[str, ...]] = [()] * len(mbps)
        results = self._backend.map(forecast, (made.grid, made.shared), tasks)
        for block, kept, found in zip(self._blocks, made.blocks, results, strict=True):
            mbps[block.rows] = found
            said = kept.occurrences.texts(len(block.rows), length, length + steps)
            for place, row in enumerate(block.rows):
                models[row], texts[row] = _named(kept, place, made.shared.models), said[place]
        return Outlook(
            start=start,
            interval_min=history.interval_min,
            applications=history.applications,
            vpns=history.vpns,
            models=tuple(models),
            permille=tuple(round(1000 * share) for share in SHARES),
            mbps=mbps,
            event_effects=tuple(texts),
        )


def _blocks(zones: Sequence[str]) -> tuple[_Block, ...]:
    """Return the rows in blocks of one time zone; they depend on nothing but the panel."""
    found = []
    for zone in sorted(set(zones)):
        rows = np.array([row for row, mine in enumerate(zones) if mine == zone])
        found += [_Block(zone, rows[i : i + SERIES_AT_ONCE]) for i in range(0, len(rows), SERIES_AT_ONCE)]
    return tuple(found)


def _named(kept: BlockFit, place: int, names: tuple[str, ...]) -> str:
    used = np.flatnonzero(kept.chosen.used[:, :, place].any(axis=0))
    return " + ".join(names[model] for model in used) or "last value, wide band"


def _require_values(history: DemandHistory, length: int) -> None:
    """Raise ForecastError for applications without any measured value."""
    empty = np.isnan(history.mbps[:, :length]).all(axis=1)
    if empty.any():
        raise ForecastError(
            "no value was measured",
            applications=tuple(history.applications[row] for row in np.flatnonzero(empty)),
            remedy="add telemetry of it, or take it out of the fleet file until it has traffic",
        )
