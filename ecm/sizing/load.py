"""The load a tier must hold: a quantile, chosen by money, of the joint forecast's maximum over the window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecm.model.demand import Forecast
from ecm.model.fleet import Application
from ecm.model.policy import Limits, OnViolation, QosProfile
from ecm.model.refusal import Because
from ecm.model.sizing import Load

UNCOVERED_PERMILLE = 1300
"""Where the band of a forecast did not hold, at least the most recent peak and 30 % is planned: between the margins of
20 and 50 % that are used where no forecast has an interval."""


@dataclass(frozen=True)
class LoadSource:
    """What a tier's load is computed from."""

    forecast: Forecast
    profiles: dict[str, QosProfile]
    """By application id."""
    limits: Limits


def planning_quantile(profiles: list[QosProfile], node_usd_per_hour: int, chain_tiers: int, limits: Limits) -> int:
    """Return the tier's planning quantile in permille.

    The newsvendor's critical ratio c_u / (c_u + c_o) with c_u the price of a violated minute of all profiles together
    and c_o the price of one node for a minute (micro-USD), or the profile's own quantile where people set it, held to
    the limits. A chain is violated when any of its tiers is short, so each of `chain_tiers` tiers gets an equal part
    of the chain's risk (union bound).
    """
    under = sum(p.violated_minute_usd for p in profiles)
    over = node_usd_per_hour / 60
    money = int(1000 * under / (under + over)) if under else limits.quantile_min_permille
    chosen = max([p.planning_quantile_permille for p in profiles if p.planning_quantile_permille] or [money])
    chain = min(max(chosen, limits.quantile_min_permille), limits.quantile_max_permille)
    return 1000 - max(1, (1000 - chain) // chain_tiers)


def tier_load(source: LoadSource, applications: tuple[Application, ...], quantile_permille: int) -> Load:
    """Return the load of `applications` together, whole Mbit/s, with the constraint that bound it.

    Never below the most recent peak of what they carry, nor below the bandwidth that their profiles are promised.
    Applications served at best effort are never a reason to add a node and are left out.
    """
    counted = [a for a in applications if source.profiles[a.id].on_violation is not OnViolation.BEST_EFFORT]
    forecast = source.forecast
    rows = [forecast.row(a.id) for a in counted]
    peak = sum(forecast.applications[r].recent_peak_mbps for r in rows)
    promised = sum(source.profiles[a.id].bandwidth_mbps for a in counted)
    now, *earlier = _window_maxima(forecast, rows)
    tail = forecast.tail_factor_permille
    at_quantile = _quantile(now, quantile_permille, tail)
    before = max((_quantile(m, quantile_permille, tail) for m in earlier), default=0)
    bounds = {"forecast-quantile": at_quantile, "recent-peak": peak, "bandwidth-floor": promised}
    bounds["recent-forecast"] = before
    uncovered = sorted(forecast.applications[r].application for r in rows if not forecast.applications[r].calibrated)
    if uncovered:
        bounds["coverage-failed"] = -(-peak * UNCOVERED_PERMILLE // 1000)
    # Where several bind, the plainest reason is named.
    constraint = max(bounds, key=lambda name: (bounds[name], name != "recent-forecast", name))
    subject = "load of " + (", ".join(a.id for a in applications) or "nothing")
    missed = f"; the band of {', '.join(uncovered)} did not hold over the last day" if uncovered else ""
    return Load(
        applications=tuple(sorted(a.id for a in applications)),
        quantile_permille=quantile_permille,
        planned_mbps=bounds[constraint],
        p50_mbps=_quantile(now, 500, tail),
        p90_mbps=_quantile(now, 900, tail),
        p99_mbps=_quantile(now, 990, tail),
        because=(
            Because(
                subject=subject[:500],
                number="planned load",
                value=bounds[constraint],
                unit="Mbit/s",
                constraint=constraint,
                detail=f"P{quantile_permille / 10:g} of the window maximum {at_quantile} "
                f"({before} in the forecasts of the last minutes), most recent peak {peak}, "
                f"promised bandwidth {promised} Mbit/s{missed}"[:500],
            ),
        ),
    )


def _window_maxima(forecast: Forecast, rows: list[int]) -> list[npt.NDArray[np.float64]]:
    """Return the maximum over the window of the summed load, per scenario, sorted: of this and of earlier forecasts."""
    if not rows:
        return [np.zeros(1)]
    windows = [forecast.scenarios[rows, :, forecast.window_first_step :], *(e[rows] for e in forecast.earlier)]
    return [np.sort(np.ceil(np.round(window.sum(axis=0).max(axis=1), 3))) for window in windows]


def _quantile(ordered: npt.NDArray[np.float64], permille: int, tail_factor_permille: int) -> int:
    """Return the split-conformal quantile: rank ceil(q (S + 1)) of S values, beyond the last one by the tail factor."""
    rank = math.ceil(permille * (len(ordered) + 1) / 1000)
    if rank > len(ordered):
        return -(-int(ordered[-1]) * tail_factor_permille // 1000)
    return int(ordered[max(rank, 1) - 1])
