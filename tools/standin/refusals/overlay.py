"""How a refusal is laid over a moto method. Test double, not AWS."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from moto.ec2.exceptions import EC2ClientError

from tools.standin.faults import FaultFile, Faults

Moto = Any
"""An object of moto's, or an argument of one of its methods: moto is not typed for use from outside."""

_current: list[FaultFile] = []


def use(faults: FaultFile) -> bool:
    """Make `faults` the ones that count; return whether this is the first time in this process."""
    first = not _current
    _current[:] = [faults]
    return first


def faults() -> Faults:
    """Return the faults as they are now."""
    return _current[0].now


def refuse(code: str, message: str) -> NoReturn:
    """Answer with an EC2 error."""
    raise EC2ClientError(code, message)


Replacement = Callable[..., Any]


class Overlays:
    """Replacements of moto's methods, gathered where they are written and laid over moto by `install`."""

    def __init__(self) -> None:
        self._gathered: list[tuple[Moto, str, Replacement]] = []

    def over(self, owner: Moto, name: str) -> Callable[[Replacement], Replacement]:
        """Gather the decorated function for `owner.name`; it gets the original as its first argument."""

        def gather(function: Replacement) -> Replacement:
            self._gathered.append((owner, name, function))
            return function

        return gather

    def install(self) -> None:
        """Lay every gathered function over its method."""
        for owner, name, function in self._gathered:
            original = getattr(owner, name)
            if isinstance(original, property) and original.fget is not None:
                setattr(owner, name, property(_bound(function, original.fget)))
            elif isinstance(vars(owner).get(name), staticmethod):
                setattr(owner, name, staticmethod(_bound(function, original)))
            else:
                setattr(owner, name, _bound(function, original))


def _bound(function: Replacement, original: Replacement) -> Replacement:
    @functools.wraps(original)
    def replacement(*args: Moto, **options: Moto) -> Moto:
        return function(original, *args, **options)

    return replacement
