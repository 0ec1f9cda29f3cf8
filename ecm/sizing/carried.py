"""What applications put on a tier together, as sums that an application more or less changes by its own part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ecm.model.base import MAX_MBPS
from ecm.model.fleet import Application
from ecm.model.policy import OnViolation, QosProfile
from ecm.sizing.load import UNCOVERED_PERMILLE, LoadSource, Windows, window_quantile


@dataclass(frozen=True)
class Carried:
    """A set of applications, and the sums that their planned load depends on.

    Scenarios are whole numbers, so that sums do not depend on the order in which applications came and went: what
    `changed` gives is what `of` gives for the same set.
    """

    source: LoadSource
    applications: frozenset[str]
    windows: Windows
    peak_mbps: int = 0
    promised_mbps: int = 0
    uncovered: int = 0
    """Applications whose band did not hold lately."""
    fallen: int = 0
    """Applications whose load fell unexplained."""
    profiles: tuple[tuple[QosProfile, int], ...] = ()
    """Each profile with the number of its applications, in no order."""
    flows: tuple[int, ...] = ()
    """Largest flows that are stated, Mbit/s."""

    @classmethod
    def of(cls, source: LoadSource, applications: Iterable[Application]) -> Carried:
        """Return what `applications` put on a tier."""
        found = cls(source, frozenset(), np.zeros_like(source.windows(0)))
        for application in applications:
            found = found.changed(application)
        return found

    def changed(self, application: Application) -> Carried:
        """Return this with `application`, or without it where it is one of them."""
        sign = -1 if application.id in self.applications else 1
        profile = self.source.profiles[application.id]
        row = self.source.forecast.row(application.id)
        known = self.source.forecast.applications[row]
        joined = replace(
            self,
            applications=self.applications ^ {application.id},
            fallen=self.fallen + sign * known.unexplained_fall,
            profiles=_counted(self.profiles, profile, sign),
            flows=_listed(self.flows, application.largest_flow_mbps or 0, sign),
        )
        if profile.on_violation is OnViolation.BEST_EFFORT:
            return joined
        return replace(
            joined,
            windows=self.windows + sign * self.source.windows(row),
            peak_mbps=self.peak_mbps + sign * known.recent_peak_mbps,
            promised_mbps=self.promised_mbps + sign * profile.bandwidth_mbps,
            uncovered=self.uncovered + sign * (not known.calibrated),
        )

    @property
    def largest_flow_mbps(self) -> int:
        """The largest flow that is stated; 0: none is."""
        return max(self.flows, default=0)

    @cached_property
    def maxima(self) -> npt.NDArray[np.float64]:
        """The maximum over the window of every scenario, (forecasts, scenarios), rising."""
        return np.sort(self.windows.max(axis=1), axis=1)

    def planned_mbps(self, quantile_permille: int) -> int:
        """Return the planned load, as `Demand` does: the highest of its bounds."""
        tail = self.source.forecast.tail_factor_permille
        bounds = [window_quantile(row, quantile_permille, tail) for row in self.maxima]
        bounds += [self.peak_mbps, self.promised_mbps]
        if self.uncovered:
            bounds.append(-(-self.peak_mbps * UNCOVERED_PERMILLE // 1000))
        return min(max(bounds), MAX_MBPS)


def _listed(flows: tuple[int, ...], flow: int, sign: int) -> tuple[int, ...]:
    if not flow:
        return flows
    if sign > 0:
        return (*flows, flow)
    at = flows.index(flow)
    return (*flows[:at], *flows[at + 1 :])


def _counted(
    profiles: tuple[tuple[QosProfile, int], ...], profile: QosProfile, sign: int
) -> tuple[tuple[QosProfile, int], ...]:
    count = next((n for p, n in profiles if p is profile), 0) + sign
    rest = tuple(pair for pair in profiles if pair[0] is not profile)
    return (*rest, (profile, count)) if count else rest
