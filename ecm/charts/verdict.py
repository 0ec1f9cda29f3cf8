"""Whether a policy may go live, in words that name the figures which decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ecm.charts.rows import Comparison, CoverageRow, PolicyRow

_TAIL: Final = 0.99
_ROUNDING: Final = 1e-9
"""Shares are differences of decimal fractions: 0.115 - 0.1 is not above 0.015."""


class GoLive(StrEnum):
    """The three answers; the value is how they are said."""

    GO = "go"
    RESERVED = "go with reservations"
    STOP = "do not go"


@dataclass(frozen=True)
class Targets:
    """What must hold; the defaults are the project's own goals on a seasonal 5-minute trace."""

    violation_share: float = 0.0015
    """Of the measured minutes."""
    ratio_to_clairvoyant: float = 1.75
    """Instance-hours over those of the clairvoyant schedule."""
    coverage_points: float = 1.5
    """Percentage points between stated and measured exceedance, below P99."""
    tail_points: float = 0.5
    """The same from P99 on, where one point and a half would be more than the nominal share itself."""

    def points(self, quantile: float) -> float:
        """Return the tolerance of a quantile, percentage points."""
        return self.tail_points if quantile >= _TAIL else self.coverage_points


@dataclass(frozen=True)
class Verdict:
    """The answer, why not or why only with care, and what speaks for it."""

    answer: GoLive
    against: tuple[str, ...]
    """What forbids it."""
    reservations: tuple[str, ...]
    """What a person should know before saying yes."""
    reasons: tuple[str, ...]
    """What holds."""

    @property
    def headline(self) -> str:
        """The answer and the figure that decided it, in one line."""
        deciding = self.against or self.reservations or self.reasons
        return f"{self.answer.value}: {deciding[0]}" if deciding else self.answer.value


def verdict(
    ours: PolicyRow, comparisons: Sequence[Comparison], coverage: Sequence[CoverageRow], targets: Targets | None = None
) -> Verdict:
    """Return whether `ours` may go live.

    It may not when a deciding figure is missing; when it has more violations than a peer at equal instance-hours (the
    whole interval above 1); when it misses the target for violations without being better than every peer (the whole
    interval below 1); or when the load was above a stated quantile more often than the tolerance allows (the whole
    interval). It may with reservations when it misses another target, or when a comparison decides nothing.
    """
    goals = targets or Targets()
    against: list[str] = []
    reservations: list[str] = []
    reasons: list[str] = []
    piles = {GoLive.STOP: against, GoLive.RESERVED: reservations, GoLive.GO: reasons}
    for pile, text in (*_itself(ours, comparisons, goals), *_peers(comparisons), *_quantiles(coverage, goals)):
        piles[pile].append(text)
    answer = GoLive.STOP if against else GoLive.RESERVED if reservations else GoLive.GO
    return Verdict(answer, tuple(against), tuple(reservations), tuple(reasons))


def _itself(
    ours: PolicyRow, comparisons: Sequence[Comparison], goals: Targets
) -> Iterator[tuple[GoLive, str]]:  # fmt: skip
    share, ratio = ours.violation_share, ours.ratio_to_clairvoyant
    if not math.isfinite(share):
        yield GoLive.STOP, "violated minutes were not measured"
    else:
        text = (
            f"{_percent(share)} of the minutes violated ({ours.violation_min:g} min, longest {ours.longest_min:g} min)"
        )
        if share <= goals.violation_share:
            yield GoLive.GO, f"{text}, within the target of {_percent(goals.violation_share)}"
        elif comparisons and all(_better(c) for c in comparisons):
            yield GoLive.RESERVED, f"{text}, over the target of {_percent(goals.violation_share)}, yet below every peer"
        else:
            yield GoLive.STOP, f"{text}, over the target of {_percent(goals.violation_share)}"
    if not math.isfinite(ratio):
        yield GoLive.RESERVED, "the clairvoyant's instance-hours are not known, so neither is what safety costs"
    else:
        text = f"{ratio:.2f} times the clairvoyant's instance-hours"
        within = ratio <= goals.ratio_to_clairvoyant
        bound = f"the target of {goals.ratio_to_clairvoyant:g}"
        yield (GoLive.GO, f"{text}, within {bound}") if within else (GoLive.RESERVED, f"{text}, over {bound}")


def _peers(comparisons: Sequence[Comparison]) -> Iterator[tuple[GoLive, str]]:
    if not comparisons:
        yield GoLive.RESERVED, "compared with no other policy"
    for c in comparisons:
        text = f"{c.violations_vs_peer:.2f} times the violations of {c.peer} at equal instance-hours"
        interval = f"90 % interval {c.low:.2f} to {c.high:.2f}"
        if not all(math.isfinite(v) for v in (c.violations_vs_peer, c.low, c.high)):
            yield GoLive.RESERVED, f"no comparison with {c.peer}: their instance-hours do not meet"
        elif c.low > 1:
            yield GoLive.STOP, f"{text} ({interval}): worse"
        elif _better(c):
            yield GoLive.GO, f"{text} ({interval})"
        else:
            yield GoLive.RESERVED, f"{text} ({interval}): no difference shown"


def _quantiles(coverage: Sequence[CoverageRow], goals: Targets) -> Iterator[tuple[GoLive, str]]:
    if not coverage:
        yield GoLive.RESERVED, "how often the load was above the stated quantiles was not measured"
    for row in coverage:
        text = (
            f"above P{100 * row.quantile:g} in {_percent(row.exceedance)} of the steps, nominal {_percent(row.nominal)}"
        )
        points = goals.points(row.quantile)
        slack = points / 100 + _ROUNDING
        if not math.isfinite(row.exceedance):
            yield GoLive.RESERVED, f"the share of steps above P{100 * row.quantile:g} was not measured"
        elif _least(row) > row.nominal + slack:
            yield GoLive.STOP, f"{text}: the forecast promises too much"
        elif abs(row.exceedance - row.nominal) > slack:
            yield GoLive.RESERVED, f"{text}: more than {points:g} points apart"
        else:
            yield GoLive.GO, text


def _least(row: CoverageRow) -> float:
    return row.low if math.isfinite(row.low) else row.exceedance


def _better(c: Comparison) -> bool:
    return math.isfinite(c.high) and c.high < 1


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
