"""Zone affinity: nobody is loaded above its weight, and no more than needed leaves its zone."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecm.render.links import End
from ecm.render.weights import zone_affine

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"


def an_end(number: int, zone: str, weight: int = 10, *, active: bool = True) -> End:
    return End(f"t/{zone}/{number}", 1, number, IPv4Address(number), zone, weight, active)


def test_equal_zones_keep_their_traffic() -> None:
    senders = [an_end(0, A), an_end(2, B)]
    assert zone_affine(A, senders, [an_end(0, A), an_end(2, B)]) == {0: 256, 2: 1}


def test_weights_within_a_zone_follow_capacity() -> None:
    assert zone_affine(A, [an_end(0, A)], [an_end(0, A, 20), an_end(2, A, 5)]) == {0: 256, 2: 64}


def test_a_zone_with_half_the_capacity_sends_half_away() -> None:
    senders = [an_end(0, A, 20), an_end(2, B, 20)]
    receivers = [an_end(0, A, 10), an_end(2, B, 30)]
    assert zone_affine(A, senders, receivers) == {0: 256, 2: 256}
    assert zone_affine(B, senders, receivers) == {0: 1, 2: 256}


def test_a_zone_without_a_receiver_sends_where_there_is_room() -> None:
    senders = [an_end(0, A), an_end(2, B), an_end(4, C)]
    assert zone_affine(A, senders, [an_end(2, B), an_end(4, C)]) == {2: 256, 4: 256}


def test_a_draining_receiver_is_the_last_resort() -> None:
    receivers = [an_end(0, A, active=False), an_end(2, A)]
    assert zone_affine(A, [an_end(0, A)], receivers) == {0: 1, 2: 256}
    assert zone_affine(A, [an_end(0, A)], [an_end(0, A, active=False)]) == {0: 1}


def test_a_lone_draining_sender_still_has_next_hops() -> None:
    senders = [an_end(0, A, active=False), an_end(2, B)]
    assert zone_affine(A, senders, [an_end(2, B, 30), an_end(4, B, 10)]) == {2: 256, 4: 85}


zones = st.sampled_from([A, B, C])
tiers = st.lists(st.tuples(zones, st.integers(1, 255)), min_size=1, max_size=8)


@given(tiers, tiers)
def test_no_receiver_gets_more_than_its_share(senders: list[tuple[str, int]], receivers: list[tuple[str, int]]) -> None:
    ups = [an_end(n, z, w) for n, (z, w) in enumerate(senders)]
    downs = [an_end(n, z, w) for n, (z, w) in enumerate(receivers)]
    got = dict.fromkeys(range(len(downs)), 0.0)
    for up in ups:
        weights = zone_affine(up.zone, ups, downs)
        assert all(1 <= w <= 256 for w in weights.values())
        for number, weight in weights.items():
            got[number] += up.weight / sum(u.weight for u in ups) * weight / sum(weights.values())
    total = sum(d.weight for d in downs)
    for down in downs:
        # Whole weights: each of up to eight receivers takes 1/257 at the least, and rounding half of that.
        assert got[down.number] == pytest.approx(down.weight / total, abs=8 / 256)
