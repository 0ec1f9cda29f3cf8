"""Drives the Pulumi engine: finds the toolchain, runs its commands, returns what happened as values.

    toolchain = locate(os.environ)
    stack = Stack(toolchain, project=Path("."), name="dev", env=os.environ)
    stack.select(create=True)
    outcome = stack.preview(Options(expect_no_changes=True))

Nothing is printed; progress goes to a callback, and what the command wrote is in `Outcome.output`.
"""

from ecm.engine.capacity import CapacityRefusal, capacity_refusals
from ecm.engine.errors import CommandFailed, EngineError, MissingPulumi
from ecm.engine.locks import LockHolder, lock_holders
from ecm.engine.outcome import Diagnostic, Outcome, Progress, Step, Violation
from ecm.engine.stack import Options, PolicyPack, Stack
from ecm.engine.toolchain import PINNED, Toolchain, locate

__all__ = [
    "PINNED",
    "CapacityRefusal",
    "CommandFailed",
    "Diagnostic",
    "EngineError",
    "LockHolder",
    "MissingPulumi",
    "Options",
    "Outcome",
    "PolicyPack",
    "Progress",
    "Stack",
    "Step",
    "Toolchain",
    "Violation",
    "capacity_refusals",
    "locate",
    "lock_holders",
]
