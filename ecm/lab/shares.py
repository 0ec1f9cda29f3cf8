"""Which nodes took the flows of a drilled one, beside what the weights of its neighbours say."""

from __future__ import annotations

import re
from typing import Final

from ecm.lab.state import Folder, Lab, nodes, runs
from ecm.model.base import Frozen
from ecm.model.plan import Desired

ENOUGH: Final = 100
"""Of fewer moved flows chance alone makes shares differ from the weights by more than 10 %."""


class Share(Frozen):
    """A node's part of its tier's flows."""

    node: str
    before_pct: float
    after_pct: float
    taken_pct: float | None
    """Of the flows that the drilled node carried; none: nothing moved."""
    expected_pct: float | None
    """What the weights of its neighbours say it takes of them; none: no weights decide it."""


def senders(desired: Desired, tier: str) -> dict[str, None]:
    """Return the nodes of the tiers that send to `tier`."""
    upstream = {a.upstream for a in desired.adjacencies if a.downstream == tier}
    return {key: None for key, (of, _) in nodes(desired).items() if of in upstream}


def shares_of(
    folder: Folder, lab: Lab, key: str, flows: tuple[dict[str, frozenset[int]], dict[str, frozenset[int]]]
) -> tuple[tuple[Share, ...], float | None]:
    """Return each node's share before and after, what it took of the drilled node's flows, and the largest error."""
    before, after = flows
    tier = nodes(lab.desired)[key][0]
    peers = [k for k, (of, _) in nodes(lab.desired).items() if of == tier]
    moved = before.get(key, frozenset())
    taken = {k: len(moved & after.get(k, frozenset())) for k in peers if k != key}
    expected = _expected(folder, lab, key, (moved, after))
    totals = [max(1, sum(len(found.get(k, ())) for k in peers)) for found in flows]
    arrived = sum(taken.values())
    rows = []
    errors = []
    for k in peers:
        part = 100 * taken[k] / arrived if arrived and k in taken else None
        if part is not None and k in expected:
            errors.append(abs(part - expected[k]))
        rows.append(
            Share(
                node=k,
                before_pct=round(100 * len(before.get(k, ())) / totals[0], 1),
                after_pct=round(100 * len(after.get(k, ())) / totals[1], 1),
                taken_pct=None if part is None else round(part, 1),
                expected_pct=round(expected[k], 1) if k in expected else None,
            )
        )
    return tuple(rows), round(max(errors), 2) if errors and arrived >= ENOUGH else None


def _expected(
    folder: Folder, lab: Lab, key: str, flows: tuple[frozenset[int], dict[str, frozenset[int]]]
) -> dict[str, float]:
    """Return the per cent of the moved flows that each other node is to take: its weight at each flow's sender."""
    moved, after = flows
    tier = nodes(lab.desired)[key][0]
    alive = [k for k, (of, _) in nodes(lab.desired).items() if of == tier and k != key and runs(lab, k)]
    parts = dict.fromkeys(alive, 0.0)
    for sender in senders(lab.desired, tier):
        weights = _weights(folder, lab, sender, alive)
        total = sum(weights.values())
        count = len(moved & after.get(sender, frozenset()))
        for k in alive:
            parts[k] += count * weights[k] / total if total else 0.0
    whole = sum(parts.values())
    return {k: 100 * part / whole for k, part in parts.items()} if whole else {}


def _weights(folder: Folder, lab: Lab, sender: str, receivers: list[str]) -> dict[str, int]:
    """Return the weights of `receivers` in the sender's own routing configuration."""
    numbers = {
        f"{slot.id}#{node.generation}": 2 * slot.number + node.generation % 2
        for tier in lab.desired.tiers
        for slot in tier.slots
        for node in slot.nodes
    }
    text = (folder.node(sender) / "root" / "etc" / "ecm" / "bird.conf").read_text()
    by_number = {int(m[1]): int(m[2]) for m in re.finditer(r'"d\d+k\dn(\d+)".*?ecmp weight (\d+)', text)}
    return {k: by_number.get(numbers[k], 0) for k in receivers}
