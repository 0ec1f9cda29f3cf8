"""Small forecasts for tests: constant loads per application with a stated spread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Fleet
from ecm.model.forecast import ApplicationForecast

AS_OF = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
INTERVAL_MIN = 15
STEPS = 12
SCENARIOS = 60


def a_forecast(fleet: Fleet, loads: dict[str, int], *, fallen: frozenset[str] = frozenset()) -> Forecast:
    """A forecast whose scenarios spread evenly from 80 % to 120 % of each application's load."""
    applications = sorted(a.id for a in fleet.applications)
    spread = np.linspace(0.8, 1.2, SCENARIOS)
    base = np.array([loads[a] for a in applications], dtype=float)
    scenarios = np.rint(base[:, None, None] * spread[None, :, None] * np.ones(STEPS))
    return Forecast(
        start=AS_OF,
        interval_min=INTERVAL_MIN,
        window_first_step=2,
        applications=tuple(_application(fleet, a, loads[a], fallen=a in fallen) for a in applications),
        scenarios=scenarios,
        earlier=np.empty((0, *scenarios[:, :, 2:].shape)),
        tail_factor_permille=1100,
    )


def _application(fleet: Fleet, application: str, load: int, *, fallen: bool) -> ApplicationForecast:
    steps = (load,) * STEPS
    return ApplicationForecast(
        application=application,
        vpn=next(a.vpn for a in fleet.applications if a.id == application),
        model="constant",
        p50_mbps=steps,
        p90_mbps=tuple(round(load * 1.16) for _ in steps),
        p99_mbps=tuple(round(load * 1.2) for _ in steps),
        window_p50_mbps=load,
        window_p90_mbps=round(load * 1.16),
        window_p99_mbps=round(load * 1.2),
        recent_peak_mbps=round(load * 0.9),
        last_mbps=load,
        unexplained_fall=fallen,
        coverage_permille=900,
        incidents=("fell",) if fallen else (),
    )


def a_history(fleet: Fleet, loads: dict[str, int], *, days: int = 14) -> DemandHistory:
    """A flat history that ends at AS_OF."""
    applications = tuple(sorted(a.id for a in fleet.applications))
    vpns = {a.id: a.vpn for a in fleet.applications}
    intervals = days * 1440 // INTERVAL_MIN
    return DemandHistory(
        interval_min=INTERVAL_MIN,
        start=AS_OF - timedelta(days=days),
        applications=applications,
        vpns=tuple(vpns[a] for a in applications),
        mbps=np.repeat(np.array([[loads[a]] for a in applications], dtype=float), intervals, axis=1),
    )
