"""What changes between two desired states, each change named and classed."""

from __future__ import annotations

from ecm.model.plan import (
    ApplicationRoute,
    ChainPlan,
    Change,
    ChangeKind,
    ClassPlan,
    ConfigDigest,
    Desired,
    Node,
    NodeState,
    Plan,
    Slot,
    VpnPlan,
)

Dead = frozenset[tuple[str, int]]
"""Slot and generation of nodes that carry no traffic any more."""


def changes(
    previous: Plan | None, desired: Desired, configs: tuple[ConfigDigest, ...], dead: Dead = frozenset()
) -> tuple[Change, ...]:
    """Return the changes from `previous` to `desired`, sorted by kind and subject; empty: there is nothing to do.

    What happens to `dead` nodes of `previous` and in their place touches nothing that carries traffic: it is additive.
    """
    if previous is None:
        return (
            Change(
                kind=ChangeKind.CREATE, subject=f"stack {desired.stack}", detail="created from nothing", additive=True
            ),
            *_sorted([c for slot in _slots(desired).values() for c in _slot_changes(None, slot, dead)]),
        )
    before, after = _slots(previous.desired), _slots(desired)
    found: list[Change] = []
    for slot_id in sorted({*before, *after}):
        new = after.get(slot_id)
        if new is None:
            found += [_removed(before[slot_id], n, "drained", dead) for n in before[slot_id].nodes]
        else:
            found += _slot_changes(before.get(slot_id), new, dead)
    found += _application_changes(previous.desired, desired)
    found += _declared_changes(previous.desired, desired)
    found += _altered(previous.desired, desired)
    found += _signers_changed(previous.desired, desired)
    found += _config_changes(previous, desired, configs)
    return _sorted(found)


def _sorted(found: list[Change]) -> tuple[Change, ...]:
    return tuple(sorted(found, key=lambda c: (c.kind.value, c.subject, c.detail)))


def _slots(desired: Desired) -> dict[str, Slot]:
    return {slot.id: slot for tier in desired.tiers for slot in tier.slots}


def _node(kind: ChangeKind, slot: Slot, node: Node, why: str, *, additive: bool = False) -> Change:
    return Change(
        kind=kind,
        subject=f"slot {slot.id}",
        detail=f"generation {node.generation}, {node.shape} in {slot.zone}: {why}",
        additive=additive,
    )


def _removed(slot: Slot, node: Node, why: str, dead: Dead) -> Change:
    gone = (slot.id, node.generation) in dead
    return _node(ChangeKind.REMOVE_NODE, slot, node, "dead" if gone else why, additive=gone)


def _slot_changes(before: Slot | None, after: Slot, dead: Dead) -> list[Change]:
    old = {n.generation: n for n in before.nodes} if before else {}
    new = {n.generation: n for n in after.nodes}
    all_dead = all((after.id, generation) in dead for generation in old)
    found: list[Change] = []
    for generation, node in sorted(new.items()):
        if generation not in old:
            kind = ChangeKind.REPLACE_NODE if before else ChangeKind.ADD_NODE
            way = "takes the place of a dead one" if all_dead else "comes up before the old generation goes"
            found.append(_node(kind, after, node, way if before else "new slot", additive=all_dead))
        elif old[generation].state is not node.state:
            draining = node.state is NodeState.DRAINING
            kind = ChangeKind.DRAIN_NODE if draining else ChangeKind.UNDRAIN_NODE
            why = "takes no new traffic" if draining else "takes traffic again"
            found.append(_node(kind, after, node, why, additive=not draining or (after.id, generation) in dead))
    found += [_removed(after, node, "replaced", dead) for g, node in sorted(old.items()) if g not in new]
    return found


def _application_changes(before: Desired, after: Desired) -> list[Change]:
    old = {a.application: a.chain for a in before.applications}
    return [
        Change(
            kind=ChangeKind.MOVE_APPLICATION,
            subject=f"application {a.application}",
            detail=f"from chain {old[a.application]} to {a.chain}",
            additive=False,
        )
        for a in after.applications
        if a.application in old and old[a.application] != a.chain
    ]


def _declared_changes(before: Desired, after: Desired) -> list[Change]:
    """Name the tiers, chains, VPNs and applications that come and go."""
    found: list[Change] = []
    for what, old, new in (
        ("tier", {t.id for t in before.tiers}, {t.id for t in after.tiers}),
        ("chain", {c.id for c in before.chains}, {c.id for c in after.chains}),
        ("vpn", {v.id for v in before.vpns}, {v.id for v in after.vpns}),
        ("application", {a.application for a in before.applications}, {a.application for a in after.applications}),
    ):
        found += [
            Change(kind=ChangeKind.CREATE, subject=f"{what} {name}", detail="declared", additive=True)
            for name in sorted(new - old)
        ]
        found += [
            Change(
                kind=ChangeKind.REMOVE, subject=f"{what} {name}", detail="no longer declared or used", additive=False
            )
            for name in sorted(old - new)
        ]
    if before.network != after.network:
        found.append(
            Change(kind=ChangeKind.CONFIGURE, subject="network", detail="subnets or routes differ", additive=False)
        )
    return found


_IN_PLACE = ("dscp", "share_pct")
"""Fields whose new value nodes take without a flow being cut."""
_WATCHED = {
    "application": ("destinations", "ports", "traffic_class", "way_in"),
    "class": ("listener_port", *_IN_PLACE),
    "chain": ("tiers",),
    "vpn": ("client_cidr", "host", "ingress"),
}


def _altered(before: Desired, after: Desired) -> list[Change]:
    """Name what stays declared and takes another meaning: flows, clients or paths that were are so no more."""
    found = []
    for what, fields in _WATCHED.items():
        old, new = _declared(before, what), _declared(after, what)
        for name in sorted(old.keys() & new.keys()):
            other = [f for f in fields if getattr(old[name], f) != getattr(new[name], f)]
            if other:
                found.append(
                    Change(
                        kind=ChangeKind.CONFIGURE,
                        subject=f"{what} {name}",
                        detail=f"other {', '.join(other)}",
                        additive=all(f in _IN_PLACE for f in other),
                    )
                )
    return found


def _signers_changed(before: Desired, after: Desired) -> list[Change]:
    """Name whose choices nodes take from now on, or no longer: who may steer traffic is for people to approve."""
    old, new = (set(d.overlay.signers) if d.overlay else set() for d in (before, after))
    said = [f"key {key[:12]} may choose chains for new flows" for key in sorted(new - old)]
    said += [f"key {key[:12]} may no longer" for key in sorted(old - new)]
    detail = "; ".join(said)
    return [Change(kind=ChangeKind.CONFIGURE, subject="overlay", detail=detail, additive=False)] if said else []


def _declared(desired: Desired, what: str) -> dict[str, ApplicationRoute | ClassPlan | ChainPlan | VpnPlan]:
    return {
        "application": {a.application: a for a in desired.applications},
        "class": {c.id: c for c in desired.classes},
        "chain": {c.id: c for c in desired.chains},
        "vpn": {v.id: v for v in desired.vpns},
    }[what]  # type: ignore[return-value]


def _config_changes(previous: Plan, desired: Desired, configs: tuple[ConfigDigest, ...]) -> list[Change]:
    """Name configuration objects that change while what reads them stays: pulled by the agent, no instance touched."""
    old = {c.key: c.digest for c in previous.configs}
    found = [
        Change(kind=ChangeKind.CONFIGURE, subject=f"object {c.key}", detail="new version of its content", additive=True)
        for c in configs
        if c.key in old and old[c.key] != c.digest
    ]
    peers = {v.id: v.peers for v in previous.desired.vpns}
    found += [
        Change(kind=ChangeKind.CONFIGURE, subject=f"vpn {v.id}", detail="its peer table differs", additive=True)
        for v in desired.vpns
        if v.id in peers and peers[v.id] != v.peers
    ]
    return found
