"""The plan for people: its review as a value, Markdown and a page, explanations, and how what it planned is; pure."""

from ecm.review.build import build
from ecm.review.classes import of_step
from ecm.review.context import Context
from ecm.review.explain import Explanation, UnknownSubject, explain
from ecm.review.health import FleetHealth, Standing, fleet_health
from ecm.review.markdown import markdown, marker
from ecm.review.page import page

__all__ = [
    "Context",
    "Explanation",
    "FleetHealth",
    "Standing",
    "UnknownSubject",
    "build",
    "explain",
    "fleet_health",
    "markdown",
    "marker",
    "of_step",
    "page",
]
