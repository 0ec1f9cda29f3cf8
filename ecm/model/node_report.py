"""What a node's agent says of its own node: an object in the configuration bucket that only this instance may write."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ecm.model.base import Frozen, PublicKey, SlotId, UtcTime

MAX_REPORT: int = 4096
"""Bytes of a report that are read at most."""
HEARTBEAT_S: float = 120
"""A report is written when something in it changes, and at the latest after so long."""

Words = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$", max_length=300)]
"""What a node says: it ends up on terminals and pages of people."""


class LayerName(StrEnum):
    """The layers of a node's health, outermost last."""

    INTERFACE = "interface"
    KEYS = "keys"
    CONFIG = "config"
    FIREWALL = "firewall"
    ROUTING = "routing"
    PATH = "path"
    """The only one that may be the next tier's fault."""


class NodeReport(Frozen):
    """A node at one moment, by its own agent. Whoever holds the node can write anything here: nothing is trusted."""

    version: Literal[1] = 1
    slot: SlotId
    generation: Annotated[int, Field(ge=1)]
    serial: Annotated[int, Field(ge=0)] | None
    """Of the signed list that its configuration came with."""
    wrong: Annotated[tuple[LayerName, ...], Field(max_length=len(LayerName))] = ()
    """Layers that are not as they have to be, in their order."""
    why: Words = ""
    draining: bool = False
    edge_key: PublicKey | None = None
    """Public key that clients know the node by; none: it has no clients, or no key yet."""
    healthy_at: UtcTime | None = None
    """When everything was right for the first time since the instance was made, by its own clock."""
