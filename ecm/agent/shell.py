"""Running the system's own tools: no shell, a time limit, and an error that says what the tool said."""

from __future__ import annotations

import subprocess
from typing import Protocol

TIMEOUT_S = 30.0


class ToolError(Exception):
    """A tool that failed or did not end in time; keys never stand on a command line, so never in here."""

    def __init__(self, command: tuple[str, ...], said: str) -> None:
        super().__init__(f"{' '.join(command[:6])}: {said.strip()[:500] or 'failed without a word'}")
        self.said = said


class Shell(Protocol):
    """What runs tools: the machine, or a recording in tests."""

    def run(self, *command: str, stdin: str | None = None, timeout: float = TIMEOUT_S) -> str:
        """Run `command` and return what it printed; ToolError when it fails."""
        ...

    def launch(self, *command: str) -> None:
        """Run a `command` that leaves a daemon behind; ToolError when it fails."""
        ...


class Machine:
    """The tools of this machine."""

    def run(self, *command: str, stdin: str | None = None, timeout: float = TIMEOUT_S) -> str:
        """Run `command` with `stdin`; ToolError when it cannot be started, fails, or takes more than `timeout` s."""
        try:
            done = subprocess.run(
                command,
                input=stdin,
                stdin=None if stdin is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ToolError(command, f"did not end within {timeout:g} s") from None
        except OSError as error:
            raise ToolError(command, error.strerror or str(error)) from None
        if done.returncode:
            raise ToolError(command, done.stderr or done.stdout)
        return done.stdout

    def launch(self, *command: str) -> None:
        """Run a `command` that leaves a daemon behind, which holds none of this process's files and outlives it."""
        quiet = subprocess.DEVNULL
        try:
            done = subprocess.run(
                command,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise ToolError(command, str(error)) from None
        if done.returncode:
            raise ToolError(command, f"ended with {done.returncode}")
