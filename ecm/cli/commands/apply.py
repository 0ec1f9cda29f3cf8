"""`ecm preview` and `ecm up`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from ecm.cli.applying import Job, apply, approved_plan, check_preview, check_ready
from ecm.cli.commands.decide import Telemetry
from ecm.cli.exits import Code
from ecm.cli.guardrails import guardrails, unjudged
from ecm.cli.owners import LEASE_MIN, owner, owner_is_dead
from ecm.cli.progress import engine_progress
from ecm.cli.session import Session
from ecm.cli.standing import ask_stack, engine_stack
from ecm.engine import Options, Outcome
from ecm.model.plan import Plan

_NODES = ("aws:ec2/instance:Instance",)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(epilog="\b\nExample:\n  ecm preview --stack prod")(preview)
    app.command(epilog="\b\nExample:\n  ecm up --stack prod")(up)


def preview(
    ctx: typer.Context,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read what stands first.")] = False,
) -> None:
    """Show what Pulumi would do with the approved plan. Changes nothing."""
    session: Session = ctx.obj
    store = session.store()
    stack = engine_stack(session)
    plan = approved_plan(session, store)
    stands = ask_stack(session, store)
    check_ready(session, plan, stands)
    _check_credentials(plan)
    packs = guardrails(session, stands)
    stack.select(create=True)
    with engine_progress(session.err, "preview") as listen:
        outcome = stack.preview(Options(refresh=refresh, policy_packs=packs), on_progress=listen)
    check_preview(outcome)
    if session.as_json:
        steps = [step.model_dump(mode="json") for step in outcome.changes]
        violations = [violation.model_dump(mode="json") for violation in outcome.violations]
        counts = dict(outcome.counts)
        session.emit({"plan": plan.digest, "counts": counts, "changes": steps, "violations": violations})
    else:
        show_outcome(session.out, outcome)
        if note := unjudged(outcome):
            session.note(note)
    raise typer.Exit(Code.CHANGES if outcome.changes else Code.DONE)


def _check_credentials(plan: Plan) -> None:
    """Refuse to begin without AWS credentials, before the stack, its file or the journal is written."""
    from ecm.aws import open_session  # noqa: PLC0415 - boto3 only where AWS is asked

    open_session(plan.desired.region)


def show_outcome(out: Console, outcome: Outcome) -> None:
    """Print the engine's counts, and each node that comes, changes or goes."""
    for step in outcome.changes:
        if step.type in _NODES:
            out.print(f"  {step.op:<18} {step.name}", markup=False)
    counted = ", ".join(f"{count} {op}" for op, count in outcome.counts) or "no resources"
    out.print(f"{outcome.command}: {counted} ({outcome.duration_s} s)", markup=False)


def up(
    ctx: typer.Context,
    telemetry: Telemetry = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read what stands first, and mend it.")] = False,
) -> None:
    """Apply the approved plan with Pulumi. Where EC2 has no capacity, go on within the approval without that place."""
    session: Session = ctx.obj
    store = session.store()
    stack = engine_stack(session)
    plan = approved_plan(session, store)
    stands = ask_stack(session, store)
    check_ready(session, plan, stands)
    _check_credentials(plan)
    packs = guardrails(session, stands)
    with store.lock(owner=owner(session), now=session.now(), minutes=LEASE_MIN, is_dead=owner_is_dead):
        stack.select(create=True)
        applied, outcome = apply(
            Job(session, store, stack, telemetry, Options(refresh=refresh, policy_packs=packs)), plan
        )
    if session.as_json:
        session.emit({"applied": applied.digest, "serial": applied.serial, "counts": dict(outcome.counts)})
        return
    show_outcome(session.out, outcome)
    session.out.print(
        f"applied plan {applied.serial}: {applied.digest}\nnext: ecm verify --stack {session.stack}", markup=False
    )
