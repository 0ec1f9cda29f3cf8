"""From leases to an overlay: who wins, what is left out, and that it never depends on the order of the leases."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.model.base import canonical
from ecm.model.overlay import MAX_RULES
from ecm.serve.cells import left_of, meet
from ecm.serve.overlay import compiled
from tests.overlays import NOW, a_choosing_plan, an_overlay, asked, packet

PLAN = a_choosing_plan()
FAST, GUARDED = "fast", "guarded"


def chain_of(rules, destination="203.0.113.5", source="10.200.0.7", service=(6, 443), application="web"):
    """The chain that a packet is given, None where the base's stands; never two."""
    at = (int(IPv4Address(source)), int(IPv4Address(destination)), *service)
    found = packet(rules, application, at)
    assert len(found) <= 1
    return found[0].chain if found else None


def test_a_lease_without_more_moves_the_whole_application():
    found = compiled([asked(FAST)], PLAN, "corp")
    assert not found.left_out
    assert [(r.application, r.chain, r.traffic_class, r.mark) for r in found.rules] == [
        ("web", FAST, "gold", "0x10200001")
    ]
    assert chain_of(found.rules, service=(1, 0)) == FAST
    assert chain_of(found.rules, application="bulk") is None


def test_only_what_a_lease_names_is_moved():
    wanted = {
        "source": IPv4Network("10.200.0.7/32"),
        "destinations": (IPv4Network("203.0.113.0/28"),),
        "ports": ("tcp/443", "udp/5000-5009"),
    }
    rules = compiled([asked(FAST, **wanted)], PLAN, "corp").rules
    assert chain_of(rules) == FAST
    assert chain_of(rules, service=(17, 5009)) == FAST
    assert chain_of(rules, service=(17, 443)) is None
    assert chain_of(rules, service=(17, 5010)) is None
    assert chain_of(rules, source="10.200.0.8") is None
    assert chain_of(rules, destination="203.0.113.16") is None


def test_the_more_specific_wins_whenever_it_was_made_and_of_equals_the_latest():
    narrow = {"destinations": (IPv4Network("203.0.113.0/28"),)}
    rules = compiled([asked(GUARDED, 1, **narrow), asked(FAST, 2)], PLAN, "corp").rules
    assert (chain_of(rules), chain_of(rules, "203.0.113.77")) == (GUARDED, FAST)
    rules = compiled([asked(GUARDED, 1), asked(FAST, 2)], PLAN, "corp").rules
    assert chain_of(rules) == FAST
    with_port = asked(GUARDED, 1, ports=("tcp/443",))
    of_client = asked(FAST, 2, source=IPv4Network("10.200.0.7/32"))
    rules = compiled([with_port, of_client], PLAN, "corp").rules
    assert (chain_of(rules), chain_of(rules, service=(6, 80))) == (GUARDED, FAST)
    assert chain_of(rules, source="10.200.0.9", service=(6, 80)) is None


@pytest.mark.parametrize(
    ("lease", "said"),
    [
        (asked("gone"), "does not let web take chain gone"),
        (asked(FAST, application="secret"), "does not let secret take chain fast"),
        (asked(GUARDED, application="vpc"), "does not let vpc take chain guarded"),
        (asked(FAST, application="unknown"), "no application unknown"),
        (asked(FAST, traffic_class="silver"), "in class gold now, not silver"),
    ],
)
def test_what_the_applied_plan_does_not_allow_is_left_out_and_named(lease, said):
    found = compiled([lease, asked(FAST, 2, application="bulk")], PLAN, "corp")
    assert [item.lease for item in found.left_out] == [lease.id]
    assert said in found.left_out[0].why
    assert {rule.application for rule in found.rules} == {"bulk"}


def test_another_vpns_leases_and_a_stack_without_overlays_give_nothing():
    assert compiled([asked(FAST, vpn="other")], PLAN, "corp").rules == ()
    without = a_choosing_plan(overlay=None)
    assert compiled([asked(FAST)], without, "corp").rules == ()


def test_more_rules_than_a_node_takes_are_left_out():
    many = [
        asked(FAST, n, destinations=(IPv4Network((int(IPv4Address("203.0.0.0")) + n, 32)),))
        for n in range(1, MAX_RULES)
    ]
    found = compiled([*many, *(asked(FAST, MAX_RULES + n, ports=(f"tcp/{n}",)) for n in range(1, 99))], PLAN, "corp")
    assert len(found.rules) <= MAX_RULES
    assert found.left_out
    assert an_overlay(serial=5).model_copy(update={"rules": found.rules})


sources = st.sampled_from([None, *(IPv4Network(n) for n in ("10.200.0.0/16", "10.200.0.0/31", "10.200.0.1/32"))])
destinations = st.lists(
    st.sampled_from([IPv4Network(n) for n in ("203.0.113.0/24", "203.0.113.0/30", "203.0.113.2/32", "0.0.0.0/0")]),
    max_size=2,
)
ports = st.lists(st.sampled_from(["tcp/443", "tcp/440-450", "udp/443", "udp/1-65535"]), max_size=2)
leases = st.lists(
    st.builds(
        lambda number, chain, application, source, to, service: asked(
            chain, number, application, source=source, destinations=tuple(to), ports=tuple(service)
        ),
        st.integers(1, 6),
        st.sampled_from([FAST, GUARDED]),
        st.sampled_from(["web", "bulk"]),
        sources,
        destinations,
        ports,
    ),
    max_size=5,
    unique_by=lambda lease: lease.id,
)


def best(found, application, source, destination, service):
    """The chain by trying every match of every lease, the slow way."""
    ranked = []
    for lease in (x for x in found if x.application == application):
        origin = lease.source or IPv4Network("0.0.0.0/0")
        for to in lease.destinations or (IPv4Network("0.0.0.0/0"),):
            for text in lease.ports or ("",):
                name, _, span = text.partition("/")
                low, _, high = span.partition("-")
                fits = not text or (
                    service[0] == {"tcp": 6, "udp": 17}[name] and int(low) <= service[1] <= int(high or low)
                )
                if fits and source in origin and destination in to:
                    rank = (-to.prefixlen, not text, -origin.prefixlen, -lease.made_at.timestamp())
                    ranked.append((rank, lease.chain))
    return min(ranked)[1] if ranked else None


@settings(max_examples=150, deadline=None)
@given(leases, st.randoms(use_true_random=False))
def test_each_packet_has_the_chain_of_the_lease_that_wins_in_whatever_order_they_come(found, chance):
    made = compiled(found, PLAN, "corp")
    shuffled = [*found]
    chance.shuffle(shuffled)
    assert compiled(shuffled, PLAN, "corp") == made
    overlay = made.overlay(PLAN, "corp", 1, NOW)
    assert canonical(overlay) == canonical(type(overlay).model_validate_json(canonical(overlay)))
    for application in ("web", "bulk"):
        for source in ("10.200.0.0", "10.200.0.1", "10.200.9.9", "10.201.0.0"):
            for destination in ("203.0.113.2", "203.0.113.3", "203.0.113.4", "8.8.8.8"):
                for service in ((6, 443), (6, 441), (17, 443), (1, 443), (6, 80)):
                    expected = best(found, application, IPv4Address(source), IPv4Address(destination), service)
                    assert chain_of(made.rules, destination, source, service, application) == expected


spans = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda pair: (min(pair), max(pair)))
boxes = st.tuples(spans, spans)


@given(boxes, st.lists(boxes, max_size=4))
def test_what_is_left_of_a_box_covers_exactly_what_was_not_taken_and_once(box, taken):
    parts = left_of(box, taken, 1000)
    assert not any(meet(a, b) for i, a in enumerate(parts) for b in parts[i + 1 :])
    for x in range(7):
        for y in range(7):
            inside = [all(s[0] <= v <= s[1] for s, v in zip(b, (x, y), strict=True)) for b in (box, *taken)]
            covered = any(all(s[0] <= v <= s[1] for s, v in zip(p, (x, y), strict=True)) for p in parts)
            assert covered == (inside[0] and not any(inside[1:]))


def test_a_box_in_too_many_parts_is_none():
    assert left_of(((0, 9),), [((n, n),) for n in (2, 4, 6)], 3) is None
