"""What a plan keeps of a forecast. Without arrays: the program that applies a plan loads no numeric library."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecm.model.base import Frozen, Mbps, Name, Text, UtcTime


class Grid(Frozen):
    """The steps that a plan's forecasts are of."""

    start: UtcTime
    """Start of the first step: where the telemetry ends."""
    interval_min: Annotated[int, Field(ge=1, le=60)]
    window_first_step: Annotated[int, Field(ge=0)]
    """First step of the sizing window, which reaches to the last step."""


class VpnForecast(Frozen):
    """Forecast of what the applications of a VPN ask for together: quantiles of their sum, whole Mbit/s."""

    vpn: Name
    applications: tuple[Name, ...]
    """Sorted."""
    p50_mbps: tuple[Mbps, ...]
    p90_mbps: tuple[Mbps, ...]
    p99_mbps: tuple[Mbps, ...]
    """Per step of the forecast's grid."""
    window_p50_mbps: Mbps
    window_p90_mbps: Mbps
    window_p99_mbps: Mbps
    """Of the maximum over the sizing window, with the reactive floor."""
    recent_peak_mbps: Mbps
    """The reactive floor: the applications' highest loads of the last lead time together."""
    last_mbps: Mbps


class ApplicationForecast(Frozen):
    """Forecast of one application, rounded to whole Mbit/s: what a plan keeps of it."""

    application: Name
    vpn: Name
    model: Text
    """The sktime forecaster that was selected."""
    p50_mbps: tuple[Mbps, ...]
    p90_mbps: tuple[Mbps, ...]
    p99_mbps: tuple[Mbps, ...]
    """Per step of the forecast's grid."""
    window_p50_mbps: Mbps
    window_p90_mbps: Mbps
    window_p99_mbps: Mbps
    """Of the maximum over the sizing window, with the reactive floor."""
    recent_peak_mbps: Mbps
    """The reactive floor: the highest load of the last lead time."""
    last_mbps: Mbps
    unexplained_fall: bool
    """The load fell and nothing explains it, or it came back from such a fall within the hour: nothing is scaled in."""
    coverage_permille: Annotated[int, Field(ge=0, le=1000)]
    """Share of past windows whose maximum stayed within the P90, out of sample."""
    calibrated: bool = True
    """Whether the band held over the last day and week and is not that of another level; where it did not or is, sizing
    also keeps a margin over the recent peak."""
    event_effects: tuple[Text, ...] = ()
    incidents: tuple[Text, ...] = ()
    """Outages, retry storms and new levels that were recognised, latest first."""
