"""Refusals as values: why something cannot be, and what would make it possible."""

from __future__ import annotations

from ecm.model.base import Frozen, Text


class Rejected(Frozen):
    """One candidate and the requirement that it failed."""

    candidate: Text
    requirement: Text
    have: Text
    need: Text


class Infeasible(Frozen):
    """No candidate meets the requirements."""

    subject: Text
    """What has no solution, such as `application payroll`."""
    rejected: tuple[Rejected, ...]
    relaxation: Text
    """The cheapest change of requirements that would make it feasible."""

    def message(self) -> str:
        """Return one paragraph for people."""
        lines = [f"{self.subject}: no solution"]
        lines += [f"  {r.candidate}: {r.requirement} is {r.have}, needed {r.need}" for r in self.rejected]
        return "\n".join([*lines, f"  cheapest relaxation: {self.relaxation}"])


class Because(Frozen):
    """A number of a decision and the constraint that bound it."""

    subject: Text
    """`tier NAME`, `slot ID`, `chain ID`, `application ID` or `network`."""
    number: Text
    value: int
    unit: Text
    constraint: Text
    """The name of the binding constraint, such as `zone-loss`, `node-failures` or `forecast-quantile`."""
    detail: Text
    """The arithmetic, with its numbers."""
