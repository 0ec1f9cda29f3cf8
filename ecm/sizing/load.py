"""The load a tier must hold: a quantile, chosen by money, of the joint forecast's maximum over the window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ecm.model.demand import Forecast
from ecm.model.fleet import Application
from ecm.model.policy import Limits, OnViolation, QosProfile
from ecm.model.refusal import Because
from ecm.model.sizing import Load


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
    maxima = _window_maxima(forecast, rows)
    at_quantile = _quantile(maxima, quantile_permille, forecast.tail_factor_permille)
    bounds = {"forecast-quantile": at_quantile, "recent-peak": peak, "bandwidth-floor": promised}
    constraint = max(bounds, key=lambda name: (bounds[name], name))
    subject = "load of " + (", ".join(a.id for a in applications) or "nothing")
    return Load(
        applications=tuple(sorted(a.id for a in applications)),
        quantile_permille=quantile_permille,
        planned_mbps=bounds[constraint],
        p50_mbps=_quantile(maxima, 500, forecast.tail_factor_permille),
        p90_mbps=_quantile(maxima, 900, forecast.tail_factor_permille),
        p99_mbps=_quantile(maxima, 990, forecast.tail_factor_permille),
        because=(
            Because(
                subject=subject[:500],
                number="planned load",
                value=bounds[constraint],
                unit="Mbit/s",
                constraint=constraint,
                detail=f"P{quantile_permille / 10:g} of the window maximum {at_quantile}, most recent peak {peak}, "
                f"promised bandwidth {promised} Mbit/s",
            ),
        ),
    )


def _window_maxima(forecast: Forecast, rows: list[int]) -> list[int]:
    """Return the maximum over the window of the summed load, per scenario, sorted."""
    if not rows:
        return [0]
    window = forecast.scenarios[rows, :, forecast.window_first_step :]
    maxima = np.ceil(np.round(window.sum(axis=0).max(axis=1), 3))
    return sorted(int(m) for m in maxima)


def _quantile(ordered: list[int], permille: int, tail_factor_permille: int) -> int:
    """Return the split-conformal quantile: rank ceil(q (S + 1)) of S values, beyond the last one by the tail factor."""
    rank = math.ceil(permille * (len(ordered) + 1) / 1000)
    if rank > len(ordered):
        return -(-ordered[-1] * tail_factor_permille // 1000)
    return ordered[max(rank, 1) - 1]
