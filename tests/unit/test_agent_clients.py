"""Who claims a client: the rules that let one node, and one only, hold each client's return route."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.agent.clients import HELD_S, Claim, Claims, Heard

ANNA = "10.200.0.7"


def heard(handshake: int, received: int = 0, interface: str = "edge1") -> dict[str, Heard]:
    return {ANNA: Heard(interface, handshake, received)}


def test_a_handshake_is_claimed_with_its_time_and_held_without_being_told_again() -> None:
    claims = Claims()
    assert claims.look(heard(0), {}, 1000) == {}
    assert claims.look(heard(1001), {}, 1001) == {ANNA: Claim("edge1", 1001)}
    assert claims.look(heard(1121), {}, 1121) == {ANNA: Claim("edge1", 1001)}


def test_a_session_without_handshake_for_180_s_is_over() -> None:
    claims = Claims()
    claims.look(heard(0), {}, 999)
    assert claims.look(heard(1000), {}, 1000 + HELD_S - 1)
    assert claims.look(heard(1000), {}, 1000 + HELD_S) == {}


def test_a_later_claim_of_a_sibling_ends_this_one_at_once() -> None:
    claims = Claims(held={ANNA: Claim("edge1", 1000)})
    claims.look(heard(1000, 5), {}, 1010)
    assert claims.look(heard(1000, 5), {ANNA: 1011}, 1012) == {}
    assert claims.look(heard(1000, 5), {ANNA: 1011}, 1013) == {}


def test_an_earlier_claim_of_a_sibling_does_not() -> None:
    claims = Claims(held={ANNA: Claim("edge1", 1000)})
    claims.look(heard(1000, 5), {}, 1010)
    assert claims.look(heard(1000, 5), {ANNA: 900}, 1012)


def test_a_client_that_comes_is_claimed_above_the_sibling_whose_clock_is_ahead() -> None:
    claims = Claims()
    claims.look(heard(0), {ANNA: 1500}, 1000)
    assert claims.look(heard(1001), {ANNA: 1500}, 1001) == {ANNA: Claim("edge1", 1501)}


def test_a_client_that_went_and_came_back_before_the_news_is_kept() -> None:
    claims = Claims(held={ANNA: Claim("edge1", 1000)})
    claims.look(heard(1000, 5), {}, 1001)
    assert claims.look(heard(1003, 9), {ANNA: 1002}, 1003) == {ANNA: Claim("edge1", 1003)}


def test_an_agent_that_starts_claims_what_nobody_else_does_and_no_more() -> None:
    assert Claims().look(heard(1000), {}, 1050) == {ANNA: Claim("edge1", 1000)}
    assert Claims().look(heard(1000), {ANNA: 1010}, 1050) == {}


def test_a_change_of_class_moves_the_route_to_the_other_interface() -> None:
    claims = Claims()
    claims.look(heard(0), {}, 999)
    claims.look(heard(1000), {}, 1000)
    assert claims.look(heard(1010, interface="edge2"), {}, 1010) == {ANNA: Claim("edge2", 1000)}


@given(
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 8)), min_size=1, max_size=12),
    skews=st.tuples(*[st.integers(-30, 30)] * 3),
)
@settings(max_examples=300, deadline=None)
def test_wherever_a_client_moves_one_node_holds_it_and_it_is_the_right_one(
    moves: list[tuple[int, int]], skews: tuple[int, int, int]
) -> None:
    """Three nodes whose clocks differ by up to a minute; a claim reaches the others one look later."""
    nodes = [Claims() for _ in range(3)]
    sessions = [[0, 0] for _ in range(3)]
    now, told = 10_000, [{}, {}, {}]
    for at, looks in [*moves, (moves[-1][0], 4)]:
        sessions[at][0] = now + skews[at]
        for _ in range(looks):
            now += 1
            sessions[at][1] += 100
            for index, node in enumerate(nodes):
                others = [c for i, c in enumerate(told) if i != index]
                siblings = {ANNA: max(c[ANNA].stamp for c in others if ANNA in c)} if any(others) else {}
                node.look(heard(*sessions[index]), siblings, now + skews[index])
            told = [dict(node.held) for node in nodes]
    assert [bool(node.held) for node in nodes] == [index == moves[-1][0] for index in range(3)]
