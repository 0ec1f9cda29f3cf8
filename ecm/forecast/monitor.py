"""Whether the band of a forecast held lately: where it did not, nobody should rely on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.incidents import Flags
from ecm.forecast.season import Season

CHECKED_DAYS = (1, 7)
"""A day shows a band that is far too narrow at the next refit, a week one that is half as wide as it should be: in a
day chance alone exceeds P90 as often as half a band makes windows do."""
SPACING_MIN = 60
FAILED = 3.1
"""Coverage fails where more windows exceeded their P90 than chance explains once in a thousand times (normal bound);
windows an hour apart count as independent."""


class Windows(NamedTuple):
    """Past sizing windows of one series."""

    origins: Steps
    errors: Values
    """Scaled errors of the maximum over the window; NaN where it was not measured."""
    own: Flags
    """Whether the series was measured itself at the origin, not borrowed."""
    steps: int
    """Length of a window."""


def band_holds(windows: Windows, season: Season, fitted: int) -> bool:
    """Return whether windows of the last day and week before `fitted` exceeded the P90 of those before rarely enough.

    Only windows after `own` origins count; a series with a borrowed past and none of its own is not calibrated.
    """
    return all(_held(windows, season, fitted - days * season.day) for days in CHECKED_DAYS)


def _held(windows: Windows, season: Season, first: int) -> bool:
    late, good = windows.origins >= first, np.isfinite(windows.errors)
    before = np.sort(windows.errors[good & ~late])
    apart = windows.origins % max(season.steps(SPACING_MIN), windows.steps) == 0
    checked = windows.errors[good & late & windows.own & apart]
    if len(before) < 2 * len(checked) or not len(checked):
        return bool(windows.own.all())
    over = int((checked > before[int(np.ceil(0.9 * len(before))) - 1]).sum())
    return over <= 0.1 * len(checked) + FAILED * float(np.sqrt(0.09 * len(checked))) + 1
