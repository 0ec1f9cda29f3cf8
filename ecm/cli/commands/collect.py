"""`ecm collect`: measured load into the stack's history."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import typer

from ecm.cli.commands.decide import parse_moment
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session

_EXAMPLES: Final = """
\b
Example:
  ecm collect --stack prod                        what is new at the sources of stacks/Pulumi.prod.yaml
  ecm collect --stack prod --since 2026-11-01T00:00Z
  ecm collect --stack prod --follow               a service: once in each interval
  ecm collect --stack prod last-year.parquet      files into the history
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog=_EXAMPLES)(collect)


def collect(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV or Parquet files of telemetry, or folders; else the sources.")
    ] = None,
    *,
    since: Annotated[str | None, typer.Option(help="Collect the sources from this time on, again too.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until interrupted.")] = False,
) -> None:
    """Take measured load into the stack's history, from which plans, forecasts and backtests then read.

    From the sources in the stack's configuration (endpoint-chain-manager:telemetry), each from where the last run came
    to, or from files. Running it again, after an error or a crash too, doubles nothing: a point replaces what stood at
    its time.
    """
    session: Session = ctx.obj
    if files and (since or follow):
        raise CommandError("--since and --follow are for the sources, not for files", Code.USAGE)
    start = None if since is None else parse_moment(since, "--since")
    from ecm.cli import collecting  # noqa: PLC0415 - loads pandas

    if follow:
        stop = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        collecting.follow(session, lambda: collecting.collect_sources(session, None), stop)
        return
    made = collecting.collect_files(session, tuple(files)) if files else collecting.collect_sources(session, start)
    if session.as_json:
        session.emit(made.model_dump(mode="json"))
        return
    collecting.show(session.out, made)
