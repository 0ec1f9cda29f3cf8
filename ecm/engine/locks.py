"""Pulumi's own lock on a stack, which has no lease: a killed run leaves it behind."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HOLDER = re.compile(r"created by (?P<who>[^\s@]*)@(?P<host>\S+) \(pid (?P<pid>\d+)\)")


@dataclass(frozen=True)
class LockHolder:
    """The process that took the lock, as the backend wrote it down."""

    who: str
    host: str
    pid: int


def lock_holders(output: str) -> tuple[LockHolder, ...]:
    """Return who holds the stack's lock, from what a refused command of a self-managed backend wrote."""
    found = (LockHolder(m["who"], m["host"], int(m["pid"])) for m in _HOLDER.finditer(output))
    return tuple(dict.fromkeys(found))
