"""Types of every value that a template may see: closed sets of ASCII characters, whatever the seam types allow.

Templates escape nothing, so a value that could end a line, a string or a statement of any of the files must not exist.
`Checked` models validate again what they are given, even from a model that was built without validation.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Checked(BaseModel):
    """A template's context or a part of it: frozen, closed, every field checked, nothing coerced from text."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, revalidate_instances="never")


Label = Annotated[str, StringConstraints(pattern=r"\A[a-z](?:-?[a-z0-9]){0,23}\z")]
"""A name that people gave."""
Place = Annotated[
    str, StringConstraints(pattern=r"\A[a-z](?:-?[a-z0-9]){0,23}/[a-z]{2}(?:-[a-z]+)+-[0-9][a-z]/[0-9]{1,2}\z")
]
"""A slot id."""
Word = Annotated[str, StringConstraints(pattern=r"\A0x[0-9a-f]{8}\z")]
"""A mark or mask."""
Interface = Annotated[str, StringConstraints(pattern=r"\A(?:edge[0-9]{1,2}|[du][0-9]{1,3}k[0-3]n[0-9]{1,2})\z")]
Wildcard = Annotated[str, StringConstraints(pattern=r"\A(?:edge\*|[du][0-9]{1,3}k[0-3]n\*|ens5)\z")]
"""Interfaces by prefix: `iifname` matches them whether or not they exist yet."""
Symbol = Annotated[str, StringConstraints(pattern=r"\A[a-z][a-z0-9_]{0,39}\z")]
"""A name within a file, never one that people gave."""
Token = Annotated[
    str,
    StringConstraints(pattern=r"\A@(?:private|public|preshared):[a-z0-9/#-]{1,120}@\z"),
]
"""Stands for a key that only the node has; the agent puts the key there."""
Ed25519 = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]{43}=\z")]
"""A public key that signatures are checked with."""
ObjectKey = Annotated[str, StringConstraints(pattern=r"\A[a-z0-9][a-z0-9/._-]{0,199}\z")]
Service = Annotated[str, StringConstraints(pattern=r"\A(?:(?:tcp|udp) [ds]port \{ [0-9, -]{1,2000} \})?\z")]
"""A match on ports, made from checked numbers; empty: every port."""
Prefixes = Annotated[str, StringConstraints(pattern=r"\A[0-9][0-9./]{6,17}(?:\{32,32\})?(?:, [0-9./]{7,18})?\z")]
"""Prefixes as BIRD matches them, made from checked networks."""
Path = Annotated[str, StringConstraints(pattern=r"\A/(?:etc|run)/[a-z0-9/._-]{1,100}\z")]
Address = IPv4Address
Network = IPv4Network
Port = Annotated[int, Field(ge=1, le=65535)]
Number = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
