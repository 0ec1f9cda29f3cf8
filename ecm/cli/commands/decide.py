"""`ecm plan`, `ecm approve`, `ecm explain`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ecm.cli.approval import approve_plan
from ecm.cli.exits import OF_DECISION, Code, CommandError
from ecm.cli.keeping import infeasible_text, keep
from ecm.cli.session import Session
from ecm.cli.standing import standing
from ecm.cli.tables import explanation_tables, plan_summary
from ecm.model.base import canonical
from ecm.model.plan import Decision, Plan
from ecm.review import explain
from ecm.store import EntryKind, Store

Telemetry = Annotated[Path | None, typer.Option("--telemetry", help="CSV or Parquet; else .ecm/telemetry/<stack>.")]
Offline = Annotated[bool, typer.Option("--offline", help="Ask neither Pulumi nor AWS; go by the journal.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(epilog="\b\nExample:\n  ecm plan --stack prod --telemetry load.parquet --as-of 2026-11-18T12:00Z")(plan)
    app.command(epilog='\b\nExample:\n  ecm approve latest --stack prod --why "campaign on Friday"')(approve)
    app.command(
        "explain",
        epilog="\b\nExamples:\n  ecm explain corp-in --stack prod\n"
        "  ecm explain corp-in --stack prod --at 2026-11-18T12:00Z",
    )(explain_subject)


def parse_time(session: Session, text: str | None, option: str = "--as-of") -> datetime:
    """Return the moment that `option` names, or now; CommandError when it has no time zone."""
    return session.now() if text is None else parse_moment(text, option)


def parse_moment(text: str, option: str) -> datetime:
    """Return the moment that `option` names; CommandError when it has no time zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{option} {text!r}: write a time such as 2026-11-18T12:00Z", Code.USAGE) from None
    if moment.tzinfo is None:
        raise CommandError(f"{option} {text!r}: add the time zone, such as {text}Z", Code.USAGE)
    return moment


def plan(
    ctx: typer.Context,
    telemetry: Telemetry = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Decide as at this time (reproducible).")] = None,
    offline: Offline = False,
) -> None:
    """Decide how many nodes each tier needs before the load arrives, and keep that as a plan. Changes nothing."""
    session: Session = ctx.obj
    moment = parse_time(session, as_of)
    from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

    inputs = deciding.read_inputs(session, telemetry)
    store = session.store()
    stands = standing(session, store, offline=offline)
    world = deciding.make_world(session, store, inputs, stands, moment)
    forecaster = deciding.predictor(session, inputs, store, world.observed)
    outcome = deciding.make_plan(session, inputs, world, forecaster)
    if outcome.plan is None:
        raise CommandError(f"nothing was written: {infeasible_text(outcome.infeasible)}")
    nothing = outcome.nothing_to_do and not stands.unfinished and outcome.plan.verdict.passed
    if outcome.plan.verdict.decision is Decision.STALE:
        report_plan(session, outcome.plan, nothing=False)
    if not nothing:
        keep(session, store, outcome.plan, world.peers)
    deciding.remember(store, world, forecaster)
    report_plan(session, outcome.plan, nothing=nothing)


def report_plan(session: Session, made: Plan, *, nothing: bool) -> NoReturn:
    """Print what was decided and end the command with its exit code."""
    code = Code.DONE if nothing else OF_DECISION[made.verdict.decision]
    if session.as_json:
        session.emit({"digest": None if nothing else made.digest, "nothing_to_do": nothing, "plan": _data(made)})
    else:
        plan_summary(session.out, made, nothing=nothing)
    raise typer.Exit(code)


def _data(made: Plan) -> object:
    return json.loads(canonical(made))


def approve(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DIGEST|latest", help="The plan, or its first digits.")] = "latest",
    why: Annotated[str, typer.Option("--why", help="For the journal.")] = "",
    who: Annotated[str | None, typer.Option("--who", help="For the journal; else the user.")] = None,
    offline: Offline = False,
) -> None:
    """Approve a plan: its digest goes into the stack's configuration, who and why into the journal."""
    session: Session = ctx.obj
    store = session.store()
    digest = store.find_plan(name)
    stands = standing(session, store, offline=offline)
    path = approve_plan(session, store, stands, (digest, who or session.who, why))
    shown = path.relative_to(session.root)
    if session.as_json:
        session.emit({"approved": digest, "file": str(shown)})
        return
    session.out.print(f"approved {digest}\nwritten to {shown}; next: ecm up --stack {session.stack}", markup=False)


def _applied_at(store: Store, moment: datetime) -> str:
    """Return the plan that the journal says was applied at `moment`."""
    found = [e.plan for e in store.journal() if e.kind is EntryKind.APPLIED and e.plan and e.at <= moment]
    if not found:
        raise CommandError(f"stack {store.stack}: nothing was applied at {moment.isoformat()}; see ecm history")
    return found[-1]


def explain_subject(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SLOT|TIER|CHAIN|APPLICATION")],
    name: Annotated[str, typer.Option("--plan", metavar="DIGEST|latest")] = "latest",
    at: Annotated[str | None, typer.Option("--at", help="By the plan that was applied at this time.")] = None,
) -> None:
    """Say why a part of a plan is as it is: each number with the constraint that bound it."""
    session: Session = ctx.obj
    store = session.store()
    digest = store.find_plan(name) if at is None else _applied_at(store, parse_time(session, at, "--at"))
    found = explain(store.plan(digest), subject)
    if session.as_json:
        rows = [
            {"subject": e.subject, "notes": e.notes, "numbers": [b.model_dump(mode="json") for b in e.numbers]}
            for e in found
        ]
        session.emit(rows)
        return
    explanation_tables(session.out, found)
