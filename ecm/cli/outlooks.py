"""What `ecm forecast --hours` does: quantiles of every step up to two days ahead."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from ecm.cli.deciding import Inputs
from ecm.cli.exits import CommandError
from ecm.cli.session import Session
from ecm.cli.settings import ForecastSettings
from ecm.forecast.outlook import Backend, OutlookPredictor
from ecm.model.outlook import Outlook
from ecm.pipeline.backends import BackendError, Dask, Processes

_MANY = 500
"""Fewer series are forecast before other processes have started."""
_SPANS_H = (6, 24, 48)
"""The table tells the highest load within so many hours."""


def make(session: Session, inputs: Inputs, moment: datetime, hours: int) -> Outlook:
    """Return the outlook; its fit is kept in the store, so that runs until the next refit only update."""
    store = session.store()
    kept = store.outlook()
    try:
        with _backend(session.settings.forecast, len(inputs.history.applications)) as backend:
            predictor = OutlookPredictor(inputs.history, inputs.intent.fleet, kept=kept, backend=backend)
            with session.err.status(f"forecast of {hours} h"):
                made = predictor.at(moment, hours)
    except BackendError as error:
        raise CommandError(str(error)) from None
    if predictor.kept is not None and predictor.kept != kept:
        store.set_outlook(predictor.kept)
    return made


def _backend(settings: ForecastSettings, series: int) -> AbstractContextManager[Backend | None]:
    """Return where the blocks are worked on; None: in this process."""
    if settings.scheduler is not None:
        return Dask(settings.scheduler)
    return Processes() if series > _MANY else nullcontext()


def data(made: Outlook, chosen: frozenset[str]) -> dict[str, Any]:
    """Return the chosen applications of an outlook for machines."""
    one = made.model_dump(mode="json", include={"start", "interval_min", "permille"})
    rows = [row for row, name in enumerate(made.applications) if name in chosen]
    applications = [
        {
            "application": made.applications[row],
            "vpn": made.vpns[row],
            "model": made.models[row],
            "mbps": {f"p{share / 10:g}": made.mbps[row, place].tolist() for place, share in enumerate(made.permille)},
            "event_effects": list(made.event_effects[row]),
        }
        for row in rows
    ]
    return one | {"applications": applications}


def table(made: Outlook, out: Console, chosen: frozenset[str]) -> None:
    """Print the highest quantiles of the next hours and when they come; loads in Mbit/s."""
    steps = made.mbps.shape[2]
    hours = steps * made.interval_min / 60
    spans = [span for span in _SPANS_H if span < hours] + [hours]
    out.print(
        f"from {made.start:%Y-%m-%d %H:%M} UTC, {made.interval_min} min a step; "
        f"highest {' / '.join(f'P{share / 10:g}' for share in made.permille)} of a step within, in Mbit/s",
        markup=False,
    )
    found = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("application", "model"):
        found.add_column(column)
    for column in (*(f"{span:g} h" for span in spans), "highest at"):
        found.add_column(column, justify="right")
    for row, name in enumerate(made.applications):
        if name in chosen:
            within = [max(1, round(span * 60 / made.interval_min)) for span in spans]
            cells = (" / ".join(f"{v:.0f}" for v in made.mbps[row, :, :until].max(axis=1)) for until in within)
            when = made.start + timedelta(minutes=made.interval_min * int(made.mbps[row, -1].argmax()))
            found.add_row(name, made.models[row], *cells, f"{when:%a %H:%M}")
    out.print(found)
    for row, name in enumerate(made.applications):
        for effect in made.event_effects[row] if name in chosen else ():
            out.print(f"  {name}: {effect}", markup=False)
