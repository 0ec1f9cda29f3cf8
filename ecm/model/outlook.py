"""The load of every application for the next two days: quantiles of each step."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from ecm.model.base import Frozen, Name, Text, UtcTime
from ecm.model.demand import Array


class Outlook(Frozen):
    """Quantiles of the load at each step; sizing does not use them: see `Forecast` for the maximum over its window."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    start: UtcTime
    """Start of the first step: where the telemetry ends."""
    interval_min: Annotated[int, Field(ge=1, le=60)]
    applications: tuple[Name, ...]
    """Sorted; the first axis of `mbps`."""
    vpns: tuple[Name, ...]
    """VPN of each application."""
    models: tuple[Text, ...]
    """The sktime forecasters that were selected, by application."""
    permille: tuple[Annotated[int, Field(ge=1, le=999)], ...]
    """Which quantiles, rising; the second axis of `mbps`."""
    mbps: Array
    """(applications, quantiles, steps), Mbit/s, to 1 kbit/s; none negative, none below a lower quantile."""
    event_effects: tuple[tuple[Text, ...], ...] = ()
    """What events and holidays do, by application."""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        wanted = (len(self.applications), len(self.permille))
        if self.mbps.ndim != 3 or self.mbps.shape[:2] != wanted:
            raise ValueError(f"mbps has shape {self.mbps.shape}, expected ({wanted[0]}, {wanted[1]}, steps)")
        if not len(self.vpns) == len(self.models) == len(self.event_effects) == wanted[0]:
            raise ValueError("vpns, models and event_effects need one entry per application")
        return self
