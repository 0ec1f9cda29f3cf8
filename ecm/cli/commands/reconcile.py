"""`ecm reconcile`, `ecm history` and `ecm rollback`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ecm import files
from ecm.cli.commands.decide import Offline, Telemetry, report_plan
from ecm.cli.exits import OF_RUN, CommandError
from ecm.cli.keeping import infeasible_text, keep
from ecm.cli.reconciling import reconcile as reconcile_once
from ecm.cli.runlog import RunLog
from ecm.cli.runmetrics import run_metrics
from ecm.cli.session import Session
from ecm.cli.standing import standing
from ecm.model.base import SHOWN
from ecm.store import Entry, EntryKind, Store


class LogFormat(StrEnum):
    """How a run says what it does."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(
        epilog="\b\nExamples:\n  ecm reconcile --stack prod\n"
        "  ecm reconcile --stack prod --log-format json --metrics /var/lib/prometheus/node-exporter/ecm-prod.prom"
    )(reconcile)
    app.command(epilog="\b\nExamples:\n  ecm history --stack prod\n  ecm history --stack prod --plan 3f9a1c --json")(
        history
    )
    app.command(epilog="\b\nExamples:\n  ecm rollback previous --stack prod\n  ecm rollback 3f9a1c --stack prod")(
        rollback
    )


def reconcile(
    ctx: typer.Context,
    telemetry: Telemetry = None,
    log_format: Annotated[LogFormat, typer.Option("--log-format", help="For people, or JSON lines.")] = LogFormat.TEXT,
    metrics: Annotated[Path | None, typer.Option("--metrics", help="Write Prometheus metrics to this file.")] = None,
) -> None:
    """Bring the stack to what the forecast needs, once: what the limits let through by itself, else a report.

    Exits 0 when converged or applied, 11 when a person has to approve, 12 refused, 13 stale, 14 frozen, 1 failed.
    """
    session: Session = ctx.obj
    log = RunLog(session, as_json=log_format is LogFormat.JSON)
    run = reconcile_once(session, log, telemetry)
    if metrics is not None:
        applied = session.store().plan(run.applied) if run.applied else None
        files.write(metrics, run_metrics(run, applied))
    if session.as_json:
        session.emit(run.model_dump(mode="json"))
    elif log.as_json is False:
        session.out.print(f"{run.outcome.value}: {run.reason}", markup=False, highlight=False)
    raise typer.Exit(OF_RUN[run.outcome])


def history(
    ctx: typer.Context,
    plan: Annotated[str | None, typer.Option("--plan", metavar="DIGEST|latest", help="Of this plan only.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="As many entries.")] = 30,
) -> None:
    """Show the journal: what was planned, approved, applied and found, by whom and why, oldest first."""
    session: Session = ctx.obj
    store = session.store()
    wanted = store.find_plan(plan) if plan else None
    entries = [entry for entry in store.journal() if wanted in (None, entry.plan)][-last:]
    if session.as_json:
        session.emit([entry.model_dump(mode="json") for entry in entries])
        return
    session.out.print(_table(entries))


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("#", "at (UTC)", "what", "plan", "who", "why"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        shown = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(entry.number), shown, entry.kind.value, (entry.plan or "")[:SHOWN], entry.who, entry.why)
    return table


def rollback(
    ctx: typer.Context,
    to: Annotated[str, typer.Argument(metavar="DIGEST|previous", help="An earlier plan, or its first digits.")],
    telemetry: Telemetry = None,
    offline: Offline = False,
) -> None:
    """Plan a return to the nodes and chains of an earlier plan. Changes nothing: approve and apply it as any other.

    What the fleet file says stays: to take that back, too, revert its commit and plan again.
    """
    session: Session = ctx.obj
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    store = session.store()
    earlier = store.plan(_before(store) if to == "previous" else store.find_plan(to))
    inputs = deciding.read_inputs(session, telemetry)
    stands = standing(session, store, offline=offline)
    world = deciding.make_world(session, store, inputs, stands, session.now())
    forecaster = deciding.predictor(session, inputs, store, world.observed)
    outcome = deciding.make_plan(session, inputs, world, forecaster, to=earlier)
    if outcome.plan is None:
        raise CommandError(f"nothing was written: {infeasible_text(outcome.infeasible)}")
    if not outcome.nothing_to_do:
        keep(session, store, outcome.plan, world.peers)
    report_plan(session, outcome.plan, nothing=outcome.nothing_to_do)


def _before(store: Store) -> str:
    """Return the plan that was applied before the one that is."""
    applied = [entry.plan for entry in store.journal() if entry.kind is EntryKind.APPLIED and entry.plan]
    others = [digest for digest in applied if digest != applied[-1]]
    if not others:
        raise CommandError(f"stack {store.stack}: no plan was applied before the one that is; see ecm history")
    return others[-1]
