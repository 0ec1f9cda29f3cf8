"""Faults of the embedded AWS, given from outside in a JSON file: no capacity, quotas, unhealthy targets, failing calls.

```json
{
  "no_capacity": [{"shape": "c7gn.large", "zone": "us-east-1a"}],
  "quotas": {"vcpus": 64, "addresses": 20, "interfaces": 100},
  "unhealthy": [{"instance": "i-0123456789abcdef0"}, {"tags": {"ecm:slot": "edge/us-east-1a/0"}}],
  "images": {"ami-0123456789abcdef0": "arm64"},
  "fail": [{"action": "CreateListener", "code": "InternalError", "times": 1, "skip": 0}],
  "flaky": {"permille": 200, "seed": 1, "how": "mixed"},
  "delay_ms": {"RunInstances": 50},
  "hold_ms": {"CreateNetworkInterface": 5000}
}
```
`flaky` lets a share of all calls fail before they do anything: throttled, with an error 500, or without an answer.
`delay_ms` is waited before an action, `hold_ms` between the deed and its answer. `*` stands for any shape, zone or
instance. The file may change while the server runs; it is read when it is newer.
Test double, not AWS.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

ANY = "*"
INJECTED = "injected:"
"""How the server's log begins the line of a call that `fail` or `flaky` let fail."""


class FaultError(ValueError):
    """The fault file does not say what it must."""


@dataclass(frozen=True)
class NoCapacity:
    """EC2 has no capacity for a shape in a zone."""

    shape: str = ANY
    zone: str = ANY


@dataclass(frozen=True)
class Unhealthy:
    """Targets that fail their health check: by instance id or by tags of the instance."""

    instance: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reason: str = "Target.FailedHealthChecks"


@dataclass(frozen=True)
class Fail:
    """An action that fails: after `skip` calls, for `times` calls (none: always)."""

    action: str
    code: str = "InternalError"
    message: str = "injected fault"
    status: int = 400
    times: int | None = None
    skip: int = 0


@dataclass(frozen=True)
class Flaky:
    """A share of all calls that fails: which ones hangs on the seed and on how many came before."""

    permille: int = 0
    seed: int = 0
    how: str = "mixed"

    def of(self, number: int) -> str | None:
        """Return how the call of that number fails, `throttle`, `error` or `drop`; None: it does not."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.seed} {number}".encode()).digest()[:8], "big")
        if drawn % 1000 >= self.permille:
            return None
        return HOWS[drawn // 1000 % len(HOWS)] if self.how == MIXED else self.how


@dataclass(frozen=True)
class Faults:
    """Everything that goes wrong."""

    no_capacity: tuple[NoCapacity, ...] = ()
    quotas: Mapping[str, int] = field(default_factory=dict)
    unhealthy: tuple[Unhealthy, ...] = ()
    images: Mapping[str, str] | None = None
    """Known images and their architecture; none: every well-formed image id is known."""
    fail: tuple[Fail, ...] = ()
    flaky: Flaky = Flaky()
    delay_ms: Mapping[str, int] = field(default_factory=dict)
    hold_ms: Mapping[str, int] = field(default_factory=dict)

    def capacity(self, shape: str, zone: str) -> bool:
        """Return whether EC2 has capacity for `shape` in `zone`."""
        return not any(n.shape in (ANY, shape) and n.zone in (ANY, zone) for n in self.no_capacity)


HOWS, MIXED = ("throttle", "error", "drop"), "mixed"
_QUOTAS = ("vcpus", "addresses", "interfaces")


_Row = TypeVar("_Row", NoCapacity, Unhealthy, Fail)


def _rows(document: Mapping[str, Any], name: str, row: type[_Row]) -> tuple[_Row, ...]:
    made: list[_Row] = []
    for number, item in enumerate(document.get(name, ())):
        try:
            made.append(row(**item))
        except TypeError as error:
            raise FaultError(
                f"{name}[{number}]: {error}; fields are {', '.join(f.name for f in fields(row))}"
            ) from None
    return tuple(made)


def parse(text: str) -> Faults:
    """Read a fault file's text; `FaultError` names the field that is wrong."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise FaultError(f"not JSON: {error}") from None
    names = [f.name for f in fields(Faults)]
    unknown = sorted(document.keys() - set(names))
    if unknown:
        raise FaultError(f"unknown field {unknown[0]!r}; fields are {', '.join(names)}")
    quotas = document.get("quotas", {})
    if not quotas.keys() <= set(_QUOTAS):
        raise FaultError(f"quotas: {sorted(quotas)} has an unknown name; names are {', '.join(_QUOTAS)}")
    try:
        flaky = Flaky(**document.get("flaky", {}))
    except TypeError as error:
        raise FaultError(f"flaky: {error}; fields are {', '.join(f.name for f in fields(Flaky))}") from None
    if flaky.how not in (*HOWS, MIXED):
        raise FaultError(f"flaky: how is {flaky.how!r}; it is one of {', '.join((*HOWS, MIXED))}")
    return Faults(
        no_capacity=_rows(document, "no_capacity", NoCapacity),
        quotas=quotas,
        unhealthy=_rows(document, "unhealthy", Unhealthy),
        images=document.get("images"),
        fail=_rows(document, "fail", Fail),
        flaky=flaky,
        delay_ms=document.get("delay_ms", {}),
        hold_ms=document.get("hold_ms", {}),
    )


class FaultFile:
    """The current faults: read again whenever the file is newer."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._faults = Faults()
        self._calls: dict[Fail, int] = {}
        self._number = 0

    @property
    def now(self) -> Faults:
        """The faults as the file has them now; none without a file."""
        if self._path is None:
            return self._faults
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on every request
        except FileNotFoundError:
            self._stamp, self._faults = None, Faults()
            return self._faults
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._faults = parse(self._path.read_text())
            self._stamp, self._calls, self._number = stamp, {}, 0
        return self._faults

    def flaking(self) -> str | None:
        """Return how this call fails by the share of flaky ones, counting it; see `Flaky.of`."""
        flaky = self.now.flaky
        self._number += 1
        return flaky.of(self._number) if flaky.permille else None

    def failing(self, action: str) -> Fail | None:
        """Return the fault that this call of `action` runs into, counting the call."""
        for fault in self.now.fail:
            if fault.action == action:
                count = self._calls[fault] = self._calls.get(fault, 0) + 1
                if count > fault.skip and (fault.times is None or count <= fault.skip + fault.times):
                    return fault
        return None


def write(path: Path, faults: Mapping[str, Any]) -> None:
    """Write `faults` for a running server, all at once; `FaultError` when they are wrong."""
    text = json.dumps(faults, indent=2, sort_keys=True)
    parse(text)
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.replace(path)
