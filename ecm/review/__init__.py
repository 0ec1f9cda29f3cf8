"""The plan for people: a Markdown report, an explanation of any one thing in it, and how what it planned is; pure."""

from ecm.review.explain import Explanation, UnknownSubject, explain
from ecm.review.health import FleetHealth, Standing, fleet_health
from ecm.review.report import Context, markdown

__all__ = [
    "Context",
    "Explanation",
    "FleetHealth",
    "Standing",
    "UnknownSubject",
    "explain",
    "fleet_health",
    "markdown",
]
