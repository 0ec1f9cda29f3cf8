"""How many nodes of which shape a tier needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecm.model.base import Frozen, Mbps, MicroUsd, Name, Permille, ShapeName, Zone
from ecm.model.refusal import Because

ZONE_LOSS_NOT_SURVIVED = "zone-loss-not-survived"
"""The constraint that is named where a tier should survive the loss of a zone and, for want of capacity, does not."""


class Load(Frozen):
    """The load that a tier has to hold, from the joint forecast of the applications on it."""

    applications: tuple[Name, ...]
    quantile_permille: Permille
    """The planning quantile."""
    planned_mbps: Mbps
    """The planning quantile of the maximum over the window, floors applied."""
    p50_mbps: Mbps
    p90_mbps: Mbps
    p99_mbps: Mbps
    because: tuple[Because, ...] = ()


class Placement(Frozen):
    """Nodes of one shape in one zone."""

    zone: Zone
    shape: ShapeName
    count: Annotated[int, Field(ge=1, le=16)]


class Choice(Frozen):
    """A shape that may stand in a zone of the tier."""

    zone: Zone
    shape: ShapeName
    capacity_mbps: Mbps
    usd_micro_per_hour: MicroUsd
    available: bool
    """False while EC2 has no capacity for it."""


class Survival(Frozen):
    """Load that a tier carries at full utilisation, whole and after its worst losses."""

    whole_mbps: Mbps
    after_zone_loss_mbps: Mbps
    """With the worst zone gone; 0 in one zone."""
    after_node_losses_mbps: Mbps
    """With the worst f nodes gone."""


class OneNode(Frozen):
    """What the tier would be with one node less, or with one more."""

    zone: Zone
    shape: ShapeName
    usable_mbps: Mbps
    """Held after the worst loss at maximum utilisation."""
    violated_s: Annotated[int, Field(ge=0)]
    """As in `Risk`."""
    usd_micro_per_hour: MicroUsd
    """Price of that one node."""


class Risk(Frozen):
    """What the joint forecast says of a tier; applications served at best effort are left out, as in its planned load.

    A second is violated where the load exceeds what all nodes carry at full utilisation.
    """

    p50_mbps: tuple[Mbps, ...]
    p90_mbps: tuple[Mbps, ...]
    p99_mbps: tuple[Mbps, ...]
    """Per step of the forecast's grid."""
    before_mbps: Mbps
    """Carried by the nodes that stood before."""
    violated_before_s: Annotated[int, Field(ge=0)]
    """Expected over the sizing window were nothing changed."""
    violated_after_s: Annotated[int, Field(ge=0)]
    less: OneNode | None
    """Without the node that is missed least; none: there is none to take away."""
    more: OneNode | None
    """With the cheapest node that may be added; none: none may."""


class TierSizing(Frozen):
    """A tier's cheapest mix that holds its load after the worst zone or the worst f nodes are lost."""

    tier: Name
    load: Load
    placements: tuple[Placement, ...]
    """Sorted by zone, then shape."""
    usable_mbps: Mbps
    """The load that is still held after the worst loss, at maximum utilisation."""
    usd_micro_per_hour: MicroUsd
    churn_usd_micro: MicroUsd
    """Price of the running nodes that the sizing takes away."""
    survival: Survival
    choices: tuple[Choice, ...]
    """Every shape in every zone that the tier may use, sorted by zone, then shape."""
    because: tuple[Because, ...] = ()
    risk: Risk | None = None
    """Of the sizing that was chosen."""
