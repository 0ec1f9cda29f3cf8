"""Load measured while a tier was saturated: a lower bound of the demand, never taken for it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Values
from ecm.model.demand import DemandHistory

LIFT = 1.3
"""Demand behind a bound is taken as 30 % above it, as much as is planned over a recent peak where no band holds:
capacity that follows doubles in three decisions, and what was too much is seen once it is not saturated."""


def lifted(history: DemandHistory) -> DemandHistory:
    """Return the history with every lower bound raised to the demand that models are to expect behind it."""
    if history.saturated is None:
        return history
    return history.model_copy(update={"mbps": np.where(history.saturated, history.mbps * LIFT, history.mbps)})


def least_demand(history: DemandHistory, row: int, length: int) -> Values:
    """Return what one load's demand was at least in the first `length` steps, Mbit/s: what counts for a recent peak."""
    measured: Values = history.mbps[row, :length]
    return (
        measured if history.saturated is None else np.where(history.saturated[row, :length], measured * LIFT, measured)
    )


def told(actual: Values, bound: npt.NDArray[np.bool_], paths: Values, window_first: int) -> Values:
    """Return what came, (origins, steps), without what tells no error: NaN there.

    `actual` is lifted where `bound` is set. A lower bound tells an error where every path (models, origins, steps) was
    below it; elsewhere a forecast may have been right. A window with such a step has no known maximum.
    """
    measured = np.where(bound, actual / LIFT, actual)
    unknown = bound & (np.nan_to_num(paths).max(axis=0) >= measured)
    found = np.where(unknown, np.nan, measured)
    found[unknown[:, window_first:].any(axis=1), window_first:] = np.nan
    return found


def saturation(history: DemandHistory, row: int, span: tuple[int, int]) -> tuple[str, ...]:
    """Return for people that the load of the steps `span` is a lower bound; nothing where it is none."""
    if history.saturated is None or not history.saturated[row, slice(*span)].any():
        return ()
    last = span[0] + int(np.flatnonzero(history.saturated[row, slice(*span)])[-1])
    until = history.start + timedelta(minutes=history.interval_min * (last + 1))
    text = f"saturated up to {until:%Y-%m-%d %H:%M} UTC: {history.mbps[row, last]:.0f} Mbit/s is a lower bound"
    return (f"{text}, the demand is taken as {100 * LIFT - 100:.0f} % above it",)
