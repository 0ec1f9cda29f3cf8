"""`ecm demo`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog="\b\nExample:\n  ecm demo")(demo)


def demo(ctx: typer.Context) -> None:
    """Run the whole job on this machine: generated telemetry, the real Pulumi engine, an embedded AWS."""
    from ecm.cli.demo import run_demo  # noqa: PLC0415 - only this command

    raise typer.Exit(run_demo(ctx.obj))
