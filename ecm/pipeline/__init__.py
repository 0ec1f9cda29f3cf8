"""The only composer: every run of the stages, from intent and telemetry to a guarded, rendered plan.

What decides is loaded where it is first used: whoever only asks what chains offer waits for no scientific library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ecm.pipeline.chains import chain_states
from ecm.pipeline.failing import UnknownSubjectError, simulate
from ecm.pipeline.lead import look_ahead

if TYPE_CHECKING:
    from ecm.pipeline.decision import Outcome, World, decide, decide_from, restore, tried

__all__ = [
    "Outcome",
    "UnknownSubjectError",
    "World",
    "chain_states",
    "decide",
    "decide_from",
    "look_ahead",
    "restore",
    "simulate",
    "tried",
]


def __getattr__(name: str) -> object:
    """Return a name of `ecm.pipeline.decision` (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ecm.pipeline.decision"), name)
