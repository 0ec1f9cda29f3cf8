"""`ecm forecast`, `ecm telemetry import`, `ecm telemetry check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ecm import files
from ecm.charts.panel import Panel, outlook_panels, panels, vpn_panels
from ecm.cli.bands import chart
from ecm.cli.commands.decide import Telemetry, parse_time
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.cli.tables import telemetry_table
from ecm.model.demand import DemandHistory, Forecast, Severity

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
  ecm forecast --stack prod --vpn corp
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
    *,
    telemetry: Telemetry = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Forecast as at this time.")] = None,
    application: Annotated[
        list[str] | None, typer.Option("--application", help="Only this application; may be repeated.")
    ] = None,
    vpn: Annotated[
        list[str] | None, typer.Option("--vpn", help="Only this VPN and its applications; may be repeated.")
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option("--hours", min=1, max=48, help="Steps of so many hours ahead, instead of the sizing window."),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a picture: FILE.png or FILE.svg.")] = None,
) -> None:
    """Forecast the load of each application and VPN: quantiles of each step, and of the maximum over the sizing window.

    A VPN's quantiles are those of the sum of its applications, not the sum of theirs. With --hours: quantiles of each
    step of each application up to two days ahead, without the window; nothing is sized on them.
    """
    session: Session = ctx.obj
    moment = parse_time(session, as_of)
    suffix = None if plot is None else picture_suffix(plot)
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    inputs = deciding.read_inputs(session, telemetry)
    chosen = _chosen((application or [], vpn or []), inputs.history)
    if hours is None:
        made = _window(session, inputs, (moment, chosen))
    else:
        made = _outlook(session, inputs, (moment, hours), chosen)
    if plot is not None and suffix is not None:
        write_picture(plot, suffix, made.panels, f"stack {session.stack}: load and its forecast")
    if session.as_json:
        session.emit(made.data)
        return
    _charts(session, made.panels)
    made.table(session.out)
    if plot is not None:
        session.out.print(f"wrote {plot}", markup=False)


class _Made(NamedTuple):
    """A forecast of the chosen applications in the forms that are asked for."""

    panels: tuple[Panel, ...]
    data: dict[str, Any]
    table: Callable[[Console], None]


def _window(session: Session, inputs: Inputs, asked: tuple[datetime, frozenset[str]]) -> _Made:
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    moment, chosen = asked
    with session.err.status("forecast"):
        store = session.store()
        whole = deciding.predictor(session, inputs, store, store.observed()).at(moment)
    made = whole.model_copy(
        update={
            "applications": tuple(a for a in whole.applications if a.application in chosen),
            "vpns": tuple(v for v in whole.vpns if chosen.issuperset(v.applications)),
        }
    )
    events = inputs.intent.fleet.events
    shown = (*vpn_panels(made, inputs.history, events), *panels(made, inputs.history, events))
    data = made.model_dump(mode="json", exclude={"scenarios", "earlier"})
    return _Made(shown, data, lambda out: forecast_table(out, made))


def _outlook(session: Session, inputs: Inputs, ahead: tuple[datetime, int], chosen: frozenset[str]) -> _Made:
    from ecm.cli import outlooks  # noqa: PLC0415 - loads the scientific libraries

    made = outlooks.make(session, inputs, *ahead)
    shown = tuple(p for p in outlook_panels(made, inputs.history, inputs.intent.fleet.events) if p.title in chosen)
    return _Made(shown, outlooks.data(made, chosen), lambda out: outlooks.table(made, out, chosen))


def _chosen(wanted: tuple[list[str], list[str]], history: DemandHistory) -> frozenset[str]:
    """Return the applications to show of those named and of the VPNs named; CommandError when one is not known."""
    for option, names, known in zip(
        ("--application", "--vpn"), wanted, (history.applications, sorted(set(history.vpns))), strict=True
    ):
        absent = [name for name in names if name not in known]
        if absent:
            raise CommandError(f"{option} {absent[0]}: not known; there is: {', '.join(known)}", Code.USAGE)
    applications, vpns = wanted
    of_vpns = [a for a, v in zip(history.applications, history.vpns, strict=True) if v in vpns]
    return frozenset([*applications, *of_vpns] or history.applications)


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
            f"--plot: {len(shown)} panels do not fit in one picture, {MOST_PANELS} do; choose with --application NAME",
            Code.USAGE,
        )
    files.write(path, band(shown, Form(suffix), title=title))


def _charts(session: Session, shown: Sequence[Panel]) -> None:
    """Print the first charts, VPNs before applications."""
    out = session.out
    for panel in shown[:_CHARTS]:
        for line in chart(panel, out.width):
            out.print(line, no_wrap=True, soft_wrap=True)
        out.print()
    if len(shown) > _CHARTS:
        session.note(f"the first {_CHARTS} of {len(shown)} charts; --application NAME or --vpn NAME shows another")


def forecast_table(out: Console, made: Forecast) -> None:
    """Print what was forecast of each application, and of each VPN with more than one; loads in Mbit/s."""
    minutes = made.interval_min
    out.print(f"from {made.start:%Y-%m-%d %H:%M} UTC, {minutes} min a step; the sizing window starts at step "
              f"{made.window_first_step + 1}; loads in Mbit/s", markup=False)  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    words = ("application", "model", "coverage")
    for column in ("application", "model", "now", "recent peak", "window P50", "P90", "P99", "coverage"):
        table.add_column(column, justify="left" if column in words else "right")
    for v in (v for v in made.vpns if len(v.applications) > 1):
        figures = (v.last_mbps, v.recent_peak_mbps, v.window_p50_mbps, v.window_p90_mbps, v.window_p99_mbps)
        table.add_row(f"VPN {v.vpn}", f"sum of {len(v.applications)}", *map(str, figures), "", style="bold")
    for a in made.applications:
        window = (a.last_mbps, a.recent_peak_mbps, a.window_p50_mbps, a.window_p90_mbps, a.window_p99_mbps)
        table.add_row(a.application, a.model, *map(str, window), f"{a.coverage_permille / 10:g} % within P90")
    out.print(table)
    for a in made.applications:
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
    path: Annotated[
        Path | None, typer.Argument(help="File or folder; else what `ecm collect` keeps, or .ecm/telemetry/<stack>.")
    ] = None,
) -> None:
    """Examine telemetry: gaps, duplicates, resets, negative and absurd values, time zones. Repairs nothing."""
    session: Session = ctx.obj
    from ecm import intent, telemetry  # noqa: PLC0415 - loads pandas
    from ecm.cli.histories import telemetry_source  # noqa: PLC0415 - loads pandas

    fleet = intent.load(session.root, session.stack).fleet
    found = telemetry.inspect(telemetry_source(session, path, fleet), fleet=fleet)
    if session.as_json:
        session.emit([f.model_dump(mode="json") for f in found])
    elif found:
        telemetry_table(session.out, found)
    else:
        session.out.print("nothing found: every series is regular and complete", style="green")
    if any(f.severity is Severity.ERROR for f in found):
        raise typer.Exit(Code.ERROR)
