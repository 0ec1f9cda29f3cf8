"""What every node's files promise, whatever the stack: responders only, drop by default, no metadata address."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ecm.model.plan import Desired, NodeState
from tests.golden.stacks import STACKS, stack_desired
from tests.unit.render_states import (
    documents,
    one_tier,
    render,
    replace_slot,
    three_tiers,
    with_second_generation,
    with_state,
)

STATES: dict[str, Desired] = {
    "one-tier": one_tier(),
    "three-tiers": three_tiers(),
    "replacing": replace_slot(three_tiers(), "mid/us-east-1a/0", with_second_generation),
    "draining": with_state(three_tiers(), "out/us-east-1a/0", NodeState.DRAINING),
} | {stack: stack_desired(stack) for stack in STACKS}
NFT, BIRD, SYSCTL = "/etc/ecm/nftables.conf", "/etc/ecm/bird.conf", "/etc/sysctl.d/90-ecm.conf"


@pytest.fixture(scope="module", params=STATES, ids=str)
def state(request: pytest.FixtureRequest) -> tuple[Desired, dict[str, dict[str, Any]]]:
    desired = STATES[request.param]
    return desired, documents(render(desired))


def _wireguard(document: dict[str, Any], kind: str) -> dict[str, str]:
    devices = [d for d in document["interfaces"] if d["kind"] == kind]
    return {d["name"]: document["files"][d["config"]] for d in devices}


def test_the_edge_shares_one_key_and_only_responds(state: tuple[Desired, dict[str, dict[str, Any]]]) -> None:
    desired, found = state
    for tier in (t for t in desired.tiers if t.role == "ingress"):
        documents_ = [d for d in found.values() if d["node"]["tier"] == tier.id]
        assert len({d["keys"]["edge"]["secret"] for d in documents_}) == 1
        for document in documents_:
            edges = _wireguard(document, "edge")
            assert edges
            ports = {re.search(r"ListenPort = (\d+)", text)[1] for text in edges.values()}
            firewall = document["files"][NFT]
            for text in edges.values():
                assert f"PrivateKey = {document['keys']['edge']['token']}\n" in text
                assert not re.search(r"^(Endpoint|PersistentKeepalive)", text, re.MULTILINE)
            assert set(re.findall(r"inet ecm edge_ports \{ (\d+) \}", firewall)) == ports
            output = _chain(firewall, "output")
            assert "policy accept" in output
            assert 'oifname "ens5" udp sport @edge_ports @th,64,8 0x1 counter drop' in output


def test_no_other_tier_has_an_edge(state: tuple[Desired, dict[str, dict[str, Any]]]) -> None:
    desired, found = state
    ingress = {t.id for t in desired.tiers if t.role == "ingress"}
    for document in (d for d in found.values() if d["node"]["tier"] not in ingress):
        assert document["keys"]["edge"] is None
        assert document["clients"] is None
        assert not _wireguard(document, "edge")
        assert "add element inet ecm edge_ports" not in document["files"][NFT]


def test_neighbouring_tiers_are_a_full_mesh_of_one_way_named_tunnels(
    state: tuple[Desired, dict[str, dict[str, Any]]],
) -> None:
    desired, found = state
    nodes = {t.id: {(s.id, n.generation) for s in t.slots for n in s.nodes} for t in desired.tiers}
    for pair in desired.adjacencies:
        for one, other in ((pair.upstream, pair.downstream), (pair.downstream, pair.upstream)):
            for document in (d for d in found.values() if d["node"]["tier"] == one):
                prefix = f"{'d' if one == pair.upstream else 'u'}{pair.number}k"
                texts = [t for name, t in _wireguard(document, "tunnel").items() if name.startswith(prefix)]
                reached: dict[str, int] = {}
                for text in texts:
                    assert "AllowedIPs = 0.0.0.0/0" in text
                    token = re.search(r"PublicKey = @public:(\S+)@", text)[1]
                    reached[token] = reached.get(token, 0) + 1
                assert set(reached) == {f"{slot}#{generation}" for slot, generation in nodes[other]}
                assert len(set(reached.values())) == 1
                assert pair.tunnels <= min(reached.values()) <= 4


def _chain(ruleset: str, name: str) -> str:
    return re.search(rf"^  chain {name} \{{\n(.*?)^  \}}", ruleset, re.MULTILINE | re.DOTALL)[1]


def test_input_and_forward_drop_by_default_and_count_what_they_drop(
    state: tuple[Desired, dict[str, dict[str, Any]]],
) -> None:
    for document in state[1].values():
        firewall = document["files"][NFT]
        for name in ("input", "forward"):
            chain = _chain(firewall, name)
            assert f"hook {name} priority filter; policy drop;" in chain
            assert re.search(r"\n    counter comment \"drop:(input|forward)\"$", chain.rstrip())
            assert f'limit rate 10/minute burst 5 packets log prefix "ecm-{name}-drop "' in chain
        assert "dport 22" not in firewall


def test_packets_of_tunnels_reach_no_metadata_address_and_come_from_their_own_side(
    state: tuple[Desired, dict[str, dict[str, Any]]],
) -> None:
    desired, found = state
    vpns = {v.id: str(v.client_cidr) for v in desired.vpns}
    for document in found.values():
        firewall, clients = document["files"][NFT], vpns[document["node"]["vpn"]]
        spoofs = _chain(firewall, "antispoof")
        assert "hook prerouting priority raw" in spoofs
        assert (
            'iifname { "edge*", "u*", "d*" } ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16 } counter drop' in spoofs
        )
        assert f'iifname "edge*" ip saddr != {clients} counter drop' in spoofs
        assert f'iifname "d*" ip saddr {clients} counter drop' in spoofs
        forward = _chain(firewall, "forward").splitlines()
        assert forward[1].strip() == 'ip daddr 169.254.0.0/16 counter drop comment "drop:metadata"'
        assert "tcp flags & (syn | rst) == syn tcp option maxseg size set 1380" in _chain(firewall, "forward")


def test_classes_wait_before_encryption_and_their_tunnels_say_so_outside(
    state: tuple[Desired, dict[str, dict[str, Any]]],
) -> None:
    desired, found = state
    for document in found.values():
        files = document["files"]
        names = [d["name"] for d in document["interfaces"]]
        batch = files["/etc/ecm/tc/classes.batch"]
        assert re.findall(r"qdisc replace dev (\S+) root handle 1: htb", batch) == names
        assert "ens5" not in batch
        queues = set(re.findall(r"classid 1:(\d+) htb", batch)) - {"1", "2"}
        for number in queues:
            assert f"meta priority set 1:{number}" in files[NFT]
        for item in desired.classes:
            mark = f"0x{item.number << 28:08x}"
            assert f"add element inet ecm outer_classes {{ {mark} : jump dscp_{item.number} }}" in files[NFT]
            assert f"ip dscp set {item.dscp}\n" in _chain(files[NFT], f"dscp_{item.number}")
        for text in (files[d["config"]] for d in document["interfaces"]):
            assert re.search(r"^FwMark = 0x[1-9a-f]0000000$", text, re.MULTILINE)


def test_routing_is_ospf_with_bfd_and_weights_on_every_tunnel(state: tuple[Desired, dict[str, dict[str, Any]]]) -> None:
    for document in state[1].values():
        text = document["files"][BIRD]
        tunnels = {d["name"] for d in document["interfaces"] if d["kind"] == "tunnel"}
        ways = re.findall(r'interface "(\S+?)" \{ type ptp; cost 10; ecmp weight (\d+); bfd yes;', text)
        assert {name for name, _ in ways} == tunnels
        assert all(1 <= int(weight) <= 256 for _, weight in ways)
        assert "min rx interval 200 ms; min tx interval 200 ms; idle tx interval 1 s; multiplier 3;" in text


def test_a_nodes_own_zone_has_the_heaviest_weights() -> None:
    for document in documents(render(three_tiers())).values():
        ways = re.findall(r'interface "(\S+?)" \{ type ptp; cost 10; ecmp weight (\d+);', document["files"][BIRD])
        weights = {name: int(weight) for name, weight in ways}
        for device in (d for d in document["interfaces"] if d["kind"] == "tunnel"):
            peer = re.search(r"PublicKey = @public:\S+?/(\S+?)/", document["files"][device["config"]])[1]
            assert (weights[device["name"]] == 256) == (peer == document["node"]["zone"])


@pytest.mark.parametrize(
    "line",
    [
        "net.ipv4.ip_forward = 1",
        "net.ipv4.conf.all.rp_filter = 2",
        "net.ipv4.conf.all.send_redirects = 0",
        "net.ipv4.conf.default.accept_redirects = 0",
        "net.ipv4.conf.default.accept_source_route = 0",
        "net.ipv4.fib_multipath_hash_policy = 1",
        "net.ipv4.tcp_syncookies = 1",
        "net.netfilter.nf_conntrack_tcp_timeout_established = 7440",
        "kernel.unprivileged_bpf_disabled = 1",
        "kernel.core_pattern = |/bin/false",
        "fs.suid_dumpable = 0",
    ],
)
def test_the_kernel_is_set_for_forwarding_and_for_keeping_keys(line: str) -> None:
    for document in documents(render(three_tiers())).values():
        assert line in document["files"][SYSCTL].splitlines()


def test_user_data_starts_the_agent_and_nothing_else() -> None:
    data = yaml.safe_load(render(three_tiers()).nodes[0].user_data)
    assert data == {
        "ssh_pwauth": False,
        "disable_root": True,
        "package_update": False,
        "package_upgrade": False,
        "runcmd": [["systemctl", "enable", "--now", "ecm-agent.service"]],
    }
