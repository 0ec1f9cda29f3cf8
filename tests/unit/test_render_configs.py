"""What every node gets, and what changes when the desired state does."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Network

import pytest

from ecm.model.base import canonical_json
from ecm.model.fleet import WayIn
from ecm.model.plan import NodeState, SubnetKind, VpcRoute
from ecm.render import RenderError
from tests.builders import a_chain, a_route, a_vpn
from tests.unit.render_states import (
    a_peer,
    an_adjacency,
    documents,
    naming,
    one_tier,
    peers_of,
    render,
    replace_slot,
    three_tiers,
    with_second_generation,
    with_state,
)

EDGE, MID, OUT = "edge/us-east-1a/0#1", "mid/us-east-1a/0#1", "out/us-east-1a/0#1"
NFT, BIRD = "/etc/ecm/nftables.conf", "/etc/ecm/bird.conf"


def test_every_generation_of_every_slot_has_one_object() -> None:
    desired = replace_slot(three_tiers(), "mid/us-east-1a/0", with_second_generation)
    rendered = render(desired)
    assert [(n.slot, n.generation) for n in rendered.nodes] == sorted(
        (s.id, n.generation) for t in desired.tiers for s in t.slots for n in s.nodes
    )
    assert len(rendered.nodes) == 7
    assert rendered.nodes[2].base.key == "nodes/mid/us-east-1a/0/g1/base.json"
    for node in rendered.nodes:
        assert node.base.text.encode() == canonical_json(json.loads(node.base.text))
        assert json.loads(node.base.text)["version"] == 1


def test_user_data_is_the_same_for_every_node_and_configuration() -> None:
    texts = {n.user_data for d in (three_tiers(), one_tier()) for n in render(d).nodes}
    assert len(texts) == 1
    (text,) = texts
    assert text.startswith("#cloud-config\n")
    assert "ecm-agent.service" in text


def test_the_same_input_in_any_order_gives_the_same_bytes() -> None:
    desired = three_tiers()
    turned = desired.model_copy(
        update={
            name: tuple(reversed(getattr(desired, name)))
            for name in ("tiers", "chains", "adjacencies", "applications", "classes", "vpns")
        }
    )
    assert render(turned) == render(desired)


def test_both_ends_of_every_tunnel_name_each_other() -> None:
    files = {
        (node, name.rsplit("/", 1)[1]): text
        for node, document in documents(render(three_tiers())).items()
        for name, text in document["files"].items()
        if "/wireguard/" in name and "edge" not in name.rsplit("/", 1)[1]
    }
    ends = {}
    addresses = {key: document["node"]["private_ip"] for key, document in documents(render(three_tiers())).items()}
    for (node, _), text in files.items():
        listen = re.search(r"ListenPort = (\d+)", text)
        endpoint = re.search(r"Endpoint = ([\d.]+):(\d+)", text)
        peer = re.search(r"PublicKey = @public:(\S+)@", text)
        assert listen
        assert endpoint
        assert peer
        assert addresses[peer[1]] == endpoint[1]
        ends[node, peer[1], int(listen[1]), int(endpoint[2])] = True
    assert ends
    assert all((peer, node, theirs, mine) in ends for node, peer, mine, theirs in ends)


def test_a_node_takes_keys_of_its_neighbours_only() -> None:
    documents_ = documents(render(three_tiers()))
    assert [p["slot"] for p in documents_[MID]["peers"]] == [
        "edge/us-east-1a/0", "edge/us-east-1b/0", "out/us-east-1a/0", "out/us-east-1b/0",
    ]  # fmt: skip
    for document in documents_.values():
        tokens = {p["token"] for p in document["peers"]}
        assert set(re.findall(r"@public:[^@]*@", json.dumps(document["files"]))) == tokens
        assert document["keys"]["publish"].startswith("keys/" + document["node"]["slot"])


def test_secrets_are_named_where_they_are_needed() -> None:
    found = {key: document["keys"] for key, document in documents(render(three_tiers())).items()}
    assert found[EDGE]["edge"]["secret"] == "ecm/dev/edge/edge"
    assert found[MID]["edge"] is None
    assert [p["secret"] for p in found[EDGE]["pairs"]] == ["ecm/dev/pair/edge/mid"]
    assert [p["secret"] for p in found[MID]["pairs"]] == ["ecm/dev/pair/edge/mid", "ecm/dev/pair/mid/out"]
    assert [p["secret"] for p in found[OUT]["pairs"]] == ["ecm/dev/pair/mid/out"]


def test_nothing_rendered_looks_like_a_key() -> None:
    table = peers_of(a_peer())
    rendered = render(naming(three_tiers(), table), table)
    for node in rendered.nodes:
        assert not re.search(r"[A-Za-z0-9+/]{43}=", node.base.text + node.user_data)


def test_each_class_has_an_edge_interface_with_its_port_and_mark() -> None:
    files = documents(render(three_tiers()))[EDGE]["files"]
    gold, silver = (files[f"/etc/ecm/wireguard/edge{n}.conf"] for n in (1, 2))
    assert "ListenPort = 51820\nFwMark = 0x10000000" in gold
    assert "ListenPort = 51821\nFwMark = 0x20000000" in silver
    assert "[Peer]" not in gold + silver
    assert "udp sport @edge_ports @th,64,8 0x1 counter drop" in files[NFT]


def test_a_chain_is_recognised_by_its_lane_and_keeps_to_its_tiers() -> None:
    documents_ = documents(render(three_tiers()))
    out = documents_[OUT]["files"]
    assert 'iifname "u2k1n*" ct mark & 0x0ff00000 != 0x00100000 ct mark set 0x0' in out[NFT]
    assert 'iifname "u1k2n*" ct mark & 0x0ff00000 != 0x00200000 ct mark set 0x0' in out[NFT]
    edge = documents_[EDGE]["files"][BIRD]
    first, second = edge.split("ipv4 table chain_2;")
    assert set(re.findall(r'interface "(\w+?)n\d+"', first.split("ipv4 table chain_1;")[1])) == {"d0k1"}
    assert set(re.findall(r'interface "(\w+?)n\d+"', second)) == {"d1k2"}


def test_only_tuples_of_the_nodes_chains_are_forwarded() -> None:
    documents_ = documents(render(three_tiers()))
    passes = {key: set(_passes(d["files"][NFT])) for key, d in documents_.items()}
    assert passes[EDGE] == {("edge*", "d0k1n*"), ("d0k1n*", "edge*"), ("edge*", "d1k2n*"), ("d1k2n*", "edge*")}
    assert passes[MID] == {(a, b) for k in ("d2k1n*", "d2k2n*") for a, b in (("u0k1n*", k), (k, "u0k1n*"))}
    assert ("u1k2n*", "ens5") in passes[OUT]
    assert ("u1k2n*", "u2k1n*") not in passes[OUT]


def _passes(ruleset: str) -> list[tuple[str, str]]:
    return re.findall(r'iifname "(\S+)" oifname "(\S+)" ip saddr \S+ ip daddr \S+ ct state \S+ counter accept', ruleset)


def test_an_inspecting_tier_drops_what_it_cannot_name_and_reports_the_rest() -> None:
    documents_ = documents(render(three_tiers()))
    mid, out = documents_[MID]["files"][NFT], documents_[OUT]["files"][NFT]
    assert 'iifname "u0k1n*" ct mark 0x0 counter drop' in mid
    assert 'log prefix "ecm-inspect " group 1' in mid
    assert 'iifname "u1k2n*" ct mark 0x0 ct mark set 0x20200000' in out
    assert "ecm-inspect" not in out


def test_a_default_application_does_not_reach_the_stack_itself() -> None:
    text = documents(render(three_tiers()))[EDGE]["files"][NFT]
    guard = "ip daddr { 10.200.0.0/16, 100.96.0.0/11, 10.40.0.0/16"
    assert text.index("203.0.113.0/24") < text.index(guard) < text.index("ct mark set 0x20200002 return")


def test_a_draining_node_takes_no_new_traffic_and_neighbours_hear_it() -> None:
    before = documents(render(three_tiers()))
    drained = documents(render(with_state(three_tiers(), "mid/us-east-1a/0", NodeState.DRAINING)))
    assert (before[MID]["state"], drained[MID]["state"]) == ("active", "draining")
    assert (before[MID]["health"]["draining"], drained[MID]["health"]["draining"]) == (False, True)
    assert all("  stub router draining;" in found[MID]["files"][BIRD] for found in (before, drained))
    assert "\ndefine draining = 0;\n" in before[MID]["files"][BIRD]
    assert "\ndefine draining = 1;\n" in drained[MID]["files"][BIRD]
    assert 'interface "d0k1n1" { type ptp; cost 10; ecmp weight 256' in before[EDGE]["files"][BIRD]
    assert 'interface "d0k1n1" { type ptp; cost 10; ecmp weight 1;' in drained[EDGE]["files"][BIRD]
    out = documents(render(with_state(three_tiers(), "out/us-east-1a/0", NodeState.DRAINING)))
    exits = "route 0.0.0.0/0 blackhole { ospf_metric1 = 10 + draining * 20000; }"
    for key, switch in ((OUT, 1), ("out/us-east-1b/0#1", 0)):
        assert exits in out[key]["files"][BIRD]
        assert f"define draining = {switch};" in out[key]["files"][BIRD]


def test_a_neighbour_that_goes_leaves_the_other_tunnels_as_they_are() -> None:
    whole = documents(render(three_tiers()))
    less = documents(render(replace_slot(three_tiers(), "mid/us-east-1b/0", lambda _: None)))
    for key, document in less.items():
        for path, text in document["files"].items():
            if "/wireguard/" in path:
                assert whole[key]["files"][path] == text
    gone = set(whole[EDGE]["files"]) - set(less[EDGE]["files"])
    assert gone == {"/etc/ecm/wireguard/d0k1n3.conf"}


def test_a_client_changes_its_vpns_table_and_no_node() -> None:
    desired = three_tiers()
    one, two = peers_of(a_peer()), peers_of(a_peer(), a_peer("phone", "10.200.0.8", "B"))
    none, first, second = render(desired), render(naming(desired, one), one), render(naming(desired, two), two)
    assert none.nodes == first.nodes == second.nodes
    assert [o.key for o in none.shared] == ["vpns/corp/peers.json"]
    assert json.loads(none.shared[0].text)["peers"] == []
    assert [p["address"] for p in json.loads(second.shared[0].text)["peers"]] == ["10.200.0.7", "10.200.0.8"]


def test_a_chain_of_one_tier_exits_where_clients_enter() -> None:
    document = documents(render(one_tier()))[EDGE]
    text = document["files"][NFT]
    assert set(_passes(text)) == {("edge*", "ens5"), ("ens5", "edge*")}
    assert f"snat ip to {document['node']['private_ip']}" in text
    assert "protocol ospf" not in document["files"][BIRD]
    assert [i["name"] for i in document["interfaces"]] == ["edge1", "edge2"]
    assert [(r["priority"], r["table"]) for r in document["rules"]] == [(100, 900), (400, None)]


def test_every_chain_is_refused_by_rule_where_no_table_routes_it() -> None:
    rules = documents(render(three_tiers()))[EDGE]["rules"]
    last = [r for r in rules if r["action"] == "unreachable"]
    assert [(r["fwmark"], r["mask"]) for r in last] == [("0x00100000", "0x0ff00000"), ("0x00200000", "0x0ff00000")]
    assert all(r["priority"] < last[0]["priority"] for r in rules if r["action"] == "lookup")


def test_pins_lead_to_each_neighbour_and_never_to_an_ingress_tier() -> None:
    documents_ = documents(render(three_tiers()))
    pinned = {k: sorted(r["table"] for r in d["rules"] if r["priority"] == 200) for k, d in documents_.items()}
    numbers = (1, 3)
    assert pinned[EDGE] == sorted(10_000 + chain * 64 + n for chain in (1, 2) for n in numbers)
    assert pinned[MID] == [10_000 + 64 + n for n in numbers]
    assert pinned[OUT] == [10_000 + 64 + 32 + n for n in numbers]
    for key, document in documents_.items():
        tables = set(map(int, re.findall(r"kernel table (\d+)", document["files"][BIRD])))
        assert {r["table"] for r in document["rules"] if r["table"]} <= tables | {900}, key


def test_workloads_of_the_vpc_enter_at_the_ingress_nodes() -> None:
    desired = three_tiers()
    routes = (*desired.applications, a_route("sync", 3, chain="fast", way_in=WayIn.VPC_ROUTE, ports=("tcp/22",)))
    documents_ = documents(render(desired.model_copy(update={"applications": routes})))
    edge = documents_[EDGE]["files"]
    assert "ip saddr 10.40.0.0/16 jump classify_workload" in edge[NFT]
    assert ("ens5", "d1k2n*") in _passes(edge[NFT])
    assert ("ens5", "d0k1n*") not in _passes(edge[NFT])
    assert "route 10.40.0.0/16 blackhole" in edge[BIRD]
    forward = edge[NFT].split("chain classify_forward")[1].split("chain classify_workload")[0]
    assert "tcp dport { 22 }" not in forward
    assert "tcp dport { 22 }" in documents_[OUT]["files"][NFT].split("chain classify_forward")[1]


def test_clients_that_the_vpc_routes_to_are_not_translated() -> None:
    desired = three_tiers()
    route = VpcRoute(
        id="clients-a",
        route_table="rtb-1",
        destination=IPv4Network("10.200.0.0/17"),
        slot="out/us-east-1a/0",
        generation=1,
    )
    network = desired.network.model_copy(update={"vpc_routes": (route,)})
    documents_ = documents(render(desired.model_copy(update={"network": network})))
    mine, other = documents_[OUT]["files"][NFT], documents_["out/us-east-1b/0#1"]["files"][NFT]
    untranslated = 'oifname "ens5" ip saddr 10.200.0.0/16 ip daddr 10.40.0.0/16 accept'
    assert untranslated in mine
    assert untranslated in other
    assert "ip daddr 10.200.0.0/17 goto new_from_vpc" in mine
    assert "goto new_from_vpc" not in other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adjacencies": (an_adjacency("edge", "mid"),)}, "no adjacency joins these tiers"),
        ({"chains": (a_chain(("edge", "out"), "a"), a_chain(("edge", "mid", "out"), "b"))}, "chain number of b: 1: is"),
        ({"applications": (a_route("a"), a_route("b"))}, "application number of b: 1: is also a's"),
        (
            {"applications": (a_route(number=1024, chain="fast"),)},
            "application number: 1024: a packet mark holds 0 to 1023",
        ),
        ({"applications": (a_route(chain="none"),)}, "application web: chain: none: is no chain of VPN corp"),
        ({"applications": (a_route(chain="fast", traffic_class="iron"),)}, "traffic class: iron"),
    ],
)
def test_numbers_and_references_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(three_tiers(**change))


def test_two_nodes_with_one_address_are_refused() -> None:
    address = three_tiers().tiers[0].slots[0].nodes[0].private_ip
    twice = replace_slot(
        three_tiers(),
        "mid/us-east-1b/0",
        lambda s: s.model_copy(update={"nodes": (s.nodes[0].model_copy(update={"private_ip": address}),)}),
    )
    with pytest.raises(RenderError, match="private_ip of mid/us-east-1b/0 generation 1"):
        render(twice)


def test_a_peer_table_that_does_not_fit_is_refused() -> None:
    desired = three_tiers()
    outside, twice = peers_of(a_peer(address="10.9.0.1")), peers_of(a_peer(), a_peer("phone", key="B"))
    for table, message in (
        (outside, r"10\.9\.0\.1: of laptop is outside 10\.200\.0\.0/16"),
        (twice, r"10\.200\.0\.7: is laptop's and phone's"),
    ):
        with pytest.raises(RenderError, match=message):
            render(naming(desired, table), table)
    table = peers_of(a_peer())
    with pytest.raises(RenderError, match="is not the peer table that the plan names"):
        render(desired, table)
    with pytest.raises(RenderError, match="is not the peer table that the plan names"):
        render(naming(desired, table))
    with pytest.raises(RenderError, match="the stack has no such VPN"):
        render(desired, peers_of(a_peer(), vpn="other"))


def test_ports_that_overlap_are_joined() -> None:
    desired = three_tiers(applications=(a_route(chain="fast", ports=("udp/10-20", "udp/15-30", "tcp/443")),))
    text = documents(render(desired))[EDGE]["files"][NFT]
    assert "udp dport { 10-30 }" in text
    assert "tcp dport { 443 }" in text


def test_an_empty_vpn_list_of_classes_renders_no_edge() -> None:
    desired = three_tiers(vpns=(a_vpn(peers=None, classes=()),))
    assert documents(render(desired))[EDGE]["clients"]["interfaces"] == []


def test_addresses_are_of_the_block_of_their_adjacency() -> None:
    blocks = [IPv4Network((int(IPv4Address("100.96.0.0")) + n * 8192, 19)) for n in range(3)]
    for document in documents(render(three_tiers())).values():
        for interface in document["interfaces"]:
            if interface["kind"] == "tunnel":
                number = int(re.findall(r"\d+", interface["name"])[0])
                assert IPv4Address(interface["address"]) in blocks[number]


def test_the_health_check_is_taken_from_where_the_load_balancer_stands_and_from_nowhere_else() -> None:
    desired = three_tiers()
    entries = {str(s.cidr) for s in desired.network.subnets if s.kind is SubnetKind.ENTRY}
    for document in documents(render(desired)).values():
        allowed = re.findall(r"add element inet ecm health_checkers \{ (\S+) \}", document["files"][NFT])
        assert set(allowed) == entries
