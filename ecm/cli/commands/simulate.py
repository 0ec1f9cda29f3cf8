"""`ecm simulate`: what a plan still carries when something fails."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ecm import intent, pipeline
from ecm.cli.exits import Code, CommandError
from ecm.cli.routing import plan_of
from ecm.cli.session import Session
from ecm.cli.tables import simulation_tables
from ecm.model.base import SHOWN


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog="""
    \b
    Examples:
      ecm simulate --fail us-east-1a --stack prod                   a zone is gone
      ecm simulate --fail corp-in/us-east-1a/0 --load x1.5 --stack prod
      ecm simulate --load x2 --plan latest --stack prod --json      a plan that is not yet applied
    """
    )(simulate)


def simulate(
    ctx: typer.Context,
    fail: Annotated[list[str] | None, typer.Option(metavar="SUBJECT", help="Slot, zone or tier; repeatable.")] = None,
    load: Annotated[str, typer.Option(metavar="xN", help="Factor of the planned load, such as x1.5.")] = "x1",
    plan: Annotated[str, typer.Option(metavar="DIGEST", help="Else the applied plan; `latest`: the newest.")] = "",
) -> None:
    """Say who would move where, and who would be short, if nodes failed or the load grew; nothing is changed.

    Exits 10 where something would move, wait for new nodes or be short.
    """
    session: Session = ctx.obj
    digest, standing = plan_of(session, plan)
    written = intent.load(session.root, session.stack)
    try:
        found = pipeline.simulate(standing, written, tuple(fail or ()), _permille(load))
    except pipeline.UnknownSubjectError as error:
        raise CommandError(f"--fail: {error}", Code.USAGE) from None
    if session.as_json:
        session.emit({"plan": digest, "holds": found.holds, **found.model_dump(mode="json")})
    else:
        simulation_tables(session.out, found)
        session.out.print(f"\n[dim]plan {digest[:SHOWN]}; loads: planned, and P90 of each application[/]")
    raise typer.Exit(Code.DONE if found.holds else Code.CHANGES)


def _permille(text: str) -> int:
    """Return the factor in thousandths; CommandError where it is none."""
    match = re.fullmatch(r"x?(\d{1,3}(?:\.\d{1,3})?)", text)
    permille = round(float(match[1]) * 1000) if match else 0
    if not permille:
        raise CommandError(f"--load {text!r} is no factor above 0\n    Write it as x1.5", Code.USAGE)
    return permille
