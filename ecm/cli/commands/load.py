"""`ecm forecast`, `ecm telemetry import`, `ecm telemetry check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ecm.cli.bands import sparkline
from ecm.cli.commands.decide import Telemetry, parse_time
from ecm.cli.exits import Code, CommandError
from ecm.cli.paths import telemetry_path
from ecm.cli.session import Session
from ecm.cli.tables import telemetry_table
from ecm.model.demand import Forecast, Severity

_BAND_WIDTH = 48


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(epilog="\b\nExample:\n  ecm forecast --stack prod --telemetry load.parquet")(forecast)
    group = typer.Typer(help="Measured load: bring it into form, and examine it.", rich_markup_mode=None)
    group.command(
        "import",
        epilog="\b\nExample:\n  ecm telemetry import in.csv load.csv --vpn a --application b --factor 0.5 --unit calls",
    )(import_file)
    group.command(epilog="\b\nExample:\n  ecm telemetry check load.parquet --stack prod")(check)
    app.add_typer(group, name="telemetry")


def forecast(
    ctx: typer.Context,
    telemetry: Telemetry = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Forecast as at this time.")] = None,
) -> None:
    """Forecast the load of each application: quantiles of each step, and of the maximum over the sizing window."""
    session: Session = ctx.obj
    moment = parse_time(as_of)
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    inputs = deciding.read_inputs(session, telemetry)
    with session.err.status("forecast"):
        made = deciding.make_forecast(inputs, moment)
    if session.as_json:
        session.emit(made.model_dump(mode="json", exclude={"scenarios"}))
        return
    forecast_table(session.out, made)


def forecast_table(out: Console, made: Forecast) -> None:
    """Print each application's quantile bands; one scale per application, its P99's highest step."""
    minutes = made.interval_min
    out.print(f"from {made.start:%Y-%m-%d %H:%M} UTC, {minutes} min a step; the sizing window starts at step "
              f"{made.window_first_step + 1}", markup=False)  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("application", "model", "", "steps", "now", "window max", "coverage"):
        table.add_column(column, justify="right" if column in ("now", "window max", "coverage") else "left")
    for a in made.applications:
        top = max(a.p99_mbps, default=0)
        for name, steps, window in (
            ("P99", a.p99_mbps, a.window_p99_mbps),
            ("P90", a.p90_mbps, a.window_p90_mbps),
            ("P50", a.p50_mbps, a.window_p50_mbps),
        ):
            first = name == "P99"
            last = name == "P50"
            table.add_row(
                a.application if first else "",
                a.model if first else "",
                name,
                sparkline(steps, top, _BAND_WIDTH),
                str(a.last_mbps) if last else "",
                f"{window} Mbit/s",
                f"{a.coverage_permille / 10:g} % of P90" if name == "P90" else "",
            )
    out.print(table)
    for a in made.applications:
        for effect in a.event_effects:
            out.print(f"  {a.application}: {effect}", markup=False)
        if a.unexplained_fall:
            out.print(
                f"  {a.application}: fell below what was thought possible; nothing is scaled in on it", markup=False
            )


def import_file(  # noqa: PLR0913 - one option for each thing that must be stated
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(help="CSV or Parquet with timestamp and one value column.")],
    target: Annotated[Path, typer.Argument(help="The .csv or .parquet to write.")],
    *,
    vpn: Annotated[str, typer.Option()],
    application: Annotated[str, typer.Option()],
    factor: Annotated[float, typer.Option(help="Mbit/s per unit of the file.")],
    unit: Annotated[str, typer.Option(help="What the file counts.")],
    time_zone: Annotated[str | None, typer.Option(help="Of times without an offset.")] = None,
    shift_weeks: Annotated[int, typer.Option(help="Move by whole weeks.")] = 0,
    column: Annotated[str | None, typer.Option(help="The value column.")] = None,
) -> None:
    """Turn a plain timestamp,value file into telemetry, with a stated factor."""
    session: Session = ctx.obj
    from ecm.telemetry import PlainImport, import_plain  # noqa: PLC0415 - loads pandas

    try:
        how = PlainImport(
            vpn=vpn,
            application=application,
            factor=factor,
            unit=unit,
            time_zone=time_zone,
            shift_weeks=shift_weeks,
            value_column=column,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise CommandError(f"--{option} {first['input']!r}: {first['msg']}", Code.USAGE) from None
    done = import_plain(source, target, how)
    if session.as_json:
        session.emit(done.model_dump(mode="json"))
        return
    session.out.print(f"{done.rows} rows to {target}: {done.statement}", markup=False)


def check(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="File or folder; else .ecm/telemetry/<stack>.")] = None,
) -> None:
    """Examine telemetry: gaps, duplicates, resets, negative and absurd values, time zones. Repairs nothing."""
    session: Session = ctx.obj
    from ecm import intent, telemetry  # noqa: PLC0415 - loads pandas

    fleet = intent.load(session.root, session.stack).fleet
    found = telemetry.inspect(telemetry_path(session, path), fleet=fleet)
    if session.as_json:
        session.emit([f.model_dump(mode="json") for f in found])
    elif found:
        telemetry_table(session.out, found)
    else:
        session.out.print("nothing found: every series is regular and complete", style="green")
    if any(f.severity is Severity.ERROR for f in found):
        raise typer.Exit(Code.ERROR)
