"""Whose load a measured series is."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from ecm.model.base import Frozen, Name

Whole = Annotated[str, StringConstraints(pattern=r"^$|^[a-z](?:-?[a-z0-9]){0,23}$")]
NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{0,128}$")]
"""A slot, an instance's id or a host and port, as the source names the node; empty: the whole tier."""


class SeriesKey(Frozen):
    """Whose load a series is."""

    vpn: Name
    application: Name
    tier: Whole = ""
    """Empty: the source knows no tiers."""
    node: NodeName = ""
