"""What would be if nodes failed or the load were another one: tiers, applications, and where they would go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecm.model.base import Frozen, Mbps, Name, Text
from ecm.model.refusal import Rejected


class TierLeft(Frozen):
    """A tier with what is left of it."""

    tier: Name
    nodes: Annotated[int, Field(ge=0)]
    """Active nodes of the plan."""
    nodes_left: Annotated[int, Field(ge=0)]
    capacity_mbps: Mbps
    """Of the nodes that are left, at full utilisation."""
    load_mbps: Mbps
    """The planned load times the factor."""
    load_after_mbps: Mbps
    """That, after applications have moved."""

    @property
    def short_mbps(self) -> int:
        """Load that the tier does not carry once everything has moved that can."""
        return max(self.load_after_mbps - self.capacity_mbps, 0)


class ApplicationLeft(Frozen):
    """An application whose chain is hit."""

    application: Name
    vpn: Name
    chain: Name
    load_mbps: Mbps
    """P90 of its forecast over the sizing window, times the factor."""
    moves_to: Name | None
    """The chain that it would take; none: it stays."""
    outage_s: Annotated[int, Field(ge=0)] | None
    """Until its flows are on nodes that are left; none: some tier has none, they wait for new ones."""
    short_mbps: Mbps
    """Its share of what the worst tier of its chain does not carry; 0 where it moves."""
    rejected: tuple[Rejected, ...] = ()
    """Where it would move and cannot: what stands against each other chain."""


class Simulation(Frozen):
    """The answer to `what if`."""

    failed: tuple[Text, ...]
    """Slots whose nodes are gone, sorted."""
    load_permille: Annotated[int, Field(ge=1)]
    """The factor of the load: 1500 is half as much again."""
    tiers: tuple[TierLeft, ...]
    applications: tuple[ApplicationLeft, ...]
    """Those with a tier that has lost nodes or is short, by priority."""

    @property
    def holds(self) -> bool:
        """Whether everything is carried where it is."""
        return not any(a.short_mbps or a.moves_to or a.outage_s is None for a in self.applications)
