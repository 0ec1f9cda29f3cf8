"""What a command takes from outside of files: the time, the stack's engine, and what AWS says that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ecm.engine import Stack, locate
from ecm.model.observed import Observed, Unavailable


class Observe(Protocol):
    """Looks at what runs, from the stack's outputs; AwsError when AWS cannot be asked."""

    def __call__(
        self,
        outputs: Mapping[str, Any],
        *,
        stack: str,
        taken_at: datetime,
        unavailable: tuple[Unavailable, ...] = (),
        previous: Observed | None = None,
    ) -> Observed:
        """Return the snapshot."""


@dataclass(frozen=True)
class Edges:
    """The real ones; a simulation gives others, so that scheduled runs are the same code in both."""

    clock: Callable[[], datetime]
    engine: Callable[[Path, str, Mapping[str, str]], Stack]
    """Of a project's folder, a stack and an environment; MissingPulumi when this machine has no toolchain."""
    observe: Observe


def machine_time() -> datetime:
    """Return the time, to the second: as much as a journal needs."""
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the only place that reads the clock


def pulumi(root: Path, stack: str, env: Mapping[str, str]) -> Stack:
    """Return the Pulumi stack of the project at `root`."""
    return Stack(locate(env), root, stack, env)


def aws(
    outputs: Mapping[str, Any],
    *,
    stack: str,
    taken_at: datetime,
    unavailable: tuple[Unavailable, ...] = (),
    previous: Observed | None = None,
) -> Observed:
    """Ask AWS."""
    from ecm.aws import observe  # noqa: PLC0415 - boto3 only where AWS is asked

    return observe(outputs, stack=stack, taken_at=taken_at, unavailable=unavailable, previous=previous)


MACHINE = Edges(clock=machine_time, engine=pulumi, observe=aws)
