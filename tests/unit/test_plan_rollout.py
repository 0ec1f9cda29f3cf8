"""A new image: one node tries it, the rest follow when it has proven itself, and nothing that serves is taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm import plan
from ecm.model.catalog import Image
from ecm.model.observed import Health, InstanceState, Observed
from ecm.model.plan import NodeState, Slot
from tests.builders import a_tier
from tests.forecasts import AS_OF
from tests.unit.slot_states import IMAGE, LIMITS, SMALL, A, B, generations, planned, seen, snapshot

NEWER = IMAGE.model_copy(update={"ami": "ami-00000000000000002"})
CANARY = timedelta(minutes=LIMITS.image_canary_min)
STEP = timedelta(minutes=5)
BOOT = timedelta(minutes=8)


def amis(slots: tuple[Slot, ...]) -> list[list[str]]:
    return [[n.ami[-1] for n in s.nodes] for s in slots]


def healthy(slots: tuple[Slot, ...], since: datetime = AS_OF - timedelta(days=1)) -> Observed:
    return snapshot(*(seen(s, generation=n.generation, well_since=since) for s in slots for n in s.nodes))


def test_the_canary_is_one_node_and_its_neighbours_wait() -> None:
    before = planned({(A, SMALL): 2, (B, SMALL): 2})
    canary = planned({(A, SMALL): 2, (B, SMALL): 2}, before, image=NEWER, observed=healthy(before))
    assert amis(canary) == [["1", "2"], ["1"], ["1"], ["1"]]
    assert planned({(A, SMALL): 2, (B, SMALL): 2}, canary, image=NEWER, observed=healthy(before)) == canary
    assert planned({(A, SMALL): 2, (B, SMALL): 2}, before, image=NEWER)[1:] == before[1:], "with nothing observed, too"


def test_the_rest_follow_only_when_the_canary_was_healthy_for_the_stated_time() -> None:
    want = {(A, SMALL): 4}
    before = planned(want)
    canary = planned(want, before, image=NEWER, observed=healthy(before))
    early = planned(want, canary, image=NEWER, observed=healthy(canary, AS_OF - CANARY + timedelta(seconds=1)))
    assert amis(early) == [["1", "2"], ["1"], ["1"], ["1"]]
    alone = tuple(s.model_copy(update={"nodes": s.nodes[-1:]}) for s in early)
    assert planned(want, alone, image=NEWER, observed=healthy(alone, AS_OF - CANARY + timedelta(seconds=1))) == alone
    proven = planned(want, alone, image=NEWER, observed=healthy(alone, AS_OF - CANARY))
    assert amis(proven) == [["2"], ["1", "2"], ["1"], ["1"]], "a quarter of four nodes at a time"


def test_nodes_added_or_replaced_during_the_trial_boot_what_is_proven() -> None:
    before = planned({(A, SMALL): 2})
    trial = planned({(A, SMALL): 2}, before, image=NEWER, observed=healthy(before))
    dead = snapshot(seen(trial[0]), seen(trial[0], generation=2), seen(trial[1], state=InstanceState.TERMINATED))
    after = planned({(A, SMALL): 3}, trial, image=NEWER, observed=dead)
    assert amis(after) == [["1", "2"], ["1"], ["1"]]
    assert generations(after)[trial[1].id] == [(2, SMALL, "active")]


def test_a_tier_with_a_node_down_does_not_begin() -> None:
    want = {(A, SMALL): 2}
    before = planned(want)
    trial = planned(want, before, image=NEWER, observed=healthy(before))
    alone = tuple(s.model_copy(update={"nodes": s.nodes[-1:]}) for s in trial)
    sick = healthy(alone, AS_OF - CANARY).model_copy(
        update={
            "nodes": (
                seen(alone[0], generation=2, well_since=AS_OF - CANARY),
                seen(alone[1], health=Health.UNHEALTHY),
            )
        }
    )  # fmt: skip
    assert planned(want, alone, image=NEWER, observed=sick) == alone


def test_the_way_back_is_the_previous_image_at_once_where_it_still_runs() -> None:
    want = {(A, SMALL): 2}
    before = planned(want)
    trial = planned(want, before, image=NEWER, observed=healthy(before))
    failed = snapshot(
        seen(trial[0], well_since=AS_OF - CANARY),
        seen(trial[0], generation=2, health=Health.UNHEALTHY, since=AS_OF - timedelta(minutes=1)),
        seen(trial[1], well_since=AS_OF - CANARY),
    )
    assert planned(want, trial, observed=failed) == before


def test_the_evidence_says_how_far_the_change_is() -> None:
    standing = plan.Standing(AS_OF, None, LIMITS)
    tier = a_tier("t", slots=planned({(A, SMALL): 2}))
    assert plan.image_because(tier, IMAGE, standing) == ()
    (row,) = plan.image_because(tier, NEWER, standing)
    assert (row.value, row.constraint) == (0, "image-canary")
    assert "no node yet tries it; the rest wait until a node was healthy with it for 30 min" in row.detail


@dataclass
class World:
    """A tier through time: nodes boot, prove themselves or do not, and die."""

    image_works: bool
    slots: tuple[Slot, ...]
    now: datetime = AS_OF
    image: Image = IMAGE
    born: dict[tuple[str, int], datetime] = field(default_factory=dict)
    dead: set[tuple[str, int]] = field(default_factory=set)
    size: int = 0

    def __post_init__(self) -> None:
        self.size = len(self.slots)
        self.born = {(s.id, n.generation): AS_OF - timedelta(days=1) for s in self.slots for n in s.nodes}

    def works(self, slot: Slot, generation: int, ami: str) -> bool:
        """Whether a node carries traffic now."""
        key = slot.id, generation
        return key not in self.dead and self.now - self.born[key] >= BOOT and (ami == IMAGE.ami or self.image_works)

    def observed(self) -> Observed:
        nodes = []
        for slot in self.slots:
            for node in slot.nodes:
                key = slot.id, node.generation
                up = self.born[key] + BOOT
                fine = self.works(slot, node.generation, node.ami)
                state = InstanceState.TERMINATED if key in self.dead else InstanceState.RUNNING
                health = Health.HEALTHY if fine else Health.NEW if self.now < up else Health.UNHEALTHY
                nodes.append(
                    seen(slot, generation=node.generation, state=state, health=health, since=up, well_since=up)
                )
        return snapshot(*nodes)

    def serving(self) -> dict[str, set[int]]:
        return {s.id: {n.generation for n in s.nodes if self.works(s, n.generation, n.ami)} for s in self.slots}

    def step(self) -> None:
        """Plan once; nothing that serves may go unless another node of its slot serves."""
        before = self.serving()
        want = {zone: sum(1 for s in self.slots if s.zone == zone) for zone in (A, B)}
        self.slots = planned(
            {(z, SMALL): n for z, n in want.items() if n}, self.slots, observed=self.observed(), at=self.now,
            image=self.image,
        )  # fmt: skip
        for slot in self.slots:
            for node in slot.nodes:
                self.born.setdefault((slot.id, node.generation), self.now)
            active = {n.generation for n in slot.nodes if n.state is NodeState.ACTIVE}
            assert not before[slot.id] or before[slot.id] & active, "a serving slot lost its serving node"
        assert len(self.slots) == self.size
        self.now += STEP

    def with_new_image(self) -> int:
        return sum(1 for s in self.slots if any(n.ami == NEWER.ami for n in s.nodes))

    def changing(self) -> int:
        return sum(1 for s in self.slots if len(s.nodes) > 1)


COUNTS = st.tuples(st.integers(1, 6), st.integers(0, 6))


def test_the_last_node_of_the_old_image_dies_beside_the_canary() -> None:
    want = {(A, SMALL): 2}
    before = planned(want)
    trial = planned(want, before, image=NEWER, observed=healthy(before))
    alone = tuple(s.model_copy(update={"nodes": s.nodes[-1:]}) for s in trial)
    young = seen(alone[0], generation=2, well_since=AS_OF - CANARY / 2)
    dead = seen(alone[1], state=InstanceState.TERMINATED)
    assert amis(planned(want, alone, image=NEWER, observed=snapshot(young, dead))) == [["2"], ["1"]]
    proven = seen(alone[0], generation=2, well_since=AS_OF - CANARY)
    assert amis(planned(want, alone, image=NEWER, observed=snapshot(proven, dead))) == [["2"], ["2"]]


@given(COUNTS, st.data())
@settings(deadline=None, max_examples=40)
def test_a_good_image_reaches_every_node_and_no_step_takes_a_serving_node(
    counts: tuple[int, int], data: st.DataObject
) -> None:
    want = {(z, SMALL): n for z, n in zip((A, B), counts, strict=True) if n}
    world = World(image_works=True, slots=planned(want))
    world.image = NEWER
    deaths = data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, sum(counts) - 1)), max_size=3))
    proven = False
    for step in range(40 + 8 * sum(counts)):
        for at, which in deaths:
            if at == step:
                slot = world.slots[which]
                world.dead.add((slot.id, slot.nodes[-1].generation))
        world.step()
        # Once proven it stays so: what began to change goes on where the canary dies just then.
        living = [(s.id, n.generation) for s in world.slots for n in s.nodes if n.ami == NEWER.ami]
        proven = proven or any(world.now - STEP - world.born[k] >= BOOT + CANARY for k in living if k not in world.dead)
        if not proven:
            assert world.with_new_image() <= 1
        assert world.changing() <= max(1, sum(counts) * LIMITS.image_max_unavailable_pct // 100) + len(deaths)
    assert {n.ami for s in world.slots for n in s.nodes} == {NEWER.ami}


@given(COUNTS, st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_a_bad_image_stays_on_one_node_beside_the_old_one_and_the_way_back_leads_home(
    counts: tuple[int, int], until: int
) -> None:
    want = {(z, SMALL): n for z, n in zip((A, B), counts, strict=True) if n}
    world = World(image_works=False, slots=planned(want))
    world.image = NEWER
    for _ in range(until):
        world.step()
        assert world.with_new_image() <= 1
        assert all(world.serving().values()), "every slot serves through the trial"
    world.image = IMAGE
    for _ in range(8):
        world.step()
        assert all(world.serving().values())
    assert {n.ami for s in world.slots for n in s.nodes} == {IMAGE.ami}
    assert world.changing() == 0
