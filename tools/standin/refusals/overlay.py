"""How a refusal is laid over a moto method. Test double, not AWS."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from tools.standin.faults import FaultFile, Faults

_current: list[FaultFile] = []


def use(faults: FaultFile) -> bool:
    """Make `faults` the ones that count; return whether this is the first time in this process."""
    first = not _current
    _current[:] = [faults]
    return first


def faults() -> Faults:
    """Return the faults as they are now."""
    return _current[0].now


def refuse(code: str, message: str) -> None:
    """Answer with an EC2 error."""
    raise EC2ClientError(code, message)


def overlay(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace `owner.name` by the decorated function, which gets the original as its first argument."""
    original = getattr(owner, name)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(owner, name, replacement)
        return replacement

    return decorate
