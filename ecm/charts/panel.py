"""What one picture of a forecast shows: measured load, quantile bands, the sizing window, events, capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Event
from ecm.model.forecast import ApplicationForecast, VpnForecast
from ecm.model.outlook import Outlook

HISTORY_SHARE = 3
"""Measured steps shown per forecast step: the band takes a quarter of the picture and stays readable."""
LEAST_HISTORY = 24
"""Measured steps shown at least, where that many were measured."""


@dataclass(frozen=True)
class Span:
    """Something dated, with its text."""

    label: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Quantiles:
    """P50, P90 and P99 of one number, Mbit/s."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Window:
    """The sizing window and the quantiles of the load's maximum over it."""

    start: datetime
    end: datetime
    peak: Quantiles


@dataclass(frozen=True)
class Capacity:
    """A capacity over time, Mbit/s: `mbps[i]` holds from `times[i]` to the next time, the last to the picture's end."""

    label: str
    times: tuple[datetime, ...]
    mbps: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """The picture of an application or a VPN; times in UTC, loads in Mbit/s, NaN where nothing was measured."""

    title: str
    start: datetime
    """Start of the first measured step; the bands begin where the measured load ends."""
    step_min: int
    measured: tuple[float, ...]
    bands: tuple[Quantiles, ...] = ()
    """One per forecast step."""
    window: Window | None = None
    events: tuple[Span, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def now(self) -> datetime:
        """Where the measured load ends."""
        return self.at(len(self.measured))

    @property
    def end(self) -> datetime:
        """End of the last forecast step."""
        return self.at(len(self.measured) + len(self.bands))

    def at(self, step: int) -> datetime:
        """Return the start of a step, counted from the first measured one."""
        return self.start + timedelta(minutes=self.step_min * step)


def panels(made: Forecast, history: DemandHistory, events: Sequence[Event]) -> tuple[Panel, ...]:
    """Return a panel per application of `made`, in its order; `events` are those of the fleet file.

    An application without a row in `history` has a panel without measured load.
    """
    return tuple(_application(made, history, one, events) for one in made.applications)


def vpn_panels(made: Forecast, history: DemandHistory, events: Sequence[Event]) -> tuple[Panel, ...]:
    """Return a panel per VPN of `made` with two applications or more: their sum, what a shared tier carries."""
    found = []
    for one in made.vpns:
        if len(one.applications) < 2:
            continue
        parts = [_measured(history, name, made.start, len(one.p50_mbps)) for name in one.applications]
        measured = tuple(map(sum, zip(*(p for p in parts if p), strict=True)))
        mine = [e for e in events if e.application is None and e.vpn in (None, one.vpn)]
        notes = (f"the sum of {', '.join(one.applications)}",)
        found.append(_panel(made, measured, one, (f"VPN {one.vpn}", mine, notes)))
    return tuple(found)


def _application(made: Forecast, history: DemandHistory, one: ApplicationForecast, events: Sequence[Event]) -> Panel:
    measured = _measured(history, one.application, made.start, len(one.p50_mbps))
    mine = [e for e in events if e.application in (None, one.application) and e.vpn in (None, one.vpn)]
    return _panel(made, measured, one, (one.application, mine, one.incidents))


def _panel(
    made: Forecast,
    measured: tuple[float, ...],
    one: ApplicationForecast | VpnForecast,
    said: tuple[str, Sequence[Event], tuple[str, ...]],
) -> Panel:
    title, mine, notes = said
    effects = one.event_effects if isinstance(one, ApplicationForecast) else ()
    step = timedelta(minutes=made.interval_min)
    start = made.start - step * len(measured)
    end = made.start + step * len(one.p50_mbps)
    window = Window(
        start=made.start + step * made.window_first_step,
        end=end,
        peak=Quantiles(one.window_p50_mbps, one.window_p90_mbps, one.window_p99_mbps),
    )
    spans = _spans(mine, (start, made.start, end), effects)
    return Panel(
        title=title,
        start=start,
        step_min=made.interval_min,
        measured=measured,
        bands=tuple(Quantiles(*q) for q in zip(one.p50_mbps, one.p90_mbps, one.p99_mbps, strict=True)),
        window=window,
        events=spans,
        notes=(*notes, *(text for text in effects if text not in {s.label for s in spans})),
    )


def outlook_panels(made: Outlook, history: DemandHistory, events: Sequence[Event]) -> tuple[Panel, ...]:
    """Return a panel per application of `made`, in its order, which must have P50, P90 and P99; see `panels`."""
    return tuple(_outlook_panel(made, history, place, events) for place in range(len(made.applications)))


def _outlook_panel(made: Outlook, history: DemandHistory, place: int, events: Sequence[Event]) -> Panel:
    application, effects = made.applications[place], made.event_effects[place]
    p50, p90, p99 = (made.mbps[place, made.permille.index(share)].tolist() for share in (500, 900, 990))
    measured = _measured(history, application, made.start, len(p50))
    step = timedelta(minutes=made.interval_min)
    start, end = made.start - step * len(measured), made.start + step * len(p50)
    mine = [e for e in events if e.application in (None, application) and e.vpn in (None, made.vpns[place])]
    spans = _spans(mine, (start, made.start, end), effects)
    return Panel(
        title=application,
        start=start,
        step_min=made.interval_min,
        measured=measured,
        bands=tuple(Quantiles(*q) for q in zip(p50, p90, p99, strict=True)),
        events=spans,
        notes=tuple(text for text in effects if text not in {s.label for s in spans}),
    )


def _spans(
    events: Sequence[Event], times: tuple[datetime, datetime, datetime], effects: Sequence[str]
) -> tuple[Span, ...]:
    """Return the events between the first and the last of `times`; the second is now."""
    start, now, end = times
    seen = sorted((e for e in events if e.start < end and e.end > start), key=lambda e: (e.start, e.id))
    return tuple(Span(_label(e, effects, ahead=e.end > now), e.start, e.end) for e in seen)


def _measured(history: DemandHistory, application: str, now: datetime, steps: int) -> tuple[float, ...]:
    """Return what was measured before a forecast of `steps` steps."""
    if application not in history.applications:
        return ()
    known = int((now - history.start) / timedelta(minutes=history.interval_min))
    first = max(0, known - max(LEAST_HISTORY, HISTORY_SHARE * steps))
    row = history.mbps[history.applications.index(application), first : max(known, 0)]
    return tuple(float(value) for value in row)


def _label(event: Event, effects: Sequence[str], *, ahead: bool) -> str:
    """Return the stated effect of an event ahead, which begins with its id, or the id."""
    if ahead:
        return next((text for text in effects if text.startswith(f"{event.id} ")), event.id)
    return event.id
