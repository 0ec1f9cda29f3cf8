"""The one error of this package: telemetry that cannot be read as it is."""

from __future__ import annotations


class TelemetryError(Exception):
    """A file that cannot be used; says which file, where in it, the value, and how to mend it."""

    def __init__(self, what: str, *, file: str, remedy: str, where: str = "", value: object = None) -> None:
        self.what = what
        self.file = file
        self.where = where
        """Row or column, such as `row 12, column mbps`; rows count from 1 below the header; empty: the whole file."""
        self.value = value
        self.remedy = remedy
        place = f"{file}: {where}" if where else file
        shown = "" if value is None else f" = {show(value)}"
        super().__init__(f"{place}{shown}: {what}\n    {remedy}")


def show(value: object) -> str:
    """Return `value` in one short line; control characters are escaped, long values are cut."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
