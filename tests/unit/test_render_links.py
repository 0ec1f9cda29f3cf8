"""Tunnel numbers: both ends agree, nothing collides, nothing moves when a neighbour comes or goes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecm.render import RenderError
from ecm.render.links import LANES, End, Link, block, chain_lanes, ends, links
from tests.builders import a_slot, a_tier
from tests.unit.render_states import an_adjacency, with_second_generation

OVERLAY = IPv4Network("100.96.0.0/11")
LARGEST = 199


def an_end(number: int) -> End:
    return End(f"t/us-east-1a/{number}", 1, number, IPv4Address(0x0A000000 + number), "us-east-1a", 10, active=True)


numbers = st.sets(st.integers(0, 31), min_size=1, max_size=32).map(sorted)
adjacencies = st.integers(0, LARGEST)


@given(adjacencies, numbers, numbers)
def test_both_ends_of_every_tunnel_agree(number: int, ups: list[int], downs: list[int]) -> None:
    adjacency = an_adjacency("a", "b", number)
    for up in ups:
        for link in links(OVERLAY, adjacency, an_end(up), [an_end(n) for n in downs], downstream=True):
            back = links(OVERLAY, adjacency, link.peer, [an_end(up)], downstream=False)[link.lane]
            assert (link.port, link.peer_port) == (back.peer_port, back.port)
            assert (link.address, link.peer_address) == (back.peer_address, back.address)
            assert int(link.address) ^ int(link.peer_address) == 1
            assert link.address in block(OVERLAY, adjacency)
            assert link.address in OVERLAY


@given(st.sets(adjacencies, min_size=1, max_size=6), st.integers(0, 31), numbers)
def test_no_two_tunnels_of_a_node_share_an_address_a_port_or_a_name(
    ways: set[int], mine: int, peers: list[int]
) -> None:
    found: list[Link] = []
    for at, number in enumerate(sorted(ways)):
        adjacency = an_adjacency("a", "b", number)
        found += links(OVERLAY, adjacency, an_end(mine), [an_end(n) for n in peers], downstream=at % 2 == 0)
    for values in (
        [link.address for link in found],
        [link.peer_address for link in found],
        [link.port for link in found],
        [link.interface for link in found],
    ):
        assert len(set(values)) == len(values) == len(ways) * len(peers) * LANES
    assert all(len(link.interface) <= 15 and 20000 <= link.port <= 45599 for link in found)


def test_a_whole_adjacency_uses_every_address_of_its_block_once() -> None:
    adjacency = an_adjacency("a", "b", 7)
    peers = [an_end(n) for n in range(32)]
    used = [
        address
        for up in range(32)
        for link in links(OVERLAY, adjacency, an_end(up), peers, downstream=True)
        for address in (link.address, link.peer_address)
    ]
    assert sorted(used) == list(block(OVERLAY, adjacency))


@given(adjacencies, st.integers(0, 31), numbers, st.data())
def test_a_neighbour_that_goes_changes_no_other_link(
    number: int, mine: int, peers: list[int], data: st.DataObject
) -> None:
    adjacency = an_adjacency("a", "b", number)
    gone = data.draw(st.sampled_from(peers))
    before = links(OVERLAY, adjacency, an_end(mine), [an_end(n) for n in peers], downstream=True)
    after = links(OVERLAY, adjacency, an_end(mine), [an_end(n) for n in peers if n != gone], downstream=True)
    assert [link for link in before if link.peer.number != gone] == list(after)


def test_two_generations_of_a_slot_have_numbers_of_their_own() -> None:
    tier = a_tier("edge")
    tier = tier.model_copy(update={"slots": (with_second_generation(tier.slots[0]), *tier.slots[1:])})
    assert [e.number for e in ends(tier)] == [0, 1, 3]


def test_a_slot_number_above_fifteen_is_refused() -> None:
    tier = a_tier("edge", slots=(a_slot("edge", number=16),))
    with pytest.raises(RenderError, match=r"slot edge/us-east-1a/0: number: 16: .*16 slots.*lowest free number"):
        ends(tier)


def test_two_slots_with_one_number_are_refused() -> None:
    tier = a_tier("edge", slots=(a_slot("edge", number=3), a_slot("edge", index=1, number=3)))
    with pytest.raises(RenderError, match="has the node number 7 of edge/us-east-1a/0 generation 1"):
        ends(tier)


def test_an_adjacency_beyond_the_overlay_is_refused() -> None:
    with pytest.raises(RenderError, match=r"number: 32: overlay_cidr 100.96.0.0/14 has 32 blocks of /19"):
        block(IPv4Network("100.96.0.0/14"), an_adjacency("a", "b", 32))
    assert block(IPv4Network("100.96.0.0/14"), an_adjacency("a", "b", 31)) == IPv4Network("100.99.224.0/19")


@given(st.sets(st.integers(1, 250), min_size=1, max_size=4), st.integers(1, 4))
def test_chains_never_share_a_lane_and_have_as_many_as_there_are(chains: set[int], tunnels: int) -> None:
    lanes = chain_lanes(an_adjacency("a", "b", tunnels=tunnels), chains)
    used = [lane for own in lanes.values() for lane in own]
    assert len(set(used)) == len(used) == min(LANES, len(chains) * tunnels)
    assert set(used) <= set(range(LANES))
    assert all(1 <= len(own) <= tunnels for own in lanes.values())


@given(st.sets(st.integers(1, 249), min_size=1, max_size=3), st.integers(1, 4))
def test_a_new_chain_leaves_the_first_lanes_alone(chains: set[int], tunnels: int) -> None:
    adjacency = an_adjacency("a", "b", tunnels=tunnels)
    before, after = chain_lanes(adjacency, chains), chain_lanes(adjacency, {*chains, 250})
    assert all(after[number][0] == lanes[0] for number, lanes in before.items())


def test_a_fifth_chain_over_one_pair_of_tiers_is_refused() -> None:
    with pytest.raises(RenderError, match="a pair of tiers carries 4 chains"):
        chain_lanes(an_adjacency("a", "b"), range(1, 6))
