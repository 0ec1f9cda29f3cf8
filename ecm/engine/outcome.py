"""What an engine operation did, as values."""

from __future__ import annotations

from typing import Literal

from ecm.model.base import Frozen

UNCHANGING = frozenset({"same", "read", "discard", "read-replacement", "discard-replaced", "refresh"})
"""Operations of the engine that change nothing in the cloud (`read-replacement` takes over what is there)."""

State = Literal["planned", "started", "done", "failed"]


class Step(Frozen):
    """One operation on one resource. `diff` and `replace_keys` are property paths, for updates and replacements."""

    urn: str
    type: str
    name: str
    op: str
    state: State
    diff: tuple[str, ...] = ()
    replace_keys: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the operation changes something in the cloud or the state."""
        return self.op not in UNCHANGING


class Diagnostic(Frozen):
    """What the engine, a provider or the program said. `urn` is empty where it concerns no single resource."""

    severity: Literal["info", "warning", "error"]
    message: str
    urn: str = ""


class Violation(Frozen):
    """A policy that a resource breaks. `enforcement` "mandatory" stops the operation."""

    policy: str
    pack: str
    enforcement: str
    message: str
    urn: str = ""


class Progress(Frozen):
    """A step that has just started, ended or failed; `done` counts the changes that have ended, with this one."""

    step: Step
    done: int


class Outcome(Frozen):
    """The result of a preview, up or destroy.

    `result` is "cancelled" after an interrupt. `exit_code` is Pulumi's (7: there are changes although none were
    expected). `steps` are in the order of the engine, resources without change included. `output` is all that the
    command wrote, without colours.
    """

    command: str
    exit_code: int
    result: Literal["succeeded", "failed", "cancelled"]
    steps: tuple[Step, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    violations: tuple[Violation, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    duration_s: int = 0
    output: str = ""

    @property
    def ok(self) -> bool:
        """Whether the operation ran to its end and found what was expected."""
        return self.exit_code == 0

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something, in the order of the engine."""
        return tuple(step for step in self.steps if step.changes)

    @property
    def unexpected_changes(self) -> bool:
        """Whether `expect_no_changes` was asked for and changes were found."""
        return self.exit_code == 7

    @property
    def locked(self) -> bool:
        """Whether another operation holds the stack's lock."""
        return "the stack is currently locked" in self.output

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors."""
        return tuple(item for item in self.diagnostics if item.severity == "error")

    def count(self, op: str) -> int:
        """How many resources the engine's summary counts under `op` ("create", "same", ...)."""
        return dict(self.counts).get(op, 0)
