"""What an agent takes, tries, confirms, takes back and refuses, on a recorded machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecm import signing
from ecm.agent.keys import own_key, public_of
from ecm.agent.version import HOST_FILES
from ecm.model.rendered import ConfigObject
from tests.unit.agent_nodes import KEY, PRIVATE, SLOT, OneNode, Recorded, changed, publish, rendered

NFT, BIRD = "/etc/ecm/nftables.conf", "/etc/ecm/bird.conf"


@pytest.fixture
def one(tmp_path: Path) -> OneNode:
    """A node with a first version in use."""
    publish(tmp_path / "config", 10)
    node = OneNode(tmp_path)
    node.pass_time(8)
    assert node.node.health.healthy, node.node.status()
    return node


def as_it_stands(node: OneNode) -> tuple[object, ...]:
    machine = node.machine
    return machine.ruleset, dict(machine.tunnels), sorted(machine.links), node.machinery.host.path(BIRD).read_text()


def test_a_first_version_is_applied_confirmed_and_kept(one: OneNode) -> None:
    document = json.loads(rendered().nodes[0].base.text)
    assert sorted(one.machine.links) == sorted(d["name"] for d in document["interfaces"])
    assert one.machine.ruleset == document["files"][NFT]
    assert one.state.good() == one.node.good
    assert one.state.on_trial() is None
    edge = next(text for name, text in one.machine.tunnels.items() if name.startswith("edge"))
    assert f"PrivateKey = {PRIVATE}" in edge
    published = one.config / "keys" / "edge" / "us-east-1a" / "0" / "g1.pub"
    assert published.read_text().strip() == public_of(own_key(one.state.node_key))


def test_the_firewall_stands_before_the_first_interface(one: OneNode) -> None:
    calls = [c[:2] if c[0] == "nft" else c[:3] for c in one.machine.calls]
    assert calls.index(("nft", "-f")) < calls.index(next(c for c in calls if c[:3] == ("ip", "link", "add")))


def test_no_key_is_written_below_root_or_stands_on_a_command_line(one: OneNode) -> None:
    own = own_key(one.state.node_key)
    assert not [c for c in one.machine.calls for word in c if own in word or PRIVATE in word]
    files = [p for p in (one.folder / "root").rglob("*") if p.is_file()]
    assert files
    assert not [p for p in files if own in p.read_text() or PRIVATE in p.read_text()]
    assert not [p for p in files if "wireguard" in str(p)]
    assert not [name for name in HOST_FILES if (one.folder / "root" / name[1:]).exists()]


def test_the_same_version_again_or_a_later_serial_touches_nothing(one: OneNode) -> None:
    one.machine.calls.clear()
    publish(one.config, 11)
    one.pass_time(5)
    assert one.state.accepted().serial == 11  # type: ignore[union-attr]
    assert not one.machine.said("nft", "-f")
    assert not one.machine.said("wg", "syncconf")
    assert not [c for c in one.machine.calls if "configure" in " ".join(c)]


def test_only_what_differs_is_given_to_its_tool(one: OneNode) -> None:
    one.machine.calls.clear()
    publish(one.config, 11, changed(lambda d: d["files"].update({BIRD: d["files"][BIRD] + "# more\n"})))
    one.pass_time(8)
    assert next(c[-1] for c in one.machine.calls if "configure" in c[-1]).endswith("timeout 20")
    assert "configure confirm" in [c[-1] for c in one.machine.calls]
    assert not one.machine.said("nft", "-f")
    assert not one.machine.said("wg", "syncconf")


def unsigned(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")


def truncated(folder: Path) -> None:
    data = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(data[: len(data) // 2])


def oversize(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (9 << 20))


def a_strangers(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d["files"].update({NFT: "flush"})), signing.new_key())


def replayed(folder: Path) -> None:
    publish(folder, 9, changed(lambda d: d["files"].update({NFT: "flush"})))


def the_same_serial(folder: Path) -> None:
    other = changed(lambda d: d["files"].update({NFT: "flush"}))
    signing.publish(folder, other, ("dev", 10, "sha256:" + "0" * 64), KEY)


def another_stacks(folder: Path) -> None:
    signing.publish(folder, rendered().objects, ("prod", 11, "sha256:" + "0" * 64), KEY)


def object_changed_after_signing(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d["files"].update({NFT: "flush"})))
    path = folder / "nodes" / SLOT / "g1" / "base.json"
    path.write_text(path.read_text().replace("flush", "flush ruleset"))


def object_missing(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d["files"].update({NFT: "flush"})))
    (folder / "nodes" / SLOT / "g1" / "base.json").unlink()


def not_named(folder: Path) -> None:
    publish(folder, 11, [o for o in rendered().objects if SLOT not in o.key])


def a_neighbours(folder: Path) -> None:
    other = next(o for o in rendered().objects if o.key == "nodes/edge/us-east-1b/0/g1/base.json")
    mine = [o for o in rendered().objects if SLOT not in o.key]
    publish(folder, 11, [*mine, ConfigObject(key=f"nodes/{SLOT}/g1/base.json", text=other.text)])


def unknown_field(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d.update({"run": "rm -rf /"})))


def another_file(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d["files"].update({"/etc/ecm/../shadow": "root::0:0:::::"})))


def a_rights_file(folder: Path) -> None:
    publish(folder, 11, changed(lambda d: d["files"].update({"/etc/sudoers.d/ecm": "ALL"})))


def clients_elsewhere(folder: Path) -> None:
    peers = {"version": 1, "vpn": "corp", "peers": [{"id": "a", "public_key": PRIVATE, "address": "192.0.2.1"}]}
    rest = [o for o in rendered().objects if "peers" not in o.key]
    publish(folder, 11, [*rest, ConfigObject(key="vpns/corp/peers.json", text=json.dumps(peers))])


def two_clients_one_address(folder: Path) -> None:
    keys = [public_of(PRIVATE), PRIVATE]
    rows = [{"id": n, "public_key": k, "address": "10.200.0.9"} for n, k in zip("ab", keys, strict=True)]
    rest = [o for o in rendered().objects if "peers" not in o.key]
    text = json.dumps({"version": 1, "vpn": "corp", "peers": rows})
    publish(folder, 11, [*rest, ConfigObject(key="vpns/corp/peers.json", text=text)])


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (unsigned, "not a signed envelope"),
        (truncated, "not a signed envelope"),
        (oversize, "more than"),
        (a_strangers, "no trusted key"),
        (replayed, "older than 10"),
        (the_same_serial, "two plans have serial 10"),
        (another_stacks, "of stack prod"),
        (object_changed_after_signing, "is not what was signed"),
        (object_missing, "is not there"),
        (not_named, "does not name"),
        (a_neighbours, "is for dev/edge/us-east-1b/0"),
        (unknown_field, "run: Extra inputs"),
        (another_file, "no such file"),
        (a_rights_file, "no such file"),
        (clients_elsewhere, "is outside"),
        (two_clients_one_address, "share a key or an address"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_not_this_nodes_signed_configuration_changes_nothing(attack, said: str, one: OneNode) -> None:
    before, good = as_it_stands(one), one.node.good
    one.machine.calls.clear()
    attack(one.config)
    one.pass_time(5)
    assert said in one.problem, one.problem
    assert as_it_stands(one) == before
    assert not [c for c in one.machine.calls if c[:2] in (("nft", "-c"), ("nft", "-f"), ("wg", "syncconf"))]
    assert one.node.good == good
    assert one.node.health.healthy
    publish(one.config, 12)
    one.pass_time(3)
    assert one.problem == ""


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (NFT, "this is broken", "nft refuses"),
        ("/etc/sysctl.d/90-ecm.conf", "kernel.panic\n", "no kernel setting"),
        ("/etc/ecm/wireguard/d0k2n1.conf", "[Interface]\nPostUp = rm -rf /\n", "no setting that a tunnel has"),
        ("/etc/ecm/wireguard/d0k2n1.conf", "[Peer]\n", "begins with one"),
    ],
)
def test_what_a_tool_refuses_is_not_applied_and_not_tried_again(path: str, text: str, said: str, one: OneNode) -> None:
    before = as_it_stands(one)
    publish(one.config, 11, changed(lambda d: d["files"].update({path: text})))
    one.pass_time(3)
    assert said in str(one.node.status()["config"]["refused"])
    assert as_it_stands(one) == before
    one.machine.calls.clear()
    one.pass_time(10)
    assert not one.machine.said("nft", "-c")
    assert one.node.health.healthy


def test_a_version_without_a_path_is_taken_back_and_not_tried_again_until_it_changes(one: OneNode) -> None:
    before = as_it_stands(one)
    publish(one.config, 11, changed(lambda d: d["files"].update({NFT: d["files"][NFT] + "# cuts\n"})))
    one.machine.paths = False
    one.pass_time(5)
    assert one.node.trial is not None
    assert as_it_stands(one) != before
    one.pass_time(8)
    assert one.node.trial is None
    assert as_it_stands(one) == before
    one.machine.paths = True
    one.pass_time(10)
    assert as_it_stands(one) == before
    assert "path" in next(iter(one.state.refused().values()))
    one.node.retry()
    one.pass_time(8)
    assert one.machine.ruleset.endswith("# cuts\n")
    assert one.node.counts.confirmed == 2


def test_a_version_that_fails_half_way_is_taken_back_at_once(one: OneNode) -> None:
    before = as_it_stands(one)
    files = {NFT: one.machine.ruleset + "# new\n", BIRD: "define draining = 0;"}
    publish(one.config, 11, changed(lambda d: d["files"].update(files)))
    one.machine.broken.add("birdc -v")
    one.pass_time(2)
    one.machine.broken.clear()
    one.pass_time(8)
    assert as_it_stands(one) == before
    assert "could not be applied" in str(one.state.refused())


def test_an_agent_that_dies_while_it_tries_goes_back_to_what_was_good(one: OneNode) -> None:
    before, good = as_it_stands(one), one.node.good
    publish(one.config, 11, changed(lambda d: d["files"].update({NFT: d["files"][NFT] + "# deadly\n"})))
    one.pass_time(2)
    assert one.state.on_trial()
    again = OneNode(one.folder, one.machine)
    assert again.node.good == good
    again.pass_time(8)
    assert as_it_stands(again) == before
    assert "ended while it was tried" in str(again.state.refused())


def test_a_restart_without_source_goes_on_with_what_is_on_the_disk(one: OneNode) -> None:
    before = as_it_stands(one)
    (one.config / "manifest.json").unlink()
    one.machine.calls.clear()
    again = OneNode(one.folder, one.machine)
    again.pass_time(4)
    assert as_it_stands(again) == before
    assert again.node.health.healthy
    assert not one.machine.said("nft", "-f")
    assert "nothing was published" in again.problem


def test_damaged_state_counts_as_none(one: OneNode) -> None:
    held = json.loads((one.folder / "state" / "good.json").read_text())
    (one.folder / "state" / "good.json").write_text(json.dumps(held | {"base": held["base"] + " "}))
    assert OneNode(one.folder, one.machine).node.good is None


def test_what_others_change_is_mended(one: OneNode) -> None:
    before = as_it_stands(one)
    one.machine.ruleset = "flushed"
    del one.machine.links["d0k2n1"]
    one.pass_time(8)
    assert as_it_stands(one) == before
    assert one.node.counts.mended >= 1


def test_what_was_mended_by_half_is_made_whole(one: OneNode) -> None:
    before = as_it_stands(one)
    del one.machine.links["d0k2n1"], one.machine.tunnels["d0k2n1"]
    one.machine.broken.add("wg syncconf")
    one.pass_time(2)
    assert "d0k2n1" in one.machine.links
    assert "d0k2n1" not in one.machine.tunnels
    one.machine.broken.clear()
    one.pass_time(8)
    assert as_it_stands(one) == before


def test_a_neighbours_key_is_used_when_it_comes_and_again_when_it_changes(one: OneNode) -> None:
    assert "[Peer]" not in one.machine.tunnels["d0k2n1"]
    path = one.config / "keys" / "out" / "us-east-1a" / "0" / "g1.pub"
    path.parent.mkdir(parents=True)
    path.write_text(public_of(PRIVATE) + "\n")
    one.pass_time(3)
    added = one.machine.said("wg", "addconf", "d0k2n1")
    assert added
    path.write_text("not a key at all, but a text that is long enough to be one\n")
    one.pass_time(3)
    assert "is not a public key" in str(one.feed.offered.problems)


def test_a_key_that_this_node_or_another_slot_has_is_refused(one: OneNode) -> None:
    for zone in "ab":
        path = one.config / "keys" / "out" / f"us-east-1{zone}" / "0" / "g1.pub"
        path.parent.mkdir(parents=True)
        path.write_text(public_of(PRIVATE))
    one.pass_time(3)
    assert "out/us-east-1b/0#1: its public key is out/us-east-1a/0#1's: refused" in str(one.feed.offered.problems)
    (one.config / "keys/out/us-east-1a/0/g1.pub").write_text(public_of(own_key(one.state.node_key)))
    one.pass_time(3)
    assert "this node's own: refused" in str(one.feed.offered.problems)


def test_secrets_that_others_may_read_are_not_used(tmp_path: Path) -> None:
    publish(tmp_path / "config", 10)
    node = OneNode(tmp_path)
    (tmp_path / "secrets" / "ecm" / "dev" / "edge" / "edge").chmod(0o644)
    node.pass_time(5)
    assert "others may read" in str(node.feed.offered.problems["secrets"])
    assert "keys: missing: @private:ecm/dev/edge/edge@" in node.node.health.why
    assert "edge1" not in node.machine.tunnels


def test_a_tunnel_without_its_preshared_key_gets_no_peer(tmp_path: Path) -> None:
    publish(tmp_path / "config", 10)
    node = OneNode(tmp_path)
    path = tmp_path / "config" / "keys" / "out" / "us-east-1a" / "0" / "g1.pub"
    path.parent.mkdir(parents=True)
    path.write_text(public_of(PRIVATE))
    (tmp_path / "secrets" / "ecm" / "dev" / "pair" / "edge" / "out").unlink()
    node.pass_time(5)
    assert "[Peer]" not in node.machine.tunnels["d0k2n1"]
    assert not node.machine.said("wg", "addconf")


def test_a_drain_turns_birds_switch_and_is_kept(one: OneNode) -> None:
    one.state.set_draining(1.0)
    one.pass_time(2)
    assert "define draining = 1;" in one.machinery.host.path(BIRD).read_text()
    assert one.node.health.why == "draining"
    again = OneNode(one.folder, one.machine)
    again.pass_time(2)
    assert not again.node.health.healthy
    again.state.set_draining(None)
    again.pass_time(2)
    assert "define draining = 0;" in one.machinery.host.path(BIRD).read_text()
    assert again.node.health.healthy


@pytest.mark.parametrize(("sibling", "healthy"), [(True, False), (False, True), (None, False)])
def test_panic_only_where_a_sibling_says_that_it_has_no_path_either(
    sibling: bool | None, healthy: bool, one: OneNode
) -> None:
    one.machine.paths = False
    one.pass_time(2, sibling=sibling)
    assert one.node.health.healthy is healthy
    assert not one.node.health.has_path


def test_a_machine_where_a_tool_is_broken_keeps_what_it_has(one: OneNode) -> None:
    before = as_it_stands(one)
    publish(one.config, 11, changed(lambda d: d["files"].update({NFT: d["files"][NFT] + "# new\n"})))
    one.machine.broken.add("bird")
    one.pass_time(3)
    assert as_it_stands(one) == before
    assert isinstance(one.machine, Recorded)
