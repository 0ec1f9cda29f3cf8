"""Exit codes, one meaning each."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ecm.model.links import Topic, link
from ecm.model.plan import Decision
from ecm.model.run import RunOutcome


class Code(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    """Done, or nothing to do."""
    ERROR = 1
    CHANGES = 10
    """Changes are proposed, or findings that another run would mend."""
    REVIEW = 11
    """A person has to approve."""
    REFUSED = 12
    """Refused by guard."""
    STALE = 13
    """Inputs, or the plan, are too old."""
    FROZEN = 14
    USAGE = 64


OF_DECISION: Final = {
    Decision.AUTOMATIC: Code.CHANGES,
    Decision.REVIEW: Code.REVIEW,
    Decision.REFUSED: Code.REFUSED,
    Decision.STALE: Code.STALE,
    Decision.FROZEN: Code.FROZEN,
}
"""What `ecm plan` exits with when the plan changes something."""


OF_RUN: Final = {
    RunOutcome.CONVERGED: Code.DONE,
    RunOutcome.APPLIED: Code.DONE,
    RunOutcome.NEEDS_REVIEW: Code.REVIEW,
    RunOutcome.FROZEN: Code.FROZEN,
    RunOutcome.STALE: Code.STALE,
    RunOutcome.REFUSED: Code.REFUSED,
    RunOutcome.FAILED: Code.ERROR,
}
"""What `ecm reconcile` exits with."""


class CommandError(Exception):
    """A command cannot do what was asked: what, where, how to mend it, where more is said of it; and the exit code."""

    def __init__(self, message: str, code: Code = Code.ERROR, *, topic: Topic | None = None) -> None:
        super().__init__(message if topic is None else f"{message}\n    More: {link(topic)}")
        self.code = code
