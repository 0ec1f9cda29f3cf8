"""The base of every seam type: frozen, closed models with one canonical byte form and one digest."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MICRO = 1_000_000
"""Micro-USD in one USD: money in a plan is a whole number, so that its digest is the same everywhere."""


class Frozen(BaseModel):
    """A seam type: immutable, refuses unknown keys, validates defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="constants", use_attribute_docstrings=True
    )


def canonical(value: Frozen) -> bytes:
    """Return the one byte form of `value`: sorted keys, no white space, ASCII."""
    return canonical_json(value.model_dump(mode="json"))


def canonical_json(data: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the one byte form of a JSON value."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def digest(value: Frozen) -> str:
    """Return `sha256:` and the hex digest of the canonical bytes of `value`."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """Return `sha256:` and the hex digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _micro(value: object) -> object:
    """Turn a price in USD (text, int or float as YAML reads it) into whole micro-USD, half up."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return value
    try:
        return int((Decimal(str(value)) * MICRO).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError("is not a price: write USD as a number, such as 0.0432") from None


Name = Annotated[str, StringConstraints(pattern=r"^[a-z](?:-?[a-z0-9]){0,23}$")]
"""What people call a VPN, application, tier, chain, profile or event: lower case, digits, single hyphens, 24 at most.

The pattern is also the first line of defence of every template and of AWS's own name rules.
"""
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
SHOWN = 19
"""Characters of a digest that people are shown: the prefix and twelve digits, enough for whatever takes a digest."""
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
Zone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]
ShapeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)?\.[a-z0-9-]+$", max_length=32)]
SlotId = Annotated[
    str, StringConstraints(pattern=r"^[a-z](?:-?[a-z0-9]){0,23}/[a-z]{2}(?:-[a-z]+)+-[0-9][a-z]/[0-9]{1,2}$")
]
"""A node's place, `tier/az/index`."""
HostName = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=253)
]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
"""A WireGuard public key: 32 bytes in base64, so 43 significant characters whose last carries four bits."""
Ed25519 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""A public key that signatures are checked with: 32 bytes in base64."""
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)]
"""Free text of one line; never reaches a template."""
UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]
MAX_MBPS = 10_000_000
"""10 Tbit/s: the largest load that a plan can hold, beyond any tier of 16 nodes."""
Mbps = Annotated[int, Field(ge=0, le=MAX_MBPS)]
Permille = Annotated[int, Field(ge=0, le=1000)]
MicroUsd = Annotated[int, Field(ge=0)]
UsdPrice = Annotated[int, Field(ge=0), BeforeValidator(_micro, json_schema_input_type=Annotated[float, Field(ge=0)])]
"""A price that people write in USD and the model keeps in micro-USD. Never serialise it back as USD."""
