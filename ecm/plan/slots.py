"""Reconcile a tier's slots with its sizing: keep what fits, replace by generation, drain before removal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ecm.model.catalog import Image
from ecm.model.plan import Alternative, Node, NodeState, Slot, SubnetKind
from ecm.model.sizing import Choice, TierSizing
from ecm.plan.addresses import AddressPool
from ecm.plan.rollout import Boot, Rollout, rollout
from ecm.plan.standing import NoFreeNumberError, Standing

MAX_NUMBER = 15
"""Slot numbers fit four bits: tunnel addresses and ports are computed from them."""
MBPS_PER_WEIGHT = 50
"""Capacity per unit of a slot's weight: BIRD's ECMP weights are 1 to 255."""
RANKED_ALTERNATIVES = 3


@dataclass
class SlotPlanner:
    """Plans the slots of one tier."""

    tier: str
    kind: SubnetKind
    image: Image
    sizing: TierSizing
    standing: Standing
    pool: AddressPool
    _rollout: Rollout = field(init=False)

    def plan(self, previous: tuple[Slot, ...]) -> tuple[Slot, ...]:
        """Return the tier's slots: the sizing's active ones and those that still drain, sorted by (zone, index)."""
        self._rollout = rollout(self.image, previous, self.standing)
        active, leaving = self._split(previous)
        want = Counter({(p.zone, p.shape): p.count for p in self.sizing.placements})
        kept = [
            *self._claim(active, want, same_shape=True),
            *self._claim(leaving, want, same_shape=True),
            *self._claim(active, want, same_shape=False),
        ]
        drained = [self._drain(slot) for slot in active if not self._all_gone(slot)]
        slots = [*kept, *drained, *leaving]
        for (zone, shape), count in sorted(want.items()):
            for _ in range(count):
                slots.append(self._new_slot(zone, shape, [*previous, *slots]))
        return tuple(sorted(slots, key=lambda s: (s.zone, s.index)))

    def _split(self, previous: tuple[Slot, ...]) -> tuple[list[Slot], list[Slot]]:
        """Return the slots that take traffic and those that drain; what is drained, or dead while draining, goes."""
        active: list[Slot] = []
        leaving: list[Slot] = []
        for slot in sorted(previous, key=lambda s: (s.zone, s.index)):
            if slot.active:
                active.append(slot)
            elif not self._all_gone(slot) and not self.standing.drained(slot.nodes[-1]):
                leaving.append(slot)
        return active, leaving

    def _all_gone(self, slot: Slot) -> bool:
        return all(self.standing.gone(slot, node) for node in slot.nodes)

    def _claim(self, slots: list[Slot], want: Counter[tuple[str, str]], *, same_shape: bool) -> list[Slot]:
        """Move slots that serve the sizing from `slots` to the result, lowest index first, one per wanted node."""
        claimed: list[Slot] = []
        for slot in list(slots):
            shape = slot.nodes[-1].shape if same_shape else self._other_shape(slot.zone, want)
            if shape is None or not want[slot.zone, shape]:
                continue
            want[slot.zone, shape] -= 1
            slots.remove(slot)
            claimed.append(self._advance(slot, shape))
        return claimed

    def _other_shape(self, zone: str, want: Counter[tuple[str, str]]) -> str | None:
        return next((shape for (z, shape), count in sorted(want.items()) if z == zone and count), None)

    def _advance(self, slot: Slot, shape: str) -> Slot:
        """Return `slot` one step nearer to one healthy node of `shape` and the tier's image."""
        last = self._serving(slot.nodes[-1])
        before = tuple(n for n in slot.nodes[:-1] if self._stays(slot, n, last))
        if self._replace(slot, last, shape):
            if before and self.standing.healthy(slot, last) and not self.standing.gone(slot, last):
                # The last change ends before the next begins: what serves is never dropped for what boots.
                return self._slot(slot.zone, slot.index, slot.number, (*map(self._draining, before), last))
            if before and not self._replace(slot, before[0], shape):
                return self._slot(slot.zone, slot.index, slot.number, (self._serving(before[0]),))
            stays = () if self.standing.gone(slot, last) else (last,)
            nodes = self._next_generation(slot, tuple(map(self._serving, before or stays))[:1], shape)
        else:
            if self.standing.healthy(slot, last):
                before = tuple(self._draining(n) for n in before)
            nodes = (*before, last)
        return self._slot(slot.zone, slot.index, slot.number, nodes)

    def _stays(self, slot: Slot, node: Node, last: Node) -> bool:
        """Return whether an earlier generation stays: it runs, and has not drained while the one after it is well."""
        done = self.standing.drained(node) and self.standing.well(slot, last)
        return not self.standing.gone(slot, node) and not done

    def _serving(self, node: Node) -> Node:
        return node.model_copy(update={"state": NodeState.ACTIVE, "draining_since": None})

    def _replace(self, slot: Slot, node: Node, shape: str) -> bool:
        return (
            node.shape != shape
            or (node.ami != self.image.ami and slot.id in self._rollout.slots)
            or node.private_ip not in self.pool.subnet(slot.zone, self.kind)
            or self.standing.gone(slot, node)
            or self.standing.failing(slot, node)
        )

    def _next_generation(self, slot: Slot, stays: tuple[Node, ...], shape: str) -> tuple[Node, ...]:
        """Return what stays and a new generation whose parity differs: both compute tunnel addresses from it."""
        generation = max(slot.nodes[-1].generation, self.standing.last_generation(slot.id)) + 1
        if stays and (generation - stays[0].generation) % 2 == 0:
            generation += 1
        return (*stays, self._node(slot.zone, shape, generation, self._rollout.boot(slot.id)))

    def _drain(self, slot: Slot) -> Slot:
        nodes = tuple(self._draining(n) for n in slot.nodes if not self.standing.gone(slot, n))
        return self._slot(slot.zone, slot.index, slot.number, nodes)

    def _draining(self, node: Node) -> Node:
        if node.state is NodeState.DRAINING:
            return node
        return node.model_copy(update={"state": NodeState.DRAINING, "draining_since": self.standing.as_of})

    def _new_slot(self, zone: str, shape: str, others: list[Slot]) -> Slot:
        indexes = {s.index for s in others if s.zone == zone}
        numbers = {s.number for s in others}
        index = next(i for i in range(100) if i not in indexes)
        number = next((n for n in range(MAX_NUMBER + 1) if n not in numbers), None)
        if number is None:
            raise NoFreeNumberError(f"tier {self.tier}: all {MAX_NUMBER + 1} node numbers are taken while nodes drain")
        # What a failed `up` left of a slot of this name is another node, and goes by itself.
        generation = self.standing.last_generation(f"{self.tier}/{zone}/{index}") + 1
        return self._slot(zone, index, number, (self._node(zone, shape, generation, self._rollout.proven),))

    def _node(self, zone: str, shape: str, generation: int, boot: Boot) -> Node:
        return Node(
            generation=generation,
            shape=shape,
            architecture=boot.architecture,
            image=boot.image,
            ami=boot.ami,
            private_ip=self.pool.take(zone, self.kind),
            state=NodeState.ACTIVE,
        )

    def _slot(self, zone: str, index: int, number: int, nodes: tuple[Node, ...]) -> Slot:
        own = self._choice(zone, nodes[-1].shape)
        capacity = own.capacity_mbps if own else 0
        return Slot(
            id=f"{self.tier}/{zone}/{index}",
            zone=zone,
            index=index,
            number=number,
            nodes=nodes,
            capacity_mbps=capacity,
            weight=max(1, min(255, capacity // MBPS_PER_WEIGHT)),
            alternatives=self._alternatives(own) if own else (),
        )

    def _choice(self, zone: str, shape: str) -> Choice | None:
        return next((c for c in self.sizing.choices if (c.zone, c.shape) == (zone, shape)), None)

    def _alternatives(self, own: Choice) -> tuple[Alternative, ...]:
        """Return the cheapest other places of at least the same capacity, the own zone first at the same price."""
        others = [c for c in self.sizing.choices if c.available and c != own and c.capacity_mbps >= own.capacity_mbps]
        ranked = sorted(others, key=lambda c: (c.usd_micro_per_hour, c.zone != own.zone, c.zone, c.shape))
        return tuple(
            Alternative(
                shape=c.shape,
                zone=c.zone,
                extra_usd_micro_per_hour=c.usd_micro_per_hour - own.usd_micro_per_hour,
            )
            for c in ranked[:RANKED_ALTERNATIVES]
        )
