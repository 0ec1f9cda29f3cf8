"""`ecm agent`, as part of the whole program; a node, which has nothing else, comes to it directly."""

from __future__ import annotations

import typer

from ecm.agent.command import run_agent
from ecm.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(add_help_option=False, context_settings=anything)(agent)


def agent(ctx: typer.Context) -> None:
    """Run, ask or drain the agent of the node that this is: see ecm agent --help."""
    session: Session = ctx.obj
    raise typer.Exit(run_agent([*ctx.args, *(["--json"] if session.as_json else [])]))
