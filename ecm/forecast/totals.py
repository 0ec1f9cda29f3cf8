"""What the applications of a VPN may ask for together."""

from __future__ import annotations

from ecm.forecast.arrays import Values
from ecm.forecast.whole import quantiles
from ecm.model.forecast import ApplicationForecast, VpnForecast


def totals(
    applications: tuple[ApplicationForecast, ...], scenarios: Values, window_first: int, tail_permille: int
) -> tuple[VpnForecast, ...]:
    """Return the forecast of every VPN, sorted by name: quantiles of the sum of its applications' `scenarios`.

    A scenario has the errors of all applications from one past moment, so that the sum keeps their dependence: its P99
    lies below the sum of their P99 by what their peaks do not have in common. Applications add up to their VPN in every
    scenario, so nothing has to be reconciled.
    """
    found = []
    for vpn in sorted({a.vpn for a in applications}):
        rows = [row for row, a in enumerate(applications) if a.vpn == vpn]
        total = scenarios[rows].sum(axis=0)
        steps = quantiles(total, tail_permille)
        window = quantiles(total[:, window_first:].max(axis=1)[:, None], tail_permille)
        peak = sum(applications[row].recent_peak_mbps for row in rows)
        found.append(
            VpnForecast(
                vpn=vpn,
                applications=tuple(applications[row].application for row in rows),
                p50_mbps=steps[0],
                p90_mbps=steps[1],
                p99_mbps=steps[2],
                window_p50_mbps=max(window[0][0], peak),
                window_p90_mbps=max(window[1][0], peak),
                window_p99_mbps=max(window[2][0], peak),
                recent_peak_mbps=peak,
                last_mbps=sum(applications[row].last_mbps for row in rows),
            )
        )
    return tuple(found)
