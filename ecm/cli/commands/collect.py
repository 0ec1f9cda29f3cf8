"""`ecm collect`: measured load into the stack's history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session

_EXAMPLES: Final = """
\b
Example:
  ecm collect --stack prod last-year.parquet      files into the history, once
  ecm collect --stack prod exports/ --keep-raw-days 28
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog=_EXAMPLES)(collect)


def collect(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of telemetry, or folders of them.")],
    *,
    keep_raw_days: Annotated[
        int, typer.Option(min=1, help="Days that points stay as measured; after that, means over 15 min.")
    ] = 56,
    keep_days: Annotated[int, typer.Option(min=1, help="Days that means over 15 min stay.")] = 400,
) -> None:
    """Take measured load into the stack's history, from which plans, forecasts and backtests then read.

    Running it again, after an error or a crash too, doubles nothing: a point replaces what stood at its time.
    """
    session: Session = ctx.obj
    if keep_days < keep_raw_days:
        raise CommandError(f"--keep-days {keep_days}: less than --keep-raw-days {keep_raw_days}", Code.USAGE)
    from ecm.cli import collecting  # noqa: PLC0415 - loads pandas
    from ecm.store.history import Retention  # noqa: PLC0415 - loads pyarrow

    made = collecting.collect_files(session, tuple(files), Retention(keep_raw_days, keep_days))
    if session.as_json:
        session.emit(made.model_dump(mode="json"))
        return
    collecting.show(session.out, made)
