"""Recognises that EC2 refused a resource for lack of capacity or a quota.

Codes and their meaning: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API" (client and server errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from ecm.engine.outcome import Diagnostic
from ecm.model.base import Frozen

_KINDS: dict[str, Literal["capacity", "quota"]] = {
    "InsufficientInstanceCapacity": "capacity",
    "InsufficientHostCapacity": "capacity",
    "InsufficientCapacity": "capacity",
    "InsufficientReservedInstanceCapacity": "capacity",
    "InsufficientCapacityOnHost": "capacity",
    "InsufficientFreeAddressesInSubnet": "capacity",
    "InsufficientAddressCapacity": "capacity",
    "VcpuLimitExceeded": "quota",
    "InstanceLimitExceeded": "quota",
    "MaxSpotInstanceCountExceeded": "quota",
    "AddressLimitExceeded": "quota",
    "VolumeLimitExceeded": "quota",
    "MaxIOPSLimitExceeded": "quota",
    "NetworkInterfaceLimitExceeded": "quota",
    "AttachmentLimitExceeded": "quota",
}
_CODE = re.compile(r"(?<![A-Za-z])(" + "|".join(map(re.escape, _KINDS)) + r")(?![A-Za-z])")
# "Unsupported" alone stands for many refusals; this text is the one for a shape that a zone does not offer.
_NOT_OFFERED = re.compile(r"\bUnsupported\b.*not supported in your requested Availability Zone", re.DOTALL)


class CapacityRefusal(Frozen):
    """EC2 has no such thing now ("capacity") or will not give more to this account ("quota")."""

    urn: str
    name: str
    code: str
    kind: Literal["capacity", "quota"]
    message: str


def capacity_refusals(diagnostics: Iterable[Diagnostic]) -> tuple[CapacityRefusal, ...]:
    """The refusals among `diagnostics`, one for each resource and code, sorted by URN.

    Errors that name no resource are left out: the engine repeats a failure once for the whole operation.
    """
    found: dict[tuple[str, str], CapacityRefusal] = {}
    for item in diagnostics:
        code = _code(item.message)
        if item.severity == "error" and item.urn and code:
            kind = _KINDS.get(code, "capacity")
            name = item.urn.rpartition("::")[2]
            refusal = CapacityRefusal(urn=item.urn, name=name, code=code, kind=kind, message=item.message)
            found.setdefault((item.urn, code), refusal)
    return tuple(found[key] for key in sorted(found))


def _code(message: str) -> str:
    if match := _CODE.search(message):
        return match[1]
    return "Unsupported" if _NOT_OFFERED.search(message) else ""
