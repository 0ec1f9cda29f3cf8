"""Measured load and its forecast: the two seams that carry arrays."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from ecm.model.base import Frozen, Name, Text, UtcTime, canonical_json, digest_bytes
from ecm.model.forecast import ApplicationForecast, VpnForecast


def _readonly(values: object) -> npt.NDArray[np.float64]:
    array: npt.NDArray[np.float64] = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


Array = Annotated[
    npt.NDArray[np.float64],
    BeforeValidator(_readonly),
    PlainSerializer(lambda a: a.tolist(), return_type=list[object]),
]
"""A read-only float array; JSON `NaN` stands for a value that is missing."""


def _readonly_flags(values: object) -> npt.NDArray[np.bool_] | None:
    if values is None:
        return None
    array: npt.NDArray[np.bool_] = np.array(values, dtype=np.bool_)
    array.setflags(write=False)
    return array if array.any() else None


Flags = Annotated[
    npt.NDArray[np.bool_] | None,
    BeforeValidator(_readonly_flags),
    PlainSerializer(lambda a: None if a is None else a.tolist(), return_type=list[object] | None),
]
"""A read-only array of flags; None where none is set."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class TelemetryFinding(Frozen):
    """Something found in a telemetry series; reported, never silently repaired."""

    vpn: Name
    application: Name
    kind: Text
    """`gap`, `duplicate`, `unsorted`, `reset`, `negative`, `absurd`, `time-zone`, `short`, `stale`, `flat`, ..."""
    severity: Severity
    count: Annotated[int, Field(ge=1)]
    first: UtcTime | None
    detail: Text


class DemandHistory(Frozen):
    """Load of every application on one regular grid; a value that was not measured is NaN."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    interval_min: Annotated[int, Field(ge=1, le=60)]
    start: UtcTime
    """Start of the first interval."""
    applications: tuple[Name, ...]
    """Sorted; the rows of `mbps`."""
    vpns: tuple[Name, ...]
    """VPN of each row."""
    mbps: Array
    """(applications, intervals): mean load over the interval, Mbit/s, download plus upload."""
    saturated: Flags = None
    """Shape of `mbps`: measured while a tier was saturated, so that the load is a lower bound of the demand."""
    findings: tuple[TelemetryFinding, ...] = ()

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.saturated is not None and self.saturated.shape != self.mbps.shape:
            raise ValueError(f"saturated has shape {self.saturated.shape}, expected that of mbps, {self.mbps.shape}")
        if (
            self.mbps.ndim != 2
            or self.mbps.shape[0] != len(self.applications)
            or len(self.vpns) != len(self.applications)
        ):
            raise ValueError(f"mbps has shape {self.mbps.shape}, expected ({len(self.applications)}, intervals)")
        if tuple(sorted(self.applications)) != self.applications:
            raise ValueError("applications must be sorted")
        return self

    @property
    def digest(self) -> str:
        """Digest of the grid, its names and its values."""
        names = canonical_json(self.model_dump(mode="json", exclude={"mbps", "saturated"}))
        flags = b"" if self.saturated is None else np.packbits(self.saturated).tobytes()
        return digest_bytes(names + np.ascontiguousarray(self.mbps).tobytes() + flags)

    @property
    def end(self) -> UtcTime:
        """End of the last interval."""
        return self.start + timedelta(minutes=self.interval_min * self.mbps.shape[1])


class Forecast(Frozen):
    """Joint forecast of all applications: scenarios keep the dependence in time and between series.

    A scenario is the forecast path plus the errors that the same models made from one past origin, so the maximum over
    the window of the sum of any set of applications has an empirical, out-of-sample distribution.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    start: UtcTime
    """Start of the first forecast step."""
    interval_min: Annotated[int, Field(ge=1, le=60)]
    window_first_step: Annotated[int, Field(ge=0)]
    """First step of the sizing window [now + lead, now + lead + hold]; the window reaches to the last step."""
    applications: tuple[ApplicationForecast, ...]
    """Sorted by application; the first axis of `scenarios`."""
    vpns: tuple[VpnForecast, ...] = ()
    """Sorted by VPN: the sums of their applications."""
    scenarios: Array
    """(applications, scenarios, steps), Mbit/s, whole numbers, none negative."""
    earlier: Array
    """(forecasts, applications, scenarios, steps of the window), Mbit/s: the same of the forecasts made in the last
    minutes, latest first; capacity that they asked for is not taken away yet."""
    tail_factor_permille: Annotated[int, Field(ge=1000)] = 1000
    """Factor on the largest scenario for quantiles beyond what the number of scenarios can show."""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        ids = tuple(a.application for a in self.applications)
        if tuple(sorted(ids)) != ids:
            raise ValueError("applications must be sorted")
        if self.scenarios.ndim != 3 or self.scenarios.shape[0] != len(ids):
            raise ValueError(f"scenarios has shape {self.scenarios.shape}, expected ({len(ids)}, scenarios, steps)")
        window = self.scenarios[:, :, self.window_first_step :].shape
        if self.earlier.ndim != 4 or self.earlier.shape[1:] != window:
            raise ValueError(f"earlier has shape {self.earlier.shape}, expected (forecasts, *{window})")
        return self

    def row(self, application: str) -> int:
        """Return the index of `application` on the first axis of `scenarios`; KeyError when there is none."""
        return self._rows[application]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item.application: index for index, item in enumerate(self.applications)}
