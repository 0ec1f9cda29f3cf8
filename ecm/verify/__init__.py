"""Holds the plan against what runs; pure."""

from ecm.verify.compare import compare

__all__ = ["compare"]
