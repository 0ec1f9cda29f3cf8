"""What `ecm cost` shows: the plans of a period, the load meanwhile, and who pays for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from ecm import intent, telemetry
from ecm.cli.exits import Code, CommandError
from ecm.cli.histories import telemetry_source
from ecm.cli.session import Session
from ecm.model.base import MICRO
from ecm.model.demand import DemandHistory
from ecm.model.plan import Plan
from ecm.model.spend import Both, Charge, Spend, Stood
from ecm.plan.spend import Span, shared
from ecm.store import Store, applied_between

PERIOD: Final = timedelta(days=7)
"""What is looked at where no start is given."""


@dataclass(frozen=True)
class Asked:
    """What the line says."""

    telemetry: Path | None
    since: datetime | None
    until: datetime | None
    plan: str
    """Empty: what stood by the journal."""


def spend(session: Session, asked: Asked) -> Spend:
    """Return what the period cost; CommandError where it is empty, or nothing stood in it."""
    written = intent.load(session.root, session.stack)
    history = telemetry.read(telemetry_source(session, asked.telemetry, written.fleet), fleet=written.fleet)
    end = (asked.until or min(history.end, session.now())).replace(microsecond=0)
    start = (asked.since or end - PERIOD).replace(microsecond=0)
    if start >= end:
        raise CommandError(f"--since {start.isoformat()} is not before {end.isoformat()}, the end", Code.USAGE)
    spans = [_span(plan, when, history) for plan, when in _stood(session.store(), asked.plan, (start, end))]
    if not spans:
        raise CommandError(
            f"no plan of {session.stack} was applied before {end.isoformat()}\n"
            "    Name one with --plan (`latest`: the newest): as if it had stood all the time"
        )
    shares = shared(spans, written.catalog)
    return Spend(
        start=start,
        end=end,
        plans=tuple(span.when for span in spans),
        traffic_prices_as_of=written.catalog.as_of.isoformat(),
        **{name: getattr(shares, name) for name in shares.__dataclass_fields__},
    )


def _stood(store: Store, name: str, period: tuple[datetime, datetime]) -> list[tuple[Plan, Stood]]:
    marks = ((store.find_plan(name), *period),) if name else applied_between(store.journal(), *period)
    found = []
    for digest, start, end in marks:
        plan = store.plan(digest)
        found.append((plan, Stood(plan=digest, start=start, end=end, prices_as_of=plan.cost.prices_as_of)))
    return found


def _span(plan: Plan, when: Stood, history: DemandHistory) -> Span:
    """Return the plan with the load while it stood: an interval that it shares with another plan counts in parts."""
    first, last = int(when.start.timestamp()), int(when.end.timestamp())
    step, begin = history.interval_min * 60, int(history.start.timestamp())
    edges = np.unique(np.clip(np.arange(first - (first - begin) % step, last + step, step), first, last))
    seconds = np.diff(edges)
    column = (edges[:-1] - begin) // step
    inside = (column >= 0) & (column < history.mbps.shape[1])
    mbps = np.full((len(history.applications), len(seconds)), np.nan)
    mbps[:, inside] = history.mbps[:, column[inside]]
    known = ~np.isnan(mbps)
    kbit = np.rint(np.where(known, mbps, 0.0) * 1000).astype(np.int64) * seconds
    return Span(plan, when, history.applications, kbit, known, seconds)


def data(made: Spend) -> dict[str, Any]:
    """Return `made` as JSON, with the totals."""
    found = made.model_dump(mode="json")
    return {**found, "total_usd_micro": {k: getattr(made.total, k).total_usd_micro for k in ("measured", "forecast")}}


def show(out: Console, made: Spend) -> None:
    """Print the cost of each VPN and application, of what nobody used, and in all."""
    out.print(
        f"{made.start:%Y-%m-%d %H:%M} to {made.end:%Y-%m-%d %H:%M} UTC, {len(made.plans)} plans; USD", markup=False
    )
    if (gap := made.plans[0].start - made.start) > timedelta(0):
        out.print(f"no plan stood, or none is known, for the first {gap}: not counted", style="yellow", markup=False)
    out.print()
    figures = ("GB", "compute", "shared", "traffic", "cost", "forecast")
    table = _table("VPN", "application", "chain", *figures, right=figures)
    for vpn in made.vpns:
        table.add_row(vpn.vpn, "", "", _gigabytes(vpn.megabytes), *_figures(vpn.cost), style="bold")
        for one in (a for a in made.applications if a.vpn == vpn.vpn):
            table.add_row("", one.application, one.chain, _gigabytes(one.megabytes), *_figures(one.cost))
    table.add_row("headroom", "", "", "", *_figures(made.headroom))
    if made.unmeasured.measured.total_usd_micro:
        table.add_row("not measured", "", "", "", *_figures(made.unmeasured))
    table.add_row("total", "", "", "", *_figures(made.total), style="bold")
    out.print(table)
    out.print()
    chains = _table("chain", "VPN", "GB", right=("GB",))
    for chain in made.chains:
        chains.add_row(chain.chain, chain.vpn, _gigabytes(chain.megabytes))
    out.print(chains)
    nodes = ", ".join(sorted({plan.prices_as_of for plan in made.plans}))
    out.print(f"\n[dim]prices of nodes as of {nodes}, of traffic as of {made.traffic_prices_as_of}[/]")


def _figures(cost: Both) -> tuple[str, ...]:
    by = cost.measured
    parts = (by.compute_usd_micro, by.shared_usd_micro, by.traffic_usd_micro)
    return (*(_usd(part) for part in parts), _total(by), _total(cost.forecast))


def _total(charge: Charge) -> str:
    return _usd(charge.total_usd_micro)


def _usd(micro: int) -> str:
    return f"{micro / MICRO:,.2f}"


def _gigabytes(megabytes: int) -> str:
    return f"{megabytes / 1000:,.1f}"


def _table(*columns: str, right: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
