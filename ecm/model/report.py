"""What `verify` finds."""

from __future__ import annotations

from ecm.model.base import Digest, Frozen, Text
from ecm.model.demand import Severity


class Finding(Frozen):
    """One difference between the plan and what runs."""

    severity: Severity
    subject: Text
    kind: Text
    detail: Text
    remedy: Text


class Report(Frozen):
    """All findings, worst first; none: the stack is as planned."""

    plan: Digest
    findings: tuple[Finding, ...]

    @property
    def converged(self) -> bool:
        """True when nothing worse than an information was found."""
        return all(f.severity is Severity.INFO for f in self.findings)
