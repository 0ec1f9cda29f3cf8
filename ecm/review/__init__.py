"""The plan for people: a Markdown report and an explanation of any one thing in it; pure."""

from ecm.review.explain import Explanation, UnknownSubject, explain
from ecm.review.report import Context, markdown

__all__ = ["Context", "Explanation", "UnknownSubject", "explain", "markdown"]
