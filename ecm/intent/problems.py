"""What is wrong in a file that a person wrote: where, which value, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to mend."""

    file: str
    """Path below the repository's root."""
    field: str
    """As people write it: list entries by their id, such as `applications.payroll.profile`; empty: the whole file."""
    value: str
    """The value as read, shortened; empty: there is none."""
    what: str
    remedy: str

    def __str__(self) -> str:
        """Return the problem in two lines: where and what, then the remedy."""
        where = f"{self.file}: {self.field}" if self.field else self.file
        value = f" = {self.value}" if self.value else ""
        return f"{where}{value}: {self.what}\n    {self.remedy}"


class IntentError(Exception):
    """The files cannot be used; `problems` lists everything that was found, in the order of the files."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__("\n".join([f"{len(problems)} {noun} in what was written:", *(f"  {p}" for p in problems)]))


def show(value: object) -> str:
    """Return `value` in one short line; control characters are escaped, long values are cut."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
