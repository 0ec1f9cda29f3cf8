"""Clients of a VPN: whatever is done in whatever order, no two share an id, a key or an address."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecm.clients import ClientError, Roster, Shard, public_of, shard_of
from ecm.model.fleet import Vpn
from ecm.model.rendered import Peer
from ecm.store.clients import merge_shards

KEYS = tuple(public_of(base64.b64encode(bytes([n]) * 32).decode()) for n in range(12))
NAMES = tuple(f"client-{n}" for n in range(8))
ACTIONS = st.tuples(
    st.sampled_from(["add", "add at", "rotate", "revoke"]),
    st.sampled_from(NAMES),
    st.sampled_from(KEYS),
    st.integers(0, 9),
)


def a_vpn(cidr: str = "10.200.0.0/29") -> Vpn:
    return Vpn(id="corp", client_cidr=IPv4Network(cidr))


def done(roster: Roster, shard: Shard) -> Roster:
    shards = {**roster.shards, shard.name: shard.peers}
    return Roster(roster.vpn, {name: peers for name, peers in shards.items() if peers})


def step(roster: Roster, action: tuple[str, str, str, int]) -> Roster:
    what, name, key, number = action
    if what == "rotate":
        return done(roster, roster.rotate(name, key))
    if what == "revoke":
        return done(roster, roster.revoke(name))
    address = IPv4Address("10.200.0.0") + number if what == "add at" else None
    return done(roster, roster.add(name, key, address))


@given(st.lists(ACTIONS, max_size=30))
def test_no_two_clients_share_anything_after_any_commands(actions: list[tuple[str, str, str, int]]) -> None:
    roster = Roster(a_vpn(), {})
    for action in actions:
        before = {p.id: p for p in roster.peers()}
        try:
            roster = step(roster, action)
        except ClientError:
            continue
        after = {p.id: p for p in roster.peers()}
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == {action[1]}
    peers = roster.peers()
    for what in ("id", "public_key", "address"):
        assert len({getattr(p, what) for p in peers}) == len(peers)
    inside = {IPv4Address("10.200.0.0") + n for n in range(1, 7)}
    assert {p.address for p in peers} <= inside
    shards = ((f"{name}.json", b'{"peers":[%s]}' % b",".join(_json(p) for p in s)) for name, s in roster.shards.items())
    table = merge_shards(roster.vpn, shards)
    assert (table.peers if table else ()) == peers


def _json(peer: Peer) -> bytes:
    return peer.model_dump_json().encode()


def test_addresses_are_given_to_the_last_one_and_then_no_more() -> None:
    roster = Roster(a_vpn(), {})
    for number in range(6):
        roster = done(roster, roster.add(f"client-{number}", KEYS[number]))
    assert {int(p.address) & 7 for p in roster.peers()} == set(range(1, 7))
    with pytest.raises(ClientError, match=r"no address of 10\.200\.0\.0/29 is free; revoke"):
        roster.add("one-more", KEYS[9])
    roster = done(roster, roster.revoke("client-3"))
    assert roster.add("one-more", KEYS[9]).changed.address == IPv4Address("10.200.0.4")


@pytest.mark.parametrize(
    ("name", "key", "address", "said"),
    [
        ("client-0", KEYS[5], None, "has one; choose another name"),
        ("other", KEYS[0], None, "is client-0's"),
        ("other", KEYS[5], "10.200.0.1", "is client-0's; choose another"),
        ("other", KEYS[5], "10.200.0.0", "is no client's of VPN corp"),
        ("other", KEYS[5], "10.200.0.7", "is no client's of VPN corp"),
        ("other", KEYS[5], "10.201.0.1", "is no client's of VPN corp"),
        ("../../etc", KEYS[5], None, "correct the name"),
        ("x; rm -rf /", KEYS[5], None, "correct the name"),
        ("a\nb", KEYS[5], None, "correct the name"),
        ("n" * 25, KEYS[5], None, "correct the name"),
        ("other", KEYS[5][:-1], None, "correct the public key"),
        ("other", KEYS[5] + "\n[Peer]", None, "correct the public key"),
        ("other", "A" * 44, None, "correct the public key"),
        ("Other", "no key", None, "correct the name: .*; the public key"),
    ],
)
def test_what_cannot_be_a_client_is_refused_in_words(name: str, key: str, address: str | None, said: str) -> None:
    roster = Roster(a_vpn(), {})
    roster = done(roster, roster.add("client-0", KEYS[0]))
    with pytest.raises(ClientError, match=said) as refused:
        roster.add(name, key, None if address is None else IPv4Address(address))
    assert "\n" not in str(refused.value)


def test_a_client_stays_in_the_file_that_it_came_in() -> None:
    adopted = Peer(id="old", public_key=KEYS[0], address=IPv4Address("10.200.0.2"))
    roster = Roster(a_vpn(), {"adopted": (adopted,)})
    assert roster.rotate("old", KEYS[1]).name == "adopted"
    assert roster.revoke("old") == Shard("adopted", (), adopted)
    assert roster.add("new", KEYS[2]).name == shard_of("new") != "adopted"


def test_ten_thousand_clients_lie_in_files_of_some_forty() -> None:
    sizes: dict[str, int] = {}
    for number in range(10_000):
        sizes[shard_of(f"client-{number}")] = sizes.get(shard_of(f"client-{number}"), 0) + 1
    assert len(sizes) == 256
    assert max(sizes.values()) < 80
