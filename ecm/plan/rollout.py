"""A new image of a tier: first on one node, on the rest when that one has proven itself, and the way back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ecm.model.catalog import AmiId, Architecture, Image
from ecm.model.plan import Slot, TierPlan
from ecm.model.refusal import Because
from ecm.plan.standing import Standing


@dataclass(frozen=True)
class Boot:
    """An image as a node has it."""

    image: str
    ami: AmiId
    architecture: Architecture


@dataclass(frozen=True)
class Rollout:
    """Which slots of a tier may change to the catalog's image now, and what everything else boots.

    A replacement stands healthy beside the node that it replaces before that one drains, so no step takes a serving
    node away. Until one node has been healthy with the image for `image_canary_min`, only the canary has it: a node
    that is added or replaced for another reason boots what the tier has proven. After that, as many slots change at a
    time as `image_max_unavailable_pct` of the tier allows, less those that are down or changing already. The way back
    is the same: where the previous image stands in the catalog again, the nodes that still run it have proven it.
    """

    wanted: Boot
    proven: Boot
    """What nodes boot that are not part of the change."""
    slots: frozenset[str]
    """May change now."""

    def boot(self, slot_id: str) -> Boot:
        """Return what a new generation of a slot boots."""
        return self.wanted if slot_id in self.slots else self.proven


def rollout(image: Image, slots: tuple[Slot, ...], standing: Standing) -> Rollout:
    """Return what may change to `image` in a tier whose slots stood as `slots` in the last plan."""
    wanted = Boot(image.name, image.ami, image.architecture)
    active = [s for s in sorted(slots, key=lambda s: (s.zone, s.index)) if s.active]
    everything = frozenset(s.id for s in slots)
    runs = Counter(Boot(n.image, n.ami, n.architecture) for s in active for n in s.nodes if not standing.gone(s, n))
    if set(runs) == {wanted} and not _proven(image, active, standing):
        # The canary alone is left: what died beside it had proven its image.
        runs = Counter(Boot(n.image, n.ami, n.architecture) for s in active for n in s.nodes)
    usual = max(runs, key=lambda b: (runs[b], b != wanted, b.ami), default=wanted)
    if set(runs) <= {wanted} or usual.architecture is not image.architecture:
        return Rollout(wanted, wanted, everything)  # nothing else runs, or nothing else fits the shapes that are wanted
    done = [s for s in active if s.nodes[-1].ami == image.ami]
    back = [s for s in active if any(n.ami == image.ami and not standing.gone(s, n) for n in s.nodes[:-1])]
    if usual.ami != image.ami and not _proven(image, active, standing):
        trying = done or _steady(active, standing)
        return Rollout(wanted, usual, frozenset(s.id for s in [*trying[:1], *back]))
    share = math.floor(len(active) * standing.limits.image_max_unavailable_pct / 100)
    room = max(1, share) - sum(1 for s in active if len(s.nodes) > 1 or not standing.well(s, s.nodes[-1]))
    left = [s for s in _steady(active, standing) if s.nodes[-1].ami != image.ami]
    return Rollout(wanted, wanted, frozenset(s.id for s in [*done, *back, *left[: max(0, room)]]))


def image_because(tier: TierPlan, image: Image, standing: Standing) -> tuple[Because, ...]:
    """Return the tier's row about its image while some nodes run another; none: all run the catalog's."""
    active = [s for s in tier.slots if s.active]
    others = [s for s in active if s.nodes[-1].ami != image.ami]
    if not others:
        return ()
    canary_min = standing.limits.image_canary_min
    if _proven(image, active, standing):
        constraint = "image-rollout"
        detail = f"healthy with it for {canary_min} min on one node; the rest change as others are healthy again"
    else:
        constraint = "image-canary"
        on = ", ".join(s.id for s in active if s.nodes[-1].ami == image.ami) or "no node yet"
        detail = f"{on} tries it; the rest wait until a node was healthy with it for {canary_min} min"
    return (
        Because(
            subject=f"tier {tier.id}",
            number=f"nodes with image {image.name} of {image.built}",
            value=len(active) - len(others),
            unit="nodes",
            constraint=constraint,
            detail=f"{detail}; the way back: the previous image in the catalog",
        ),
    )


def _proven(image: Image, slots: Iterable[Slot], standing: Standing) -> bool:
    return any(n.ami == image.ami and standing.proven(s, n) for s in slots for n in s.nodes)


def _steady(slots: Iterable[Slot], standing: Standing) -> list[Slot]:
    """Slots that are neither down nor changing already, in order."""
    return [s for s in slots if len(s.nodes) == 1 and standing.well(s, s.nodes[-1])]
