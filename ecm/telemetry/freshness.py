"""How old, how long and how sound a history is; what that means is guard's decision."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from ecm.model.demand import DemandHistory, Severity


def age_min(history: DemandHistory, as_of: datetime) -> int:
    """Return the minutes from the end of the last measured interval to `as_of`, of the application that is oldest.

    The whole history's length counts for an application that was never measured; negative when data lie in the future.
    """
    now = int((as_of - history.end).total_seconds() // 60)
    return max(now + lag * history.interval_min for lag in _lags(history))


def days(history: DemandHistory) -> int:
    """Return the whole days from the first to the last measured interval, of the application with the most.

    The shortest would let a new application hold up the whole stack; the forecast widens its band instead.
    """
    lengths = []
    for row in history.mbps:
        measured = np.flatnonzero(~np.isnan(row))
        lengths.append(int(measured[-1] - measured[0] + 1) * history.interval_min // 1440 if measured.size else 0)
    return max(lengths, default=0)


def faults(history: DemandHistory) -> tuple[str, ...]:
    """Return what was found that no forecast can rest on, one text for each: a counter in place of a rate.

    A missing application is not among it: `age_min` knows.
    """
    return tuple(
        f"{found.vpn}/{found.application}: {found.kind}"
        for found in history.findings
        if found.severity is Severity.ERROR and found.kind != "missing"
    )


def _lags(history: DemandHistory) -> list[int]:
    steps = history.mbps.shape[1]
    lags = []
    for row in history.mbps:
        measured = np.flatnonzero(~np.isnan(row))
        lags.append(steps - 1 - int(measured[-1]) if measured.size else steps)
    return lags or [steps]
