"""Render a desired state for its digests: the program renders it again and declares only what has the same ones."""

from __future__ import annotations

from pathlib import Path

from ecm import render
from ecm.model.plan import ConfigDigest, Desired
from ecm.model.rendered import PeerTable


def config_digests(desired: Desired, peers: tuple[PeerTable, ...], templates: Path) -> tuple[ConfigDigest, ...]:
    """Return the digest of every configuration object of `desired`, sorted by key."""
    rendered = render.configs(desired, peers, templates=templates)
    return tuple(ConfigDigest(key=o.key, digest=o.digest) for o in rendered.objects)
