"""Programs of the system, run in a namespace or outside; what they say when they fail is the error."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ecm.lab.errors import LabError

_END_S: Final = 10
_TIMEOUT_S: Final = 60
"""No single command of the lab takes longer on a working machine."""


def run(*command: str, stdin: str | None = None, check: bool = True) -> str:
    """Run `command` and return what it printed; LabError when it fails and `check` is set."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{' '.join(command)}: {error}") from error
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip() or f'exit {done.returncode}'}")
    return done.stdout


def inside(space: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
    """Run `command` in a network namespace."""
    return run("ip", "netns", "exec", space, *command, stdin=stdin, check=check)


def batch(space: str, lines: list[str]) -> None:
    """Run several `ip` commands in a namespace as one."""
    if lines:
        run("ip", "-n", space, "-batch", "-", stdin="\n".join(lines) + "\n")


def processes(*names: str) -> tuple[int, ...]:
    """Return the processes of namespaces; none where there is no such namespace."""
    wanted = set()
    for name in names:
        with suppress(FileNotFoundError):
            wanted.add((Path("/run/netns") / name).stat().st_ino)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "ns" / "net").stat().st_ino in wanted:
                    found.append(int(entry.name))
    return tuple(sorted(found))


def end(*names: str) -> None:
    """End every process of namespaces at once; LabError when one does not go."""
    until = time.monotonic() + _END_S
    while left := processes(*names):
        if time.monotonic() > until:
            raise LabError(f"processes {', '.join(map(str, left))} do not end")
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def spaces(prefix: str) -> tuple[str, ...]:
    """Return every network namespace whose name begins with `prefix`."""
    names = (line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip())
    return tuple(sorted(name for name in names if name.startswith(prefix)))
