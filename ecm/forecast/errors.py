"""The one error of this package: a history from which nothing can be forecast."""

from __future__ import annotations


class ForecastError(Exception):
    """Says which applications cannot be forecast, why, and how to mend it."""

    def __init__(self, what: str, *, applications: tuple[str, ...], remedy: str) -> None:
        self.what = what
        self.applications = applications
        self.remedy = remedy
        named = f"{', '.join(applications)}: " if applications else ""
        super().__init__(f"{named}{what}\n    {remedy}")
