"""A stack whose configuration names a Prometheus server."""

from __future__ import annotations

from typing import Any

import yaml

from tests.cli import Project


def with_source(project: Project, url: str, **more: Any) -> None:
    """Write a source `nodes` at `url` into the dev stack; `more` are keys of it, and `collection` of what is around."""
    path = project.root / "stacks" / "Pulumi.dev.yaml"
    document = yaml.safe_load(path.read_text())
    around = more.pop("collection", {"back_fill_days": 1})
    source = {"name": "nodes", "url": url, **more}
    document["config"]["endpoint-chain-manager:telemetry"] = {**around, "prometheus": [source]}
    path.write_text(yaml.safe_dump(document))
