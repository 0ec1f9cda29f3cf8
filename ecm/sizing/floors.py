"""Loads of applications that add up to no more than what any set of them is planned for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecm.model.fleet import Application
from ecm.model.policy import OnViolation
from ecm.sizing.load import LoadSource, planning_quantile, rank_of
from ecm.sizing.tier import Sizer, TierContext


@dataclass(frozen=True)
class Floors:
    """Loads that add up: no planned load of a set of applications is below the sum of its floors."""

    kbps: dict[str, int]
    """By application."""
    small_kbps: int = 0
    """Sums up to this may belong to a set that is planned for at a lower quantile: they say nothing of its load."""


def least_loads(sizer: Sizer, contexts: Sequence[TierContext], applications: tuple[Application, ...]) -> Floors:
    """Return the floors of `applications` on any of the tiers of `contexts`.

    Planned loads keep two floors that add up, the recent peaks and the promised bandwidths, and are never below the
    load in the scenarios, each at its worst step, that are the highest for all applications together. It is the
    highest of the three of all `applications` together.
    """
    source = sizer.source
    counted = [a for a in applications if source.profiles[a.id].on_violation is not OnViolation.BEST_EFFORT]
    rows = {a.id: source.forecast.row(a.id) for a in counted}
    peaks = {a: 1000 * source.forecast.applications[row].recent_peak_mbps for a, row in rows.items()}
    promised = {a: 1000 * source.profiles[a].bandwidth_mbps for a in rows}
    found = [Floors(peaks), Floors(promised)]
    under = _least_at_cap(sizer, contexts, counted)
    if under is not None:
        together = _together(source, rows, min(_cap(sizer, c) for c in contexts))
        found.append(Floors(together, _most_below(together, source, under)))
    best = max(found, key=lambda floors: sum(floors.kbps.values()))
    return Floors({a.id: best.kbps.get(a.id, 0) for a in applications}, best.small_kbps)


def _cap(sizer: Sizer, context: TierContext) -> int:
    """Return the highest quantile that the tier may be planned for at, permille."""
    highest = sizer.limits.model_copy(update={"quantile_min_permille": sizer.limits.quantile_max_permille})
    return planning_quantile([], 1, context.chain_tiers, highest)


def _least_at_cap(sizer: Sizer, contexts: Sequence[TierContext], counted: list[Application]) -> int | None:
    """Return the price of a violated minute from which every set is planned for at the cap; None: not all are."""
    profiles = [sizer.source.profiles[a.id] for a in counted]
    if not profiles or any(p.planning_quantile_permille for p in profiles):
        return None
    dearest = max((c.usd_micro_per_hour for t in contexts for c in sizer.candidates(t)), default=0)
    cap = sizer.limits.quantile_max_permille
    under = int(dearest / 60 * cap / (1000 - cap)) + 1 if cap < 1000 else None
    return under if under is not None and under <= sum(p.violated_minute_usd for p in profiles) else None


def _together(source: LoadSource, rows: dict[str, int], permille: int) -> dict[str, int]:
    """Return the least load of each application in the scenarios that decide the quantile of all together."""
    present = {a: source.windows(row)[0] for a, row in rows.items()}
    total = np.sum(list(present.values()), axis=0)
    rank, scenarios = rank_of(permille, total.shape[1]), total.shape[1]
    factor = source.forecast.tail_factor_permille if rank > scenarios else 1000
    worst = np.argsort(total.max(axis=0), kind="stable")[min(rank, scenarios) - 1 :]
    steps = total[:, worst].argmax(axis=0)
    return {a: int(window[steps, worst].min()) * factor for a, window in present.items()}


def _most_below(kbps: dict[str, int], source: LoadSource, under: int) -> int:
    """Return the most that a set's floors can be while its price of a violated minute is below `under`."""
    left, most = float(under), 0.0
    priced = sorted((-load / max(source.profiles[a].violated_minute_usd, 1e-9), a) for a, load in kbps.items())
    for _, application in priced:
        price = source.profiles[application].violated_minute_usd
        share = min(left / price, 1.0) if price else 1.0
        most, left = most + share * kbps[application], left - share * price
        if left <= 0:
            break
    return int(most) + 1
