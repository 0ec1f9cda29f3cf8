"""What can go wrong before an engine operation has a result of its own."""

from __future__ import annotations


class EngineError(Exception):
    """The engine could not be used; the text says why and what to do."""


class MissingPulumi(EngineError):  # noqa: N818 - a state of the machine rather than a fault of the program
    """No usable Pulumi toolchain on this machine; the text is one sentence with the way to mend it."""


class CommandFailed(EngineError):  # noqa: N818 - reads as what it reports
    """A short command (`stack select`, `config set`, ...) ended with an error.

    `exit_code` is Pulumi's: 1 generic, 2 configuration, 3 authentication, 6 no such stack, 8 cancelled.
    """

    def __init__(self, command: str, exit_code: int, said: str) -> None:
        super().__init__(f"pulumi {command} failed with exit code {exit_code}: {said}")
        self.command = command
        self.exit_code = exit_code
