"""The only composer: every run of the stages, from intent and telemetry to a guarded, rendered plan."""

from ecm.pipeline.chains import chain_states
from ecm.pipeline.decision import Outcome, World, decide, decide_from, restore, tried

__all__ = ["Outcome", "World", "chain_states", "decide", "decide_from", "restore", "tried"]
