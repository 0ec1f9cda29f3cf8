"""`ecm backtest`: what ECM and its peers would have done over a measured past."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ecm import files
from ecm.cli.commands.decide import Telemetry
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session

if TYPE_CHECKING:
    from ecm.charts.rows import Backtest, ModelRow
    from ecm.charts.verdict import Verdict
    from ecm.pipeline.trial import Trial

_INCIDENTS = 10
"""Lines about outages and the like on a terminal; JSON has all."""
_DURATION = re.compile(r"(\d{1,5})\s*(m|min|h)?")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog="""
    \b
    Examples:
      ecm backtest --trace load.csv --node-capacity 50 --report out
      ecm backtest --trace load.csv --column requests --node-capacity 50 --boot 5m --min-nodes 2 \\
        --from 2026-03-01T00:00Z --until 2026-03-15T00:00Z --policy ecm --decisions decisions.csv
      ecm backtest --stack prod --telemetry load.parquet --every 15m    every plan of the last third

    \b
    Time model: a row stamped t is the load of [t, t + step). A decision stamped t knows the rows that had ended by t; a
    node launched at t serves from t + boot and is billed from t; one taken away stops at once and is billed 5 min more;
    a minute is violated where the load exceeds ready nodes x capacity. Exit code 0 whatever the verdict.
    """
    )(backtest)


def minutes(text: str, option: str) -> int:
    """Return the minutes of a duration such as `5m`, `90min` or `2h`; CommandError else."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise CommandError(f"{option} {text!r}: write minutes or hours, such as 5m or 2h", Code.USAGE)
    return int(found.group(1)) * (60 if found.group(2) == "h" else 1)


def backtest(  # noqa: PLR0913 - one option for each thing that decides the outcome
    ctx: typer.Context,
    *,
    trace: Annotated[Path | None, typer.Option(help="CSV or Parquet with a timestamp and a value column.")] = None,
    node_capacity: Annotated[float | None, typer.Option(help="Load that one node serves, in the trace's unit.")] = None,
    telemetry: Telemetry = None,
    column: Annotated[str | None, typer.Option(help="The value column, where there is more than one.")] = None,
    boot: Annotated[str, typer.Option(help="From launch to serving.")] = "5m",
    min_nodes: Annotated[int, typer.Option(min=1, help="Never fewer.")] = 2,
    every: Annotated[str | None, typer.Option(help="Time between decisions; else every row.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First decision; else the last third.")] = None,
    until: Annotated[str | None, typer.Option(help="End of the last row; else the end.")] = None,
    events: Annotated[Path | None, typer.Option(help="YAML with `events:` as in a fleet file.")] = None,
    holidays: Annotated[str | None, typer.Option(help="Country of the holidays, such as US.")] = None,
    time_zone: Annotated[str, typer.Option(help="Of stamps without offset, and of the daily rhythm.")] = "UTC",
    policy: Annotated[list[str] | None, typer.Option(help="ecm, or a peer; may be repeated; else all.")] = None,
    quantile: Annotated[float, typer.Option(min=0.5, max=0.999, help="Planning quantile.")] = 0.995,
    node_usd: Annotated[float, typer.Option(min=0, help="Price of a node-hour.")] = 0.1,
    operation_usd: Annotated[float, typer.Option(min=0, help="Price of one scale action.")] = 0.0,
    decisions: Annotated[Path | None, typer.Option(help="Write timestamp,nodes_desired here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write report.html and report.md into this folder.")] = None,
) -> None:
    """Replay the planner over a measured past beside what people use today, and say whether it may go live.

    With --trace one plain file on one tier; without it all plans of a stack over its telemetry.
    """
    session: Session = ctx.obj
    _require_places(decisions, report)
    if trace is None:
        _fleet(session, telemetry, (start, until, every), decisions)
        return
    if node_capacity is None:
        raise CommandError("--node-capacity is missing: the load that one node serves, in the trace's unit", Code.USAGE)
    from ecm.backtest import Rules  # noqa: PLC0415 - loads numpy
    from ecm.charts.backtest_report import html, markdown  # noqa: PLC0415 - loads matplotlib
    from ecm.charts.verdict import verdict  # noqa: PLC0415
    from ecm.cli import trials  # noqa: PLC0415 - loads the scientific libraries
    from ecm.pipeline.trial import OURS, policy_names, trial  # noqa: PLC0415

    wanted = tuple(policy or policy_names())
    unknown = sorted(set(wanted) - set(policy_names()))
    if unknown:
        raise CommandError(f"--policy {unknown[0]!r}: choose of {', '.join(policy_names())}", Code.USAGE)
    if not node_capacity > 0:
        raise CommandError(f"--node-capacity {node_capacity:g}: must be more than 0", Code.USAGE)
    cadence = minutes(every, "--every") if every else None
    rules = Rules(
        capacity=node_capacity,
        boot_min=minutes(boot, "--boot"),
        min_nodes=min_nodes,
        decide_every_min=cadence,
        node_usd_per_hour=node_usd,
        operation_usd=operation_usd,
    )
    level = round(quantile * 1000)
    asked = trials.Asked(trace, column, time_zone, start, until, events, holidays, level)
    try:
        prepared = trials.prepare(asked, rules)
    except ValueError as error:
        raise CommandError(str(error), Code.USAGE) from None
    _note(session, trials.remarks(prepared.source))
    with _progress(session.err) as tell:
        made = trial(prepared.question, [p for p in wanted if p != OURS], level, tell)
    rows = trials.report_rows(made, asked, _alone(session, made, level) if report is not None else ())
    said = verdict(rows.policies[0], rows.comparisons, rows.coverage)
    if decisions is not None:
        trials.write_decisions(made, prepared, decisions, time_zone)
    if report is not None:
        files.write(report / "report.html", html(rows, said))
        files.write(report / "report.md", markdown(rows, said))
    _show(session, (made, rows, said), report)


def _require_places(decisions: Path | None, report: Path | None) -> None:
    """Make the folder of the report; FileError where something cannot be written: before the work, not after it."""
    if decisions is not None:
        files.require_place(decisions)
    if report is not None:
        try:
            report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.FileError(report, error) from error


def _alone(session: Session, made: Trial, level: int) -> tuple[ModelRow, ...]:
    """Return a row for each listed model: a dozen more replays, so only for a report."""
    from ecm.cli import trials  # noqa: PLC0415 - loads the scientific libraries
    from ecm.pipeline.alone import alone  # noqa: PLC0415

    with _progress(session.err, "models") as tell:
        found = alone(replace(made.question, quantiles=(level,)), made.replay, perf_counter, tell)
    return trials.model_rows(made.span.name, found)


def _fleet(
    session: Session, given: Path | None, span: tuple[str | None, str | None, str | None], decisions: Path | None
) -> None:
    """Replay all plans of a stack."""
    from ecm.cli import deciding, rehearsing  # noqa: PLC0415 - loads the scientific libraries

    start, until, every = span
    inputs = deciding.read_inputs(session, given)
    wanted = rehearsing.span_of(inputs, start, until, minutes(every, "--every") if every else None)
    with _progress(session.err) as tell:
        found = rehearsing.rehearse_fleet(session, inputs, wanted, tell)
    if decisions is not None:
        rehearsing.write_plans(found, decisions)
    rehearsing.show(session, found)


def _note(session: Session, texts: tuple[str, ...]) -> None:
    for text in texts:
        session.note(text)


def _show(session: Session, found: tuple[Trial, Backtest, Verdict], report: Path | None) -> None:
    made, rows, said = found
    if session.as_json:
        session.emit(_data(made, rows, said))
        return
    session.out.print(f"{said.headline}\n", style="bold", markup=False)
    session.out.print(_table(rows))
    if rows.models:
        session.out.print(_models(rows))
    for text in (*said.against, *said.reservations, *said.reasons):
        session.out.print(f"  {text}", markup=False)
    for text in (*made.replay.effects, *made.replay.incidents[:_INCIDENTS]):
        session.out.print(f"  {text}", markup=False)
    if report is not None:
        session.out.print(f"\n{report / 'report.html'} has curves, coverage and the timeline", markup=False)


def _table(rows: Backtest) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("policy")
    table.add_column("setting")
    for name in ("violated min", "share", "longest", "node-hours", "of best", "USD", "changes"):
        table.add_column(name, justify="right")
    for row in rows.policies:
        table.add_row(
            row.name,
            row.knob,
            f"{row.violation_min:g}",
            f"{100 * row.violation_share:.3f} %",
            f"{row.longest_min:g}",
            f"{row.instance_hours:.0f}",
            f"{row.ratio_to_clairvoyant:.2f}",
            f"{row.usd:.2f}",
            str(row.node_changes),
            style="bold" if row.name == rows.ours else None,
        )
    return table


def _models(rows: Backtest) -> Table:
    from ecm.charts.tables import figure, share  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("\nmodel alone")
    for name in ("pinball\nloss", "within\nP99", "violated\nmin", "\nnode-hours", "\nselected", "\nfit s"):
        table.add_column(name, justify="right")
    for row in rows.models:
        if not row.installed:
            table.add_row(row.model, "not installed: pip install 'endpoint-chain-manager[lstm]'")
            continue
        table.add_row(
            row.model,
            figure(row.pinball_window, 3),
            share(row.within_p99, 1),
            figure(row.violation_min, 0),
            figure(row.instance_hours, 0),
            share(row.share_of_selections, 0),
            figure(row.fit_s),
        )
    return table


def _data(made: Trial, rows: Backtest, said: Verdict) -> dict[str, Any]:
    from ecm.cli.trials import finite  # noqa: PLC0415

    def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return finite(value) if isinstance(value, float) else value

    return {
        "trace": rows.trace,
        "from": rows.start.isoformat(),
        "until": rows.end.isoformat(),
        "verdict": {"answer": said.answer.value, "against": said.against, "reservations": said.reservations},
        "policies": plain([asdict(p) for p in rows.policies]),
        "comparisons": plain([asdict(c) for c in rows.comparisons]),
        "coverage": plain([{k: v for k, v in asdict(c).items() if k != "hours"} for c in rows.coverage]),
        "models": plain([asdict(m) for m in rows.models]),
        "hours_vs_clairvoyant_at_0.1pct": finite(made.hours_ratio_at(0.001)),
        "effects": list(made.replay.effects),
        "incidents": list(made.replay.incidents),
        "decisions_held": made.replay.held,
    }


@contextmanager
def _progress(err: Console, what: str = "decisions") -> Iterator[Callable[[int, int], None]]:
    """Yield what is told of decisions made: a bar on a terminal, nothing elsewhere."""
    if not err.is_terminal:
        yield lambda _done, _of: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
