"""`ecm verify` and `ecm status`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.cli.standing import Standing, ask_stack, observed, standing
from ecm.cli.tables import health_tables, report_table
from ecm.cli.verifying import compared
from ecm.model.base import SHOWN
from ecm.model.plan import Plan
from ecm.review import FleetHealth, fleet_health
from ecm.store import Store

_LAST = 8
"""Journal entries that `ecm status` shows."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(epilog="\b\nExample:\n  ecm verify --stack prod")(verify)
    app.command(epilog="\b\nExample:\n  ecm status --stack prod")(status)


def verify(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="DIGEST", help="Else the approved plan.")] = None,
) -> None:
    """Compare what runs with the plan: instances, routes, targets, records, configuration. Exits 10 on findings."""
    session: Session = ctx.obj
    store = session.store()
    stands = ask_stack(session, store)
    plan = _plan_to_verify(session, store, stands, name)
    report = compared(session, store, plan, stands)
    if session.as_json:
        session.emit(report.model_dump(mode="json"))
    else:
        report_table(session.out, report)
    raise typer.Exit(Code.DONE if report.converged else Code.CHANGES)


def _plan_to_verify(session: Session, store: Store, stands: Standing, name: str | None) -> Plan:
    digest = store.find_plan(name) if name else session.settings.approved or stands.applied
    if digest is None:
        raise CommandError(f"stack {session.stack}: nothing is approved or applied; begin with: ecm plan")
    return store.plan(digest)


def status(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Go by the journal; do not ask Pulumi.")] = False,
) -> None:
    """Show how every chain, tier and node is, what is applied, approved and planned, and the journal's last entries."""
    session: Session = ctx.obj
    store = session.store()
    stands = standing(session, store, offline=offline)
    facts = _facts(session, store, stands)
    at = session.now()
    health = _health(session, store, stands, at)
    if session.as_json:
        session.emit({**facts, "health": health.model_dump(mode="json") if health else None})
        return
    if health is not None:
        health_tables(session.out, health, at)
        session.out.print()
    for key in ("stack", "applied", "approved", "latest", "unfinished"):
        session.out.print(f"{key:<12} {facts[key] or 'none'}", markup=False)
    for mark in facts["unavailable"]:
        session.out.print(f"{'unavailable':<12} {mark['shape']} in {mark['zone']} until {mark['until']}", markup=False)
    for entry in facts["journal"][-_LAST:]:
        plan = (entry["plan"] or "")[:SHOWN]
        session.out.print(f"  {entry['at']} {entry['kind']:<11} {plan:<19} {entry['who']} {entry['why']}", markup=False)


def _health(session: Session, store: Store, stands: Standing, at: datetime) -> FleetHealth | None:
    """Return how what stands is; none where nothing stands. What nobody can be asked about is unknown."""
    if stands.previous is None:
        return None
    seen = None
    if stands.asked:
        from ecm.aws import AwsError  # noqa: PLC0415 - boto3 only where AWS is asked

        try:
            seen = observed(session, store, stands, (stands.previous.desired.region, at))
        except AwsError as error:
            session.note(f"how the nodes are is not known: {error}")
    return fleet_health(stands.previous, seen)


def _facts(session: Session, store: Store, stands: Standing) -> dict[str, Any]:
    journal = store.journal()
    planned = [e.plan for e in journal if e.kind.value == "planned" and e.plan]
    return {
        "stack": session.stack,
        "applied": stands.applied,
        "applied_by": "stack" if stands.asked else "journal",
        "approved": session.settings.approved,
        "latest": planned[-1] if planned else None,
        "unfinished": stands.previous.digest if stands.previous and stands.unfinished else None,
        "unavailable": [m.model_dump(mode="json") for m in store.unavailable(session.now())],
        "journal": [e.model_dump(mode="json") for e in journal],
    }
