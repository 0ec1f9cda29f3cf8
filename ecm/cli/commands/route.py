"""`ecm route`: the chain for one request, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecm import intent
from ecm.cli.exits import Code
from ecm.cli.routing import Answer, answer, request_of
from ecm.cli.session import Session
from ecm.cli.tables import route_table
from ecm.model.base import MICRO, SHOWN
from ecm.model.policy import OnViolation

_FILES = (".yaml", ".yml", ".json")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog="""
    \b
    Examples:
      ecm route voice --stack prod                                  as its profile asks
      ecm route office --bandwidth-mbps 80 --latency-ms 12 --stack prod
      ecm route request.yaml --plan latest --stack prod --json      a request in a file, a plan not yet applied
    """
    )(route)


def route(  # noqa: PLR0913, PLR0917 - what a request may say
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="An application, or a YAML or JSON file.")],
    bandwidth_mbps: Annotated[int | None, typer.Option(min=1, help="Mbit/s that must be free on every tier.")] = None,
    latency_ms: Annotated[int | None, typer.Option(min=1, help="p95, one way, entry to exit.")] = None,
    loss_pct: Annotated[float | None, typer.Option(help="Per cent of the packets.")] = None,
    max_outage_s: Annotated[int | None, typer.Option(min=1, help="Until traffic flows again after a failure.")] = None,
    security_level: Annotated[int | None, typer.Option(min=0, help="Of the weakest tier.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Where the chain may stand; may be repeated.")] = None,
    on_violation: Annotated[OnViolation | None, typer.Option(help="What to do when no chain meets all of it.")] = None,
    plan: Annotated[str, typer.Option(metavar="DIGEST", help="Else the applied plan; `latest`: the newest.")] = "",
) -> None:
    """Say which chain of a plan is best for a request, and why each other one is not; exits 1 where there is none.

    What the request leaves out is taken from the application's profile. Nothing is reserved: leases are `ecm serve`'s.
    """
    session: Session = ctx.obj
    written = intent.load(session.root, session.stack)
    given = {
        "bandwidth_mbps": bandwidth_mbps,
        "latency_ms": latency_ms,
        "loss_pct": loss_pct,
        "max_outage_s": max_outage_s,
        "security_level": security_level,
        "regions": tuple(region) if region else None,
        "on_violation": on_violation,
    }
    source = Path(request) if request.endswith(_FILES) else request
    asked = request_of(written, source, {k: v for k, v in given.items() if v is not None})
    found = answer(session, written, asked, plan)
    if session.as_json:
        session.emit({"plan": found.digest, **found.decision.model_dump(mode="json")})
    else:
        _show(session, found)
    raise typer.Exit(Code.DONE if found.decision.chain else Code.ERROR)


def _show(session: Session, found: Answer) -> None:
    decision, asked = found.decision, found.asked
    head = f"application {asked.application} of VPN {asked.vpn}, {decision.bandwidth_mbps} Mbit/s"
    if decision.chain:
        usd = decision.usd_micro_per_hour / MICRO
        session.out.print(f"{head}: chain [bold]{decision.chain}[/], class {decision.traffic_class}, {usd:+.4f} USD/h")
    else:
        session.out.print(f"{head}: [red]no chain[/]; not together: {', '.join(decision.conflict)}")
        session.out.print(f"cheapest change: {decision.relaxation}")
    for miss in decision.violated:
        session.out.print(f"[yellow]violated[/]: {miss.requirement} is {miss.have}, asked for {miss.need}")
    session.out.print()
    route_table(session.out, found.states, decision)
    session.out.print(f"\n[dim]plan {found.digest[:SHOWN]}; what it says is free, leases not counted[/]")
