"""The seasons of a grid, counted in steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Season:
    """Day and week of a grid of `interval_min`."""

    interval_min: int

    @property
    def day(self) -> int:
        """Steps in a day."""
        return 1440 // self.interval_min

    @property
    def week(self) -> int:
        """Steps in a week."""
        return 7 * self.day

    def steps(self, minutes: int) -> int:
        """Return the whole steps in `minutes`, at least one."""
        return max(1, round(minutes / self.interval_min))
