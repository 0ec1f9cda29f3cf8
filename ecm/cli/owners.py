"""Who holds a lock: the user, the machine and the process, and whether that process can be seen to be dead."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Final

from ecm.cli.session import Session

LEASE_MIN: Final = 60
"""Longer than any run; one that died on another machine blocks the stack for no longer."""
_OWNER: Final = re.compile(r"(?P<who>.*)@(?P<host>\S+) \(process (?P<pid>\d+)\)")


def owner(session: Session) -> str:
    """Return what this process writes into a lock."""
    return f"{session.who}@{socket.gethostname()} (process {os.getpid()})"


def owner_is_dead(text: str) -> bool:
    """Return whether the owner that a lock names has ended: only a process of this machine can be seen to have."""
    found = _OWNER.fullmatch(text)
    return found is not None and is_dead(found["host"], int(found["pid"]))


def is_dead(host: str, pid: int) -> bool:
    """Return whether the process `pid` of `host` has ended, as far as this machine can see."""
    return host == socket.gethostname() and not Path(f"/proc/{pid}").exists()
