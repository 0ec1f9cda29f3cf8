"""What a review rests on: the plan before, rendered configuration, the engine's preview, drift, ages of inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ecm import intent, render
from ecm.cli.exits import CommandError
from ecm.cli.guardrails import broken, guardrails
from ecm.cli.progress import engine_progress
from ecm.cli.session import Session
from ecm.cli.standing import Standing, engine_stack, from_journal, signed_in, standing
from ecm.cli.unapproved import reviewed
from ecm.engine import EngineError, MissingPulumi, Outcome, Stack, Violation
from ecm.model.base import digest
from ecm.model.plan import Plan
from ecm.model.rendered import PeerTable, Rendered
from ecm.model.review import DriftView, EngineState, EngineView, Policies, PolicyRow, Review, StepRow
from ecm.review import Context, of_step
from ecm.review.diffs import masked
from ecm.review.figures import clean
from ecm.store import Store, StoreError

_MESSAGES = 20


@dataclass(frozen=True)
class Asked:
    """How a review was asked for."""

    now: datetime
    offline: bool


def gather(session: Session, store: Store, plan: Plan, asked: Asked) -> Context:
    """Return what the review of `plan` rests on; whoever cannot be asked is named in it, and never ends the report."""
    stands, known = _standing(session, store, offline=asked.offline)
    previous, why = _previous(store, plan)
    rendered, rendered_note = _rendered(session, store, previous, plan, why)
    context = Context(
        now=asked.now,
        approved=session.settings.approved,
        applied=stands.applied,
        applied_known=known,
        previous=previous,
        rendered=rendered,
        rendered_note=rendered_note,
        clients={t.vpn: len(t.peers) for t in _peers(store, plan)},
        digests=_digests(session),
    )
    if asked.offline or not stands.asked or not plan.verdict.passed:
        return replace(context, engine=_not_asked(_why_not(asked, plan)))
    return _with_engine(session, plan, context, stands)


def _standing(session: Session, store: Store, *, offline: bool) -> tuple[Standing, bool]:
    """Return what stands and whether that is known."""
    try:
        return standing(session, store, offline=offline), True
    except (EngineError, CommandError) as error:
        session.note(f"what is applied is not known: {error}")
        return from_journal(store), False


def _why_not(asked: Asked, plan: Plan) -> str:
    if not plan.verdict.passed:
        return "not asked: guard has not passed the plan"
    return "not asked: --offline" if asked.offline else "not asked: there is no Pulumi to ask"


def _not_asked(why: str) -> EngineView:
    return EngineView(state=EngineState.NOT_ASKED, note=clean(why))


def _previous(store: Store, plan: Plan) -> tuple[Plan | None, str]:
    """Return the plan whose nodes stood when `plan` was made, else why there is none."""
    if plan.basis is None:
        return None, "nothing stood before"
    attempt = store.attempted()
    try:
        if attempt is not None and attempt.plan != plan.digest:
            begun = store.plan(attempt.plan)
            if begun.basis == plan.basis and begun.serial < plan.serial:
                return begun, ""
        return store.plan(plan.basis), ""
    except StoreError as error:
        return None, f"the plan before is not in the store: {error}"


def _peers(store: Store, plan: Plan) -> tuple[PeerTable, ...]:
    return tuple(store.peers(vpn.peers) for vpn in plan.desired.vpns if vpn.peers is not None)


def _rendered(
    session: Session, store: Store, previous: Plan | None, plan: Plan, why: str
) -> tuple[tuple[Rendered, Rendered] | None, str]:
    """Return the configuration before and after, both from the templates of now, else why there is none."""
    if previous is None:
        return None, clean(f"no difference to show: {why}")
    templates = session.root / "templates"
    try:
        before, after = (render.configs(p.desired, _peers(store, p), templates=templates) for p in (previous, plan))
    except (render.RenderError, StoreError) as error:
        return None, clean(f"the configuration could not be rendered: {error}")
    return (before, after), ""


def _digests(session: Session) -> dict[str, str]:
    """Return the digests of what people have written by now; nothing where it cannot be read."""
    try:
        wanted = intent.load(session.root, session.stack)
    except intent.IntentError as error:
        session.note(f"what is written now cannot be compared with the plan: {error}")
        return {}
    parts = {
        "fleet": wanted.fleet,
        "qos": wanted.qos,
        "security": wanted.security,
        "limits": wanted.limits,
        "catalog": wanted.catalog,
    }
    return {name: digest(part) for name, part in parts.items()}


def _with_engine(session: Session, plan: Plan, context: Context, stands: Standing) -> Context:
    """Return `context` with the engine's preview and the drift; both change nothing."""
    from ecm.aws import AwsError, open_session  # noqa: PLC0415 - boto3 only where AWS is asked

    try:
        open_session(plan.desired.region)
        packs = guardrails(session, stands)
        real = engine_stack(session)
        with signed_in():
            exists = real.exists()
        drift = _drift(session, real) if exists else context.drift
        with (
            reviewed(session, plan, real if exists else None) as (stack, options),
            engine_progress(session.err, "review: preview") as listen,
        ):
            outcome = stack.preview(replace(options, policy_packs=packs), on_progress=listen)
    except (MissingPulumi, AwsError, CommandError) as error:
        return replace(context, engine=_not_asked(f"not asked: {error}"))
    except EngineError as error:
        return replace(context, engine=EngineView(state=EngineState.FAILED, note=_told(str(error))))
    rows = tuple(sorted((_policy(v) for v in outcome.violations), key=lambda r: (r.policy, r.resource, r.message)))
    policies = Policies(packs=tuple(p.path.name for p in packs), rows=rows)
    return replace(context, engine=_engine(outcome), policies=policies, drift=drift)


def as_page(made: Review) -> str:
    """Return the report as a page, with the figures of its tiers."""
    from ecm.charts.tier_bands import figures  # noqa: PLC0415 - loads matplotlib
    from ecm.review import page  # noqa: PLC0415 - only where a page is written

    return page(made, figures(made))


def _drift(session: Session, stack: Stack) -> DriftView:
    with engine_progress(session.err, "review: drift") as listen:
        outcome = stack.drift(on_progress=listen)
    if not outcome.ok and not outcome.unexpected_changes:
        return DriftView(state=EngineState.FAILED, note=_failure(outcome))
    return DriftView(state=EngineState.DONE, note="", steps=_steps(outcome))


def _engine(outcome: Outcome) -> EngineView:
    said = tuple(f"{d.severity}: {_told(d.message)}" for d in outcome.diagnostics if d.severity != "info")[:_MESSAGES]
    # A broken policy makes the preview fail, too; it is told as what it is.
    failed = not outcome.ok and not broken(outcome)
    return EngineView(
        state=EngineState.FAILED if failed else EngineState.DONE,
        note=_failure(outcome) if failed else "",
        counts=outcome.counts,
        steps=_steps(outcome),
        messages=said,
    )


def _failure(outcome: Outcome) -> str:
    return _told(outcome.errors[0].message if outcome.errors else outcome.output or f"exit code {outcome.exit_code}")


def _told(text: str) -> str:
    """Return what the engine or a provider said, in one line and without a secret."""
    return clean(masked(text), 500)


def _steps(outcome: Outcome) -> tuple[StepRow, ...]:
    return tuple(
        StepRow(
            change_class=of_step(s.op, s.type, (*s.diff, *s.replace_keys)),
            op=clean(s.op, 60),
            type=clean(s.type, 200),
            name=clean(s.name, 300),
            properties=tuple(clean(p, 120) for p in dict.fromkeys((*s.replace_keys, *s.diff))),
        )
        for s in sorted(outcome.changes, key=lambda s: (s.type, s.name, s.op))
    )


def _policy(found: Violation) -> PolicyRow:
    return PolicyRow(
        policy=clean(found.policy, 120),
        pack=clean(found.pack, 120),
        enforcement=clean(found.enforcement, 30),
        resource=clean(found.urn.rpartition("::")[2], 300),
        message=_told(found.message),
    )
