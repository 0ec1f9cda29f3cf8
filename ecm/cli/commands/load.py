"""`ecm forecast`, `ecm telemetry import`, `ecm telemetry check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ecm import files
from ecm.charts.panel import Panel, outlook_panels, panels
from ecm.cli.bands import chart
from ecm.cli.commands.decide import Telemetry, parse_time
from ecm.cli.exits import Code, CommandError
from ecm.cli.paths import telemetry_path
from ecm.cli.session import Session
from ecm.cli.tables import telemetry_table
from ecm.model.demand import Forecast, Severity
from ecm.model.forecast import ApplicationForecast

if TYPE_CHECKING:
    from ecm.cli.deciding import Inputs

_CHARTS: Final = 6
"""Charts on a terminal: more scroll the table away."""
_PICTURES: Final = ("png", "svg")
_EXAMPLES: Final = """
\b
Example:
  ecm forecast --stack prod --telemetry load.parquet
  ecm forecast --stack prod --telemetry load.parquet --application desktop --plot desktop.svg
  ecm forecast --stack prod --as-of 2026-11-18T12:00Z --json
  ecm forecast --stack prod --hours 48 --plot outlook.png
"""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(epilog=_EXAMPLES)(forecast)
    group = typer.Typer(help="Measured load: bring it into form, and examine it.", rich_markup_mode=None)
    group.command(
        "import",
        epilog="\b\nExample:\n  ecm telemetry import in.csv load.csv --vpn a --application b --factor 0.5 --unit calls",
    )(import_file)
    group.command(epilog="\b\nExample:\n  ecm telemetry check load.parquet --stack prod")(check)
    app.add_typer(group, name="telemetry")


def forecast(  # noqa: PLR0913 - one option for each thing that may be asked
    ctx: typer.Context,
    telemetry: Telemetry = None,
    *,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Forecast as at this time.")] = None,
    application: Annotated[
        list[str] | None, typer.Option("--application", help="Only this application; may be repeated.")
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option("--hours", min=1, max=48, help="Steps of so many hours ahead, instead of the sizing window."),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a picture: FILE.png or FILE.svg.")] = None,
) -> None:
    """Forecast the load of each application: quantiles of each step, and of the maximum over the sizing window.

    With --hours: quantiles of each step up to two days ahead, without the window; nothing is sized on them.
    """
    session: Session = ctx.obj
    moment = parse_time(as_of)
    suffix = None if plot is None else picture_suffix(plot)
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    inputs = deciding.read_inputs(session, telemetry)
    chosen = _chosen(application or [], inputs.history.applications)
    made = _window(session, inputs, moment) if hours is None else _outlook(session, inputs, (moment, hours))
    shown = tuple(p for p in made.panels if p.title in chosen)
    if plot is not None and suffix is not None:
        write_picture(plot, suffix, shown, f"stack {session.stack}: load and its forecast")
    if session.as_json:
        session.emit(made.data(chosen))
        return
    _charts(session, shown)
    made.table(session.out, chosen)
    if plot is not None:
        session.out.print(f"wrote {plot}", markup=False)


class _Made(NamedTuple):
    """A forecast in the forms that are asked for, of chosen applications."""

    panels: tuple[Panel, ...]
    data: Callable[[frozenset[str]], dict[str, Any]]
    table: Callable[[Console, frozenset[str]], None]


def _window(session: Session, inputs: Inputs, moment: datetime) -> _Made:
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    with session.err.status("forecast"):
        whole = deciding.predictor(inputs, session.store()).at(moment)

    def mine(chosen: frozenset[str]) -> tuple[ApplicationForecast, ...]:
        return tuple(a for a in whole.applications if a.application in chosen)

    def data(chosen: frozenset[str]) -> dict[str, Any]:
        one = whole.model_dump(mode="json", exclude={"scenarios", "earlier"})
        return one | {"applications": [a.model_dump(mode="json") for a in mine(chosen)]}

    shown = panels(whole, inputs.history, inputs.intent.fleet.events)
    return _Made(shown, data, lambda out, chosen: forecast_table(out, whole, mine(chosen)))


def _outlook(session: Session, inputs: Inputs, ahead: tuple[datetime, int]) -> _Made:
    from ecm.cli import outlooks  # noqa: PLC0415 - loads the scientific libraries

    made = outlooks.make(session, inputs, *ahead)
    shown = outlook_panels(made, inputs.history, inputs.intent.fleet.events)
    return _Made(shown, partial(outlooks.data, made), partial(outlooks.table, made))


def _chosen(wanted: list[str], known: tuple[str, ...]) -> frozenset[str]:
    """Return the applications to show; CommandError when one is not in the telemetry."""
    absent = [name for name in wanted if name not in known]
    if absent:
        raise CommandError(f"--application {absent[0]}: not known; there is: {', '.join(known)}", Code.USAGE)
    return frozenset(wanted or known)


def picture_suffix(path: Path) -> str:
    """Return `png` or `svg`; CommandError for another suffix, or where no file can be written."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _PICTURES:
        raise CommandError(
            f"--plot {path}: the suffix says the form, and it is neither .png nor .svg\n"
            f"    Write --plot {path.with_suffix('.png')} or --plot {path.with_suffix('.svg')}",
            Code.USAGE,
        )
    if not path.expanduser().parent.is_dir():
        raise CommandError(f"--plot {path}: {path.parent} is no folder; make it first, or name another")
    return suffix


def write_picture(path: Path, suffix: str, shown: Sequence[Panel], title: str) -> None:
    """Write the panels as one picture; CommandError when they are too many."""
    from ecm.charts.style import Form  # noqa: PLC0415 - loads matplotlib
    from ecm.charts.timeline import MOST_PANELS, band  # noqa: PLC0415 - loads matplotlib

    if len(shown) > MOST_PANELS:
        raise CommandError(
            f"--plot: {len(shown)} applications do not fit in one picture, {MOST_PANELS} do; "
            "choose with --application NAME",
            Code.USAGE,
        )
    files.write(path, band(shown, Form(suffix), title=title))


def _charts(session: Session, shown: Sequence[Panel]) -> None:
    """Print a chart for each of the first applications."""
    out = session.out
    for panel in shown[:_CHARTS]:
        for line in chart(panel, out.width):
            out.print(line, no_wrap=True, soft_wrap=True)
        out.print()
    if len(shown) > _CHARTS:
        session.note(f"charts of the first {_CHARTS} of {len(shown)} applications; --application NAME shows another")


def forecast_table(out: Console, whole: Forecast, made: Sequence[ApplicationForecast]) -> None:
    """Print what was forecast of each application; loads in Mbit/s."""
    minutes = whole.interval_min
    out.print(f"from {whole.start:%Y-%m-%d %H:%M} UTC, {minutes} min a step; the sizing window starts at step "
              f"{whole.window_first_step + 1}; loads in Mbit/s", markup=False)  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    words = ("application", "model", "coverage")
    for column in ("application", "model", "now", "recent peak", "window P50", "P90", "P99", "coverage"):
        table.add_column(column, justify="left" if column in words else "right")
    for a in made:
        window = (a.last_mbps, a.recent_peak_mbps, a.window_p50_mbps, a.window_p90_mbps, a.window_p99_mbps)
        table.add_row(a.application, a.model, *map(str, window), f"{a.coverage_permille / 10:g} % within P90")
    out.print(table)
    for a in made:
        for text in (*a.incidents, *a.event_effects):
            out.print(f"  {a.application}: {text}", markup=False)


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
