"""One scheduled run: what a killed run left, what runs, what is needed, whether it may go ahead, and doing it.

Within `policies/limits.yaml` a run applies its plan without a person. Everything else ends it with a value that says
why, and changes nothing. What is missing or broken (telemetry, AWS, Pulumi) is never a reason to take a node away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

from ecm import files
from ecm.cli.applying import Job, apply, check_preview
from ecm.cli.approval import approve_plan
from ecm.cli.content import check_content
from ecm.cli.exits import Code, CommandError
from ecm.cli.guardrails import guardrails
from ecm.cli.keeping import infeasible_text, keep
from ecm.cli.owners import LEASE_MIN, owner, owner_is_dead
from ecm.cli.progress import engine_progress
from ecm.cli.recovering import recover
from ecm.cli.reviewing import Asked, as_page, gather
from ecm.cli.runlog import RunLog
from ecm.cli.session import Session
from ecm.cli.settings import write_approved
from ecm.cli.standing import Standing, ask_stack, engine_stack
from ecm.cli.verifying import compared
from ecm.engine import EngineError, Options, Stack
from ecm.model.base import SHOWN
from ecm.model.demand import Severity
from ecm.model.links import Topic, link
from ecm.model.plan import Decision, Plan
from ecm.model.run import Run, RunOutcome
from ecm.review import build, markdown
from ecm.store import EntryKind, Store, StoreError

REASON: Final = 500
"""Characters of a reason, as many as a journal entry keeps."""
BY_ITSELF: Final = "ecm reconcile"
"""Who approves what the limits let through without a person."""
_OF_DECISION: Final = {
    Decision.STALE: RunOutcome.STALE,
    Decision.FROZEN: RunOutcome.FROZEN,
    Decision.REFUSED: RunOutcome.REFUSED,
    Decision.REVIEW: RunOutcome.NEEDS_REVIEW,
}
_OF_CODE: Final = {
    Code.REVIEW: RunOutcome.NEEDS_REVIEW,
    Code.REFUSED: RunOutcome.REFUSED,
    Code.STALE: RunOutcome.STALE,
    Code.FROZEN: RunOutcome.FROZEN,
}


class Ended(Exception):  # noqa: N818 - an outcome, not a fault
    """The run is over, with an outcome."""

    def __init__(
        self, outcome: RunOutcome, reason: str, *, plan: str | None = None, report: Path | None = None
    ) -> None:
        super().__init__(reason)
        reason = " ".join(reason.split())[:REASON]  # one line: of the journal, of a log, of a table
        self.outcome, self.reason, self.plan, self.report = outcome, reason, plan, report


def reconcile(session: Session, log: RunLog, telemetry: Path | None) -> Run:
    """Run once and return what came of it; it is in the journal, too, where the store can be written.

    An error that this program knows is an outcome; any other is its own fault and is raised.
    """
    began, store, applied = session.now(), None, None
    try:
        store = session.store()
        with store.lock(owner=owner(session), now=began, minutes=LEASE_MIN, is_dead=owner_is_dead):
            ended = _ended(session, store, log, telemetry)
            applied = _applied(session, store, ended)
            _record(session, store, ended)
    except StoreError as error:
        ended = Ended(RunOutcome.FAILED, str(error))
    log.say("reconcile", f"{ended.outcome.value}: {ended.reason}", outcome=ended.outcome.value, plan=ended.plan)
    return Run(
        stack=session.stack,
        started_at=began,
        outcome=ended.outcome,
        reason=ended.reason,
        plan=ended.plan,
        applied=applied,
        report=str(ended.report) if ended.report else None,
        phases=tuple(log.phases),
    )


def _ended(session: Session, store: Store, log: RunLog, telemetry: Path | None) -> Ended:
    from ecm.aws import AwsError  # noqa: PLC0415 - boto3 only where AWS is asked
    from ecm.intent import IntentError  # noqa: PLC0415 - not for the commands that read no intent
    from ecm.telemetry import TelemetryError  # noqa: PLC0415 - loads the scientific libraries

    try:
        _Reconciler(session, store, log, telemetry).run()
    except Ended as ended:
        return ended
    except CommandError as error:
        return Ended(_OF_CODE.get(error.code, RunOutcome.FAILED), str(error))
    except TelemetryError as error:
        return Ended(RunOutcome.STALE, f"{error} ({link(Topic.STALE_TELEMETRY)})")
    except (AwsError, EngineError, IntentError, files.FileError) as error:
        return Ended(RunOutcome.FAILED, str(error))


def _applied(session: Session, store: Store, ended: Ended) -> str | None:
    """Return the plan that is applied after the run; the stack is asked only where the outcome does not say."""
    if ended.outcome in (RunOutcome.CONVERGED, RunOutcome.APPLIED):
        return ended.plan
    try:
        return ask_stack(session, store).applied
    except (CommandError, EngineError):
        return None


def _record(session: Session, store: Store, ended: Ended) -> None:
    why = f"{ended.outcome.value}: {ended.reason}"
    store.record(EntryKind.RECONCILED, at=session.now(), plan=ended.plan, who=session.who, why=why)


class _Reconciler:
    """The steps of one run; each ends the run where there is nothing further to do."""

    def __init__(self, session: Session, store: Store, log: RunLog, telemetry: Path | None) -> None:
        self.session, self.store, self.log, self.telemetry = session, store, log, telemetry
        self.stack: Stack = engine_stack(session)

    def run(self) -> NoReturn:
        with self.log.phase("recover"):
            mended = recover(self.session, self.store, self.stack, self.log)
            stands = ask_stack(self.session, self.store)
        self._finish_approved(stands)
        with self.log.phase("plan"):
            made, nothing = self._plan(stands)
        if nothing:
            self._mend(stands, killed=mended)
        if made.verdict.decision is not Decision.AUTOMATIC:
            self._leave(made)
        with self.log.phase("up"):
            approve_plan(self.session, self.store, stands, (made.digest, BY_ITSELF, "within policies/limits.yaml"))
            self._up(made, stands)

    def _finish_approved(self, stands: Standing) -> None:
        """Apply what a person has approved and nobody has applied, or only in part; a newer forecast comes after it."""
        digest = self.session.settings.approved
        approval = self.store.approval(digest) if digest else None
        if digest is None or approval is None or digest == stands.applied:
            return
        begun = self.store.attempted()
        if approval.who == BY_ITSELF and (begun is None or begun.plan != digest):
            return  # nothing of it was done, and nobody but this program wanted it
        plan = self.store.plan(digest)
        if plan.basis != stands.applied or not plan.verdict.passed or self.session.now() >= plan.expires_at:
            return
        try:
            check_content(self.session, plan)
        except CommandError as error:
            self.log.say("approved", str(error), plan=digest)
            return
        self.log.say("approved", f"plan {plan.serial} is approved and not applied", plan=digest)
        with self.log.phase("up"):
            self._up(plan, stands)

    def _plan(self, stands: Standing) -> tuple[Plan, bool]:
        """Decide as `ecm plan` does, and keep the plan when it changes something."""
        from ecm.cli import deciding  # noqa: PLC0415 - loads the scientific libraries

        try:
            inputs = deciding.read_inputs(self.session, self.telemetry)
        except CommandError as error:  # there is no file with telemetry
            raise Ended(RunOutcome.STALE, str(error)) from None
        world = deciding.make_world(self.session, self.store, inputs, stands, self.session.now())
        forecaster = deciding.predictor(self.session, inputs, self.store, world.observed)
        outcome = deciding.make_plan(self.session, inputs, world, forecaster)
        if outcome.plan is None:
            raise CommandError(f"nothing was written: {infeasible_text(outcome.infeasible)}")
        made = outcome.plan
        nothing = outcome.nothing_to_do and not stands.unfinished and made.verdict.passed
        if made.verdict.decision is Decision.STALE:
            raise Ended(RunOutcome.STALE, _hits(made))
        if not nothing:
            keep(self.session, self.store, made, world.peers)
        deciding.remember(self.store, world, forecaster)
        said = "nothing to do" if nothing else f"{len(made.changes)} changes, {made.verdict.decision.value}"
        self.log.say("plan", f"serial {made.serial}: {said}", plan=made.digest, changes=len(made.changes))
        return made, nothing

    def _mend(self, stands: Standing, *, killed: bool) -> NoReturn:
        """Look whether what stands has drifted from the applied plan, and bring it back."""
        if stands.applied is None:
            raise Ended(RunOutcome.CONVERGED, "nothing stands and nothing is needed")
        applied = self.store.plan(stands.applied)
        self._take_up(stands.applied)
        with self.log.phase("preview"), engine_progress(self.session.err, "preview") as listen:
            outcome = self.stack.preview(self._options(stands), on_progress=listen)
        check_preview(outcome)
        if not outcome.changes and not killed:
            raise Ended(RunOutcome.CONVERGED, f"plan {applied.serial} stands as it is to be", plan=applied.digest)
        named = ", ".join(sorted({f"{step.op} {step.name}" for step in outcome.changes})[:5])
        self.log.say("drift", named or "what a killed run left", changes=len(outcome.changes))
        with self.log.phase("up"):
            self._up(applied, stands, previewed=applied.digest)

    def _options(self, stands: Standing) -> Options:
        return Options(refresh=True, policy_packs=guardrails(self.session, stands))

    def _take_up(self, digest: str) -> None:
        """Let the applied plan stand in the configuration: a checkout of the repository may name an older one."""
        if self.session.settings.approved != digest and self.store.approval(digest) is not None:
            write_approved(self.session.root, self.session.stack, digest, self.session.settings.signers)

    def _leave(self, made: Plan) -> NoReturn:
        """Leave the report of a plan that may not go ahead by itself; nothing is changed."""
        with self.log.phase("review"):
            context = gather(self.session, self.store, made, Asked(now=self.session.now(), offline=False))
            found = build(made, context)
            report = self.session.root / ".ecm" / "reports" / f"{made.stack}.md"
            report.parent.mkdir(parents=True, exist_ok=True)
            files.write(report, markdown(found))
            files.write(report.with_suffix(".html"), as_page(found))
        reason = _hits(made) or "; ".join(made.verdict.reasons)
        if made.verdict.decision is Decision.REVIEW:
            read = f"{report.name} or its page {report.stem}.html"
            reason += f"; read {read}, then: ecm approve {made.digest[:SHOWN]} --stack {made.stack}"
        raise Ended(_OF_DECISION[made.verdict.decision], reason, plan=made.digest, report=report)

    def _up(self, plan: Plan, stands: Standing, *, previewed: str | None = None) -> NoReturn:
        self.stack.select(create=True)
        job = Job(self.session, self.store, self.stack, self.telemetry, self._options(stands), previewed)
        done, outcome = apply(job, plan)
        counted = ", ".join(f"{count} {op}" for op, count in outcome.counts if op != "same") or "no change"
        left = self._verify(done)
        raise Ended(RunOutcome.APPLIED, f"plan {done.serial}: {counted}{left}", plan=done.digest)

    def _verify(self, plan: Plan) -> str:
        """Compare what runs with `plan`; a node that is still booting is for the next run to see."""
        with self.log.phase("verify"):
            report = compared(self.session, self.store, plan, ask_stack(self.session, self.store))
        found = [f for f in report.findings if f.severity is Severity.ERROR]
        why = "as planned" if report.converged else f"{len(report.findings)} findings"
        self.store.record(EntryKind.VERIFIED, at=self.session.now(), plan=plan.digest, who=self.session.who, why=why)
        return f"; {len(found)} differences remain: {found[0].subject} {found[0].kind}" if found else ""


def _hits(made: Plan) -> str:
    return "; ".join(h.said for h in made.verdict.hits)
