"""The one error of this stage."""

from __future__ import annotations


class RenderError(ValueError):
    """A desired state that cannot be written as node configuration: where, which value, and how to mend it."""

    def __init__(self, where: str, value: object, why: str, remedy: str) -> None:
        super().__init__(f"{where}: {value!s}: {why}; {remedy}")
        self.where = where
        self.value = value
        self.why = why
        self.remedy = remedy
