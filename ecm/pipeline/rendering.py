"""Rendering as plan and program both do it, so that what was reviewed is what is declared."""

from __future__ import annotations

from pathlib import Path

from ecm import render
from ecm.model.plan import ConfigDigest, Desired, Plan
from ecm.model.rendered import PeerTable, Rendered


def config_digests(desired: Desired, peers: tuple[PeerTable, ...], templates: Path) -> tuple[ConfigDigest, ...]:
    """Return the digest of every configuration object of `desired`, sorted by key."""
    rendered = render.configs(desired, peers, templates=templates)
    return tuple(ConfigDigest(key=o.key, digest=o.digest) for o in rendered.objects)


def render_plan(plan: Plan, peers: tuple[PeerTable, ...], templates: Path) -> Rendered:
    """Return everything rendered for the nodes of `plan`."""
    return render.configs(plan.desired, peers, templates=templates)


def rendering_differences(plan: Plan, rendered: Rendered) -> tuple[str, ...]:
    """Return the keys of objects that differ from what the plan's review covered; empty: none."""
    reviewed = {c.key: c.digest for c in plan.configs}
    now = {o.key: o.digest for o in rendered.objects}
    return tuple(sorted(key for key in {*reviewed, *now} if reviewed.get(key) != now.get(key)))
