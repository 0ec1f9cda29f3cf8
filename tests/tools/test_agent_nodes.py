"""The real agent on running nodes: a chain comes up, clients move, bad configuration changes nothing, drains."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ecm.agent.keys import public_of
from ecm.model.rendered import ConfigObject, Rendered
from tests.tools.namespaces import inside, need, run, until
from tests.tools.running_nodes import CLIENT, Nodes, WireGuardClient, running_nodes, two_tiers
from tests.unit.render_states import documents, render

pytestmark = [pytest.mark.tools, pytest.mark.slow]

EDGE_A, EDGE_B = "edge/us-east-1a/0#1", "edge/us-east-1b/0#1"
OUT_A, OUT_B = "out/us-east-1a/0#1", "out/us-east-1b/0#1"
FORWARD, REPLY = 1002, 1302
ECHO = """
import socket
s = socket.create_server(("203.0.113.10", 443)); print("ready", flush=True)
while True:
    c, a = s.accept(); c.sendall(a[0].encode()); c.close()
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nodes, WireGuardClient, Rendered]]:
    need("bird", "birdc", "nft", "ip", "wg", "wireguard-go", "unshare")
    with running_nodes(tmp_path_factory.mktemp("nodes")) as (nodes, client):
        echo = subprocess.Popen(
            ["ip", "netns", "exec", nodes.world, sys.executable, "-c", ECHO], stdout=subprocess.PIPE
        )
        assert echo.stdout
        assert echo.stdout.readline() == b"ready\n"
        try:
            until(lambda: all(nodes.healthy(key) for key in nodes.spaces), 90, "every node answers 200")
            edge = documents(render(two_tiers()))[EDGE_A]["keys"]["edge"]["secret"]
            server = public_of((nodes.secrets / edge).read_text())
            client.connect(server, address(nodes, EDGE_A), 51820)
            until(lambda: CLIENT in nodes.routes(EDGE_A, 900), 20, "the client's route stands where it connected")
            until(client.reaches_server, 30, "the client reaches the server through the chain")
            yield nodes, client, render(two_tiers(client.table), client.table)
        finally:
            echo.kill()
            echo.wait()


def address(nodes: Nodes, key: str) -> str:
    """A node's private address."""
    rows = json.loads(inside(nodes.spaces[key], "ip", "-j", "addr", "show", "dev", "ens5"))
    return str(rows[0]["addr_info"][0]["local"])


def server_key(nodes: Nodes) -> str:
    """The public key that all ingress nodes share."""
    edge = documents(render(two_tiers()))[EDGE_A]["keys"]["edge"]["secret"]
    return public_of((nodes.secrets / edge).read_text())


def test_every_layer_is_green_and_metrics_name_the_application(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, client, _ = started
    assert client.reaches_server()
    status = nodes.agent(EDGE_A, "status")
    assert status["healthy"]
    assert {name: row["ok"] for name, row in status["layers"].items()} == dict.fromkeys(status["layers"], True)
    _, page = nodes.get(EDGE_A, "/metrics")
    found = re.search(r'ecm_traffic_bytes_total\{vpn="corp",application="web",chain="fast",.*"original"\} (\d+)', page)
    assert found
    assert int(found[1]) > 100
    assert 'ecm_client_routes{vpn="corp"} 1' in page
    assert nodes.get(EDGE_A, "/secrets")[0] == 404


def test_keys_stay_on_the_node_and_no_file_holds_one(started: tuple[Nodes, WireGuardClient, Rendered]) -> None:
    nodes, _, _ = started
    shared = [p.read_text().strip() for p in nodes.secrets.rglob("*") if p.is_file()]
    own = [(nodes.home(key) / "state" / "node.key").read_text().strip() for key in nodes.spaces]
    assert len({*shared, *own}) == 6
    for key in nodes.spaces:
        home = nodes.home(key)
        assert (home / "state" / "node.key").stat().st_mode & 0o777 == 0o600
        for file in (f for f in home.rglob("*") if f.is_file() and f.name not in ("node.key", "secrets.json")):
            text = file.read_text(errors="replace")
            assert not [secret for secret in (*shared, *own) if secret in text], file
        assert (home / "run" / "secrets.json").stat().st_mode & 0o777 == 0o600
    published = {p.read_text().strip() for p in (nodes.config / "keys").rglob("*.pub")}
    assert published == {public_of(private) for private in own}


def test_a_client_that_moves_takes_its_route_along_within_a_second_or_two(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, client, _ = started
    client.move(server_key(nodes), address(nodes, EDGE_B), 51820)
    until(lambda: CLIENT in nodes.routes(EDGE_B, 900), 5, "the new node claims the client")
    moved = until(lambda: f"{CLIENT} via 100.96" in reply(nodes, EDGE_B), 5, "the egress tier turns to it")
    gone = until(lambda: CLIENT not in nodes.routes(EDGE_A, 900), 5, "the old node withdraws")
    assert moved + gone < 4
    until(client.reaches_server, 5, "connections pass through the new node")
    client.move(server_key(nodes), address(nodes, EDGE_A), 51820)
    until(lambda: CLIENT in nodes.routes(EDGE_A, 900), 5, "it may go back")
    # OSPF announces a change up to 5 s late where the node announced another one just before (MinLSInterval).
    until(lambda: CLIENT not in nodes.routes(EDGE_B, 900), 9, "the other withdraws")
    until(client.reaches_server, 5, "connections pass again")


def reply(nodes: Nodes, edge: str) -> str:
    """The route to the client on an egress node, where it leads to `edge`."""
    peer = 1 if edge == EDGE_A else 3
    return next((r for r in nodes.routes(OUT_A, REPLY).splitlines() if CLIENT in r and f"n{peer} " in r), "")


def test_a_restart_of_the_agent_ends_no_session_and_loads_nothing_again(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, client, _ = started
    before = nodes.wg(EDGE_A, "show", "all", "latest-handshakes"), links(nodes, EDGE_A), handle(nodes, EDGE_A)
    nodes.stop_agent(EDGE_A, signal.SIGKILL)
    assert client.reaches_server()
    nodes.start_agent(EDGE_A)
    until(lambda: nodes.healthy(EDGE_A), 30, "the node answers again")
    assert client.reaches_server()
    assert links(nodes, EDGE_A) == before[1]
    assert handle(nodes, EDGE_A) == before[2]
    after = handshakes(nodes.wg(EDGE_A, "show", "all", "latest-handshakes"))
    assert all(after[place] >= when for place, when in handshakes(before[0]).items())


def handshakes(shown: str) -> dict[tuple[str, str], int]:
    """The last handshake by interface and peer."""
    return {(row[0], row[1]): int(row[2]) for row in (line.split("\t") for line in shown.splitlines())}


def links(nodes: Nodes, key: str) -> dict[str, int]:
    """Every interface and its index: one that was made again has another."""
    rows = json.loads(run("ip", "-n", nodes.spaces[key], "-j", "link", "show"))
    return {row["ifname"]: row["ifindex"] for row in rows}


def handle(nodes: Nodes, key: str) -> int:
    """The handle of the loaded table: another after each load."""
    shown = json.loads(inside(nodes.spaces[key], "nft", "-j", "list", "tables"))["nftables"]
    return next(row["table"]["handle"] for row in shown if row.get("table", {}).get("name") == "ecm")


@pytest.mark.parametrize("part", ["nftables.conf", "bird.conf", "wireguard/d0k2n1.conf", "sysctl.d/90-ecm.conf"])
def test_a_signed_but_broken_file_is_refused_before_anything_is_touched(
    part: str, started: tuple[Nodes, WireGuardClient, Rendered]
) -> None:
    nodes, client, rendered = started
    before = links(nodes, EDGE_A), handle(nodes, EDGE_A), nodes.wg(EDGE_A, "show", "all", "dump").count("\n")
    nodes.publish(rendered, objects=with_file(rendered, part, "this is { no configuration\n"))
    until(lambda: nodes.agent(EDGE_A, "status")["config"]["refused"] != {}, 10, "the version is refused")
    assert client.reaches_server()
    assert nodes.healthy(EDGE_A)
    assert (links(nodes, EDGE_A), handle(nodes, EDGE_A)) == before[:2]
    nodes.publish(rendered)


def with_file(rendered: Rendered, part: str, text: str) -> list[ConfigObject]:
    """All objects, one file of EDGE_A's replaced."""
    found = []
    for item in rendered.objects:
        if item.key == "nodes/edge/us-east-1a/0/g1/base.json":
            document = json.loads(item.text)
            path = next(p for p in document["files"] if p.endswith(part))
            document["files"][path] = text
            found.append(ConfigObject(key=item.key, text=json.dumps(document)))
        else:
            found.append(item)
    return found


def test_a_version_that_cuts_the_node_off_is_taken_back(started: tuple[Nodes, WireGuardClient, Rendered]) -> None:
    """It is well-formed for every tool, but the node's tunnels lead nowhere: only the probe can tell."""
    nodes, client, rendered = started
    document = documents(rendered)[EDGE_A]
    text = document["files"]["/etc/ecm/nftables.conf"]
    lost = re.sub(r"add element inet ecm tunnels .*\n", "", text)
    lost = lost.replace("ct state established,related accept", "ct state related accept")
    assert lost != text
    nodes.publish(rendered, objects=with_file(rendered, "nftables.conf", lost))
    until(lambda: not nodes.agent(EDGE_A, "status")["config"]["confirmed"], 10, "the version is on trial")
    until(lambda: nodes.agent(EDGE_A, "status")["config"]["refused"] != {}, 25, "it is taken back")
    until(lambda: nodes.healthy(EDGE_A), 20, "the last good version stands")
    until(client.reaches_server, 20, "and carries traffic")
    nodes.publish(rendered)


@pytest.mark.parametrize("how", ["unsigned", "truncated", "older", "oversize"])
def test_what_is_not_signed_or_is_a_replay_changes_nothing(
    how: str, started: tuple[Nodes, WireGuardClient, Rendered]
) -> None:
    nodes, client, rendered = started
    manifest = nodes.config / "manifest.json"
    good = manifest.read_bytes()
    until(lambda: nodes.agent(EDGE_A, "status")["problems"] == {}, 10, "quiet")
    if how == "older":
        nodes.publish(rendered, serial=nodes.serial)
        serial = nodes.serial
        nodes.publish(rendered, serial=0, objects=with_file(rendered, "nftables.conf", "flush ruleset\n"))
        nodes.serial = serial
    else:
        bad = {"unsigned": b"{}", "truncated": good[: len(good) // 2], "oversize": good + b" " * (9 << 20)}[how]
        manifest.write_bytes(bad)
    until(lambda: "config" in nodes.agent(EDGE_A, "status")["problems"], 10, "the problem is told")
    assert nodes.healthy(EDGE_A)
    assert client.reaches_server()
    nodes.publish(rendered)
    until(lambda: nodes.agent(EDGE_A, "status")["problems"] == {}, 10, "quiet again")


def test_a_neighbour_key_that_another_slot_has_is_refused_and_a_new_one_is_taken(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, _, _ = started
    path = nodes.config / "keys" / "out" / "us-east-1a" / "0" / "g1.pub"
    true = path.read_text()
    path.write_text((nodes.config / "keys" / "out" / "us-east-1b" / "0" / "g1.pub").read_text())
    until(lambda: "keys" in nodes.agent(EDGE_A, "status")["problems"], 10, "a stolen identity is told")
    path.write_text(true)
    until(lambda: nodes.agent(EDGE_A, "status")["problems"] == {}, 10, "the true key is taken again")
    until(lambda: nodes.wg(EDGE_A, "show", "d0k2n1", "peers").strip() == true.strip(), 10, "it is in use")


def test_what_others_change_is_mended(started: tuple[Nodes, WireGuardClient, Rendered]) -> None:
    nodes, client, _ = started
    inside(nodes.spaces[EDGE_A], "nft", "flush", "table", "inet", "ecm")
    until(lambda: nodes.agent(EDGE_A, "status")["layers"]["firewall"]["ok"] and client.reaches_server(), 20, "rules")
    until(lambda: nodes.healthy(EDGE_A), 20, "healthy")


def test_a_drain_is_kept_over_a_restart_and_new_traffic_goes_elsewhere(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, client, _ = started
    assert nodes.agent(OUT_A, "drain")["drain"]["since_s"] < 5
    until(lambda: not nodes.healthy(OUT_A), 10, "a draining node answers 503")
    for edge in (EDGE_A, EDGE_B):
        until(lambda edge=edge: "d0k2n1" not in nodes.routes(edge, FORWARD), 15, "its neighbours leave it")
    until(client.reaches_server, 10, "what is new takes the other node")
    nodes.stop_agent(OUT_A)
    nodes.start_agent(OUT_A)
    until(lambda: "draining" in nodes.get(OUT_A, "/healthz")[1], 30, "it drains after a restart, too")
    nodes.agent(OUT_A, "undrain")
    until(lambda: nodes.healthy(OUT_A), 20, "and takes traffic again")
    until(lambda: "d0k2n1" in nodes.routes(EDGE_A, FORWARD), 15, "its neighbours come back")


def test_an_ingress_node_without_a_path_is_red_unless_none_has_one(
    started: tuple[Nodes, WireGuardClient, Rendered],
) -> None:
    nodes, _, _ = started
    cut = "add table inet cut; add chain inet cut in { type filter hook input priority -400; }; "
    cut += 'add rule inet cut in iifname "ens5" udp dport 20000-20999 drop'
    inside(nodes.spaces[EDGE_A], "nft", cut)
    until(lambda: not nodes.healthy(EDGE_A), 15, "its sibling has a path")
    assert "path" in nodes.get(EDGE_A, "/healthz")[1]
    inside(nodes.spaces[EDGE_B], "nft", cut)
    until(lambda: nodes.healthy(EDGE_A) and nodes.healthy(EDGE_B), 15, "none has a path: both answer 200")
    assert nodes.agent(EDGE_A, "status")["panic"]
    for key in (EDGE_A, EDGE_B):
        inside(nodes.spaces[key], "nft", "delete", "table", "inet", "cut")
    until(lambda: not nodes.agent(EDGE_A, "status")["panic"] and nodes.healthy(EDGE_A), 30, "paths are back")


def test_an_agent_is_small(started: tuple[Nodes, WireGuardClient, Rendered]) -> None:
    """80 MiB is what a node gives its agent: the largest that the kernel has seen of each process."""
    nodes, _, _ = started
    for key, agent in nodes.agents.items():
        text = open(f"/proc/{agent.pid}/status", encoding="ascii").read()  # noqa: PTH123, SIM115
        resident = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert resident, key
        assert int(resident[1]) < 80 * 1024


def test_a_tunnel_that_others_remove_is_made_again(started: tuple[Nodes, WireGuardClient, Rendered]) -> None:
    """Again at once: what comes and goes within OSPF's MinLSInterval must not be left out for good."""
    nodes, _, _ = started
    for _ in range(2):
        run("ip", "-n", nodes.spaces[EDGE_B], "link", "del", "d0k2n3")
        until(lambda: "d0k2n3" in links(nodes, EDGE_B), 20, "the interface is made again")
        until(lambda: "d0k2n3" in nodes.routes(EDGE_B, FORWARD), 30, "and carries traffic again")
