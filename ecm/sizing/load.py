"""The load a tier must hold: a quantile, chosen by money, of the joint forecast's maximum over the window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ecm.model.base import MAX_MBPS
from ecm.model.demand import Forecast
from ecm.model.fleet import Application
from ecm.model.policy import Limits, OnViolation, QosProfile
from ecm.model.refusal import Because
from ecm.model.sizing import Load

Windows = npt.NDArray[np.float64]
"""(forecasts, steps of the window, scenarios), Mbit/s: of the present forecast and of earlier ones."""

UNCOVERED_PERMILLE = 1300
"""Where the band of a forecast did not hold, at least the most recent peak and 30 % is planned: between the margins of
20 and 50 % that are used where no forecast has an interval."""


@dataclass(frozen=True)
class LoadSource:
    """What a tier's load is computed from."""

    forecast: Forecast
    profiles: dict[str, QosProfile]
    """By application id."""

    def windows(self, row: int) -> Windows:
        """Return what the forecast says of the application in `row` over the window."""
        if row not in self._windows:
            made, first = self.forecast, self.forecast.window_first_step
            every = np.concatenate([made.scenarios[None, row, :, first:], made.earlier[:, row]])
            self._windows[row] = np.ascontiguousarray(every.swapaxes(1, 2))
        return self._windows[row]

    @cached_property
    def _windows(self) -> dict[int, Windows]:
        return {}


def planning_quantile(profiles: list[QosProfile], node_usd_per_hour: int, chain_tiers: int, limits: Limits) -> int:
    """Return the tier's planning quantile in permille.

    The newsvendor's critical ratio c_u / (c_u + c_o) with c_u the price of a violated minute of all profiles together
    and c_o the price of one node for a minute (micro-USD), or the profile's own quantile where people set it, held to
    the limits. A chain is violated when any of its tiers is short, so each of `chain_tiers` tiers gets an equal part
    of the chain's risk (union bound).
    """
    stated = [p.planning_quantile_permille for p in profiles if p.planning_quantile_permille]
    under = sum(p.violated_minute_usd for p in profiles)
    return quantile_of(under, stated, node_usd_per_hour, chain_tiers, limits)


def quantile_of(under: int, stated: list[int], node_usd_per_hour: int, chain_tiers: int, limits: Limits) -> int:
    """Return the planning quantile in permille where a violated minute of all profiles is `under` micro-USD.

    `stated` are the profiles' own quantiles.
    """
    over = node_usd_per_hour / 60
    money = int(1000 * under / (under + over)) if under else limits.quantile_min_permille
    chosen = max(stated or [money])
    chain = min(max(chosen, limits.quantile_min_permille), limits.quantile_max_permille)
    return 1000 - max(1, (1000 - chain) // chain_tiers)


def tier_load(source: LoadSource, applications: tuple[Application, ...], quantile_permille: int) -> Load:
    """Return the load of `applications` together, whole Mbit/s, with the constraint that bound it; see `Demand`."""
    return Demand(source, applications).at(quantile_permille)


class Demand:
    """What some applications together may ask of a tier: the load at any planning quantile.

    Never below the most recent peak of what they carry, nor below what the forecasts of the last minutes asked for, nor
    below the bandwidth that their profiles are promised. Applications served at best effort are never a reason to add a
    node and are left out.
    """

    def __init__(self, source: LoadSource, applications: tuple[Application, ...]) -> None:
        profiles, self._forecast = source.profiles, source.forecast
        counted = [a for a in applications if profiles[a.id].on_violation is not OnViolation.BEST_EFFORT]
        rows = [self._forecast.row(a.id) for a in counted]
        items = [self._forecast.applications[r] for r in rows]
        self._names = tuple(sorted(a.id for a in applications))
        self._peak = sum(i.recent_peak_mbps for i in items)
        self._promised = sum(profiles[a.id].bandwidth_mbps for a in counted)
        self._uncovered = sorted(i.application for i in items if not i.calibrated)
        self._now, *self._earlier = _window_maxima(self._forecast, rows)

    def at(self, quantile_permille: int) -> Load:
        """Return the load that a tier is planned for at `quantile_permille`, whole Mbit/s."""
        at_quantile = self._quantile(self._now, quantile_permille)
        before = max((self._quantile(maxima, quantile_permille) for maxima in self._earlier), default=0)
        bounds = {"forecast-quantile": at_quantile, "recent-peak": self._peak, "bandwidth-floor": self._promised}
        bounds["recent-forecast"] = before
        if self._uncovered:
            bounds["coverage-failed"] = -(-self._peak * UNCOVERED_PERMILLE // 1000)
        bounds = {name: min(mbps, MAX_MBPS) for name, mbps in bounds.items()}
        # Where several bind, the plainest reason is named.
        constraint = max(bounds, key=lambda name: (bounds[name], name != "recent-forecast", name))
        because = Because(
            subject=f"load of {', '.join(self._names) or 'nothing'}"[:500],
            number="planned load",
            value=bounds[constraint],
            unit="Mbit/s",
            constraint=constraint,
            detail=self._detail(quantile_permille, at_quantile, before)[:500],
        )
        return Load(
            applications=self._names,
            quantile_permille=quantile_permille,
            planned_mbps=bounds[constraint],
            p50_mbps=self._quantile(self._now, 500),
            p90_mbps=self._quantile(self._now, 900),
            p99_mbps=self._quantile(self._now, 990),
            because=(because,),
        )

    def _quantile(self, maxima: npt.NDArray[np.float64], permille: int) -> int:
        return min(window_quantile(maxima, permille, self._forecast.tail_factor_permille), MAX_MBPS)

    def _detail(self, quantile_permille: int, at_quantile: int, before: int) -> str:
        missed = f"; the band of {', '.join(self._uncovered)} did not hold lately" if self._uncovered else ""
        return (
            f"P{quantile_permille / 10:g} of the window maximum {at_quantile} ({before} in the forecasts of the last "
            f"minutes), most recent peak {self._peak}, promised bandwidth {self._promised} Mbit/s{missed}"
        )


def without_unexplained_fall(load: Load, forecast: Forecast, held_mbps: int) -> Load:
    """Return `load`, or the `held_mbps` that run now where a load fell and nothing explains it.

    It may come back at once, and its clients all together, so nothing is scaled in on it.
    """
    fallen = [a for a in load.applications if forecast.applications[forecast.row(a)].unexplained_fall]
    if not fallen or held_mbps <= load.planned_mbps:
        return load
    because = Because(
        subject=load.because[0].subject,
        number="planned load",
        value=held_mbps,
        unit="Mbit/s",
        constraint="unexplained-fall",
        detail=f"{', '.join(fallen)[:300]} fell unexplained, or has just come back: kept at {held_mbps} Mbit/s",
    )
    return load.model_copy(update={"planned_mbps": held_mbps, "because": (because,)})


def _window_maxima(forecast: Forecast, rows: list[int]) -> list[npt.NDArray[np.float64]]:
    """Return the maximum over the window of the summed load, per scenario, sorted: of this and of earlier forecasts."""
    if not rows:
        return [np.zeros(1)]
    windows = [forecast.scenarios[rows, :, forecast.window_first_step :], *(e[rows] for e in forecast.earlier)]
    return [np.sort(np.ceil(np.round(window.sum(axis=0).max(axis=1), 3))) for window in windows]


def rank_of(permille: int, count: int) -> int:
    """Return which of `count` rising values is the split-conformal quantile; `count` + 1: one beyond the last."""
    return math.ceil(permille * (count + 1) / 1000)


def window_quantile(ordered: npt.NDArray[np.float64], permille: int, tail_factor_permille: int) -> int:
    """Return the split-conformal quantile: rank ceil(q (S + 1)) of S values, beyond the last one by the tail factor."""
    rank = rank_of(permille, len(ordered))
    if rank > len(ordered):
        return -(-int(ordered[-1]) * tail_factor_permille // 1000)
    return int(ordered[max(rank, 1) - 1])
