"""The only composer: every run of the stages, from intent and telemetry to a guarded, rendered plan."""

from ecm.pipeline.decide import Outcome, World, decide
from ecm.pipeline.rendering import render_plan, rendering_differences

__all__ = ["Outcome", "World", "decide", "render_plan", "rendering_differences"]
