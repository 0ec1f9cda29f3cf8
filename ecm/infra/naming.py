"""Names and tags: logical names from stable ids, physical names within AWS's limits, one set of tags for everything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ecm.model.plan import Node, Slot

NAME_LIMIT = 32
"""Characters of a load balancer's or target group's name, the shortest limit of all AWS names that are set here."""


@dataclass(frozen=True)
class Labels:
    """Tags of one stack's resources; the plan's digest is never among them, or every plan would change everything."""

    stack: str

    def tags(self, component: str, name: str, **more: str) -> dict[str, str]:
        """Return the tags of the resource called `name` in `component`; `more` adds tags under the `ecm:` prefix."""
        extra = {f"ecm:{key.replace('_', '-')}": value for key, value in more.items()}
        return {"Name": f"{self.stack}/{name}", "ecm:stack": self.stack, "ecm:component": component, **extra}


def node_name(slot: Slot, node: Node) -> str:
    """Return the logical name of a node's resources: its slot and generation, nothing that a plan may renumber."""
    return f"{slot.id.replace('/', '-')}-g{node.generation}"


def node_key(slot: Slot, node: Node) -> str:
    """Return the key of a node in the stack's outputs."""
    return f"{slot.id}#{node.generation}"


def physical_name(*parts: str) -> str:
    """Join `parts` into a name of at most 32 characters, letters, digits and hyphens.

    The end is a hash of the parts, so that two long names, or the parts `a-b`, `c` and `a`, `b-c`, never meet.
    """
    suffix = hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]
    head = "-".join(parts)[: NAME_LIMIT - len(suffix) - 1].rstrip("-")
    return f"{head}-{suffix}"
