"""What stops the lab."""

from __future__ import annotations


class LabError(RuntimeError):
    """The lab cannot do what was asked; the message says what is missing or wrong and what to do."""
