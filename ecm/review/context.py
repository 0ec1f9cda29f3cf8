"""What a review rests on beside the plan itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ecm.model.plan import Plan
from ecm.model.rendered import Rendered
from ecm.model.review import DriftView, EngineState, EngineView, Measured, Policies

NOT_ASKED = EngineView(state=EngineState.NOT_ASKED, note="the engine was not asked")
NO_POLICIES = Policies(packs=(), rows=())
NO_DRIFT = DriftView(state=EngineState.NOT_ASKED, note="the cloud was not asked")


@dataclass(frozen=True)
class Context:
    """The moment of a review and what was found then."""

    now: datetime
    approved: str | None = None
    """Digest in the stack's configuration."""
    applied: str | None = None
    """Digest of what runs, by the stack's own output; none: nothing, or not known."""
    applied_known: bool = False
    """Whether the stack was asked."""
    previous: Plan | None = None
    """The plan that the reviewed one replaces."""
    rendered: tuple[Rendered, Rendered] | None = None
    """Configuration of the plan before and of this one; none: `rendered_note` says why."""
    rendered_note: str = "no configuration was rendered"
    clients: Mapping[str, int] = field(default_factory=dict)
    """Registered clients by VPN."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digests now of what people write: fleet, qos, security, limits, catalog."""
    engine: EngineView = NOT_ASKED
    policies: Policies = NO_POLICIES
    drift: DriftView = NO_DRIFT
    measured: tuple[Measured, ...] = ()
