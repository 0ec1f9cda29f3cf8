"""What came of one scheduled run, as a value."""

from __future__ import annotations

from enum import StrEnum

from ecm.model.base import Digest, Frozen, Name, Text, UtcTime


class RunOutcome(StrEnum):
    """How a run of `ecm reconcile` ended."""

    CONVERGED = "converged"
    """What stands is what is planned; nothing was changed."""
    APPLIED = "applied"
    """A plan was applied, or drift from the applied one was mended."""
    NEEDS_REVIEW = "needs-review"
    """A person has to approve; the report lies ready and nothing was changed."""
    FROZEN = "frozen"
    STALE = "stale-inputs"
    """Telemetry, prices or the plan are too old, or telemetry cannot be read; nothing was changed."""
    REFUSED = "refused"
    """Over a limit or against a guardrail."""
    FAILED = "failed"
    """Something outside does not answer or work; the next run goes on from what stands."""


class Phase(Frozen):
    """One part of a run and how long it took."""

    name: Name
    milliseconds: int


class Run(Frozen):
    """One run: its outcome, why, and what it decided and left."""

    stack: Name
    started_at: UtcTime
    outcome: RunOutcome
    reason: Text
    plan: Digest | None = None
    """The plan that was made or applied; none when there was nothing to plan."""
    applied: Digest | None = None
    """The plan that is applied after the run."""
    report: Text | None = None
    """File with the report that a person is to read."""
    phases: tuple[Phase, ...] = ()
