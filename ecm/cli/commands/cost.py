"""`ecm cost`: what every VPN and application cost over a period."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ecm.cli.commands.decide import Telemetry, parse_moment
from ecm.cli.session import Session

_EXAMPLES: Final = """
\b
Examples:
  ecm cost --stack prod                                    the last seven days
  ecm cost --since 2026-11-01T00:00Z --until 2026-12-01T00:00Z --stack prod --json
  ecm cost --plan latest --telemetry load.parquet --stack prod   as if the newest plan had stood all the time
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog=_EXAMPLES)(cost)


def cost(
    ctx: typer.Context,
    telemetry: Telemetry = None,
    since: Annotated[str | None, typer.Option(help="Start of the period; else seven days before its end.")] = None,
    until: Annotated[str | None, typer.Option(help="Its end; else the end of the telemetry.")] = None,
    plan: Annotated[str, typer.Option(metavar="DIGEST", help="Else what stood by the journal.")] = "",
) -> None:
    """Share what nodes, addresses, balancers and traffic cost among the VPNs and applications by their measured load.

    Nodes are paid by what was used of their tier's capacity; what nobody used is headroom. All of it adds up to the
    total. Beside it: the same plans at the load that they expected.
    """
    session: Session = ctx.obj
    from ecm.cli import spending  # noqa: PLC0415 - loads pandas

    made = spending.spend(
        session,
        spending.Asked(
            telemetry=telemetry,
            since=None if since is None else parse_moment(since, "--since"),
            until=None if until is None else parse_moment(until, "--until"),
            plan=plan,
        ),
    )
    if session.as_json:
        session.emit(spending.data(made))
    else:
        spending.show(session.out, made)
