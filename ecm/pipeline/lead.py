"""How far ahead a decision has to look: what the limits say, or longer where nodes were measured to take longer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ecm.model.observed import Observed
from ecm.model.policy import Limits

LEAST_NODES: Final = 5
"""Fewer have measured nothing: one node that waited for its configuration would decide."""
SHARE: Final = 0.9
STEP_MIN: Final = 5
"""Lead times are longer by whole steps: a fit that was kept serves on while the measurement moves a little."""


@dataclass(frozen=True)
class LookAhead:
    """What a forecast covers, in minutes from the decision."""

    lead_min: int
    hold_min: int
    measured_s: int | None = None
    """P90 of the standing nodes' times from launch until everything was right; none: too few are known."""
    extra_min: int = 0
    """What is added to the limits' own lead time because of it."""
    nodes: int = 0
    """How many were measured."""


def look_ahead(limits: Limits, observed: Observed | None) -> LookAhead:
    """Return how far to look ahead by `limits` and by what the nodes' agents have measured.

    What is measured only ever makes the lead time longer: nodes that happened to boot fast are no promise.
    """
    times = sorted(s for n in (observed.nodes if observed else ()) if (s := n.ready_after_s) is not None)
    if len(times) < LEAST_NODES:
        return LookAhead(limits.lead_min, limits.hold_min)
    measured = times[math.ceil(SHARE * len(times)) - 1]
    planned_min = limits.lead.boot_to_healthy_min + limits.lead.registration_min + limits.lead.mesh_join_min
    extra = STEP_MIN * math.ceil(max(0, measured - 60 * planned_min) / (60 * STEP_MIN))
    lead = limits.lead_min + extra
    return LookAhead(lead, max(limits.hold_min, lead), measured, extra, len(times))
