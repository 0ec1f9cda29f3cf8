"""The lab's arithmetic and rules, without a network."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

from ecm.lab import Flows, Folder, LabError, built_in
from ecm.lab.balancer import Target, ruleset, targets
from ecm.lab.recording import SLOTS, between, losses, open_recording
from ecm.lab.servers import servers_of
from ecm.lab.state import Client, Condition, Lab
from ecm.lab.traffic import Flows as Packets
from ecm.lab.traffic import read
from ecm.lab.world import with_condition
from ecm.model.fleet import WayIn
from ecm.model.plan import Desired
from ecm.render import configs
from tests.builders import a_route
from tests.unit.render_states import TEMPLATES, three_tiers


def a_lab(desired: Desired | None = None, flows: int = 12) -> Lab:
    desired = desired or built_in("2-2-2")
    clients = tuple(
        Client(
            id=f"client{n}",
            vpn="corp",
            number=n,
            public_key="",
            address=IPv4Address(f"10.200.0.{10 + n}"),
            assisted=False,
        )
        for n in range(2)
    )
    return Lab(
        desired=desired,
        clients=clients,
        servers=servers_of(desired),
        flows=Flows(count=flows, packets_per_s=2, lifetime_s=0),
    )


@pytest.mark.parametrize("name", ["1", "2-2", "2-2-2", "3-3-3", "2-9-4"])
def test_a_built_in_fleet_renders_with_the_nodes_that_its_name_says(name: str) -> None:
    desired = built_in(name)
    assert [len(t.slots) for t in desired.tiers] == [int(n) for n in name.split("-")]
    assert len(configs(desired, (), templates=TEMPLATES).nodes) == sum(int(n) for n in name.split("-"))


@pytest.mark.parametrize("name", ["", "0-1", "2-2-2-2", "2-10-2", "two", "2-2-"])
def test_another_name_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(LabError, match="such as 2-2-2"):
        built_in(name)


def test_a_fleet_that_grows_keeps_every_slot_as_it_was() -> None:
    before, after = built_in("2-2-2"), built_in("2-3-2")
    kept = {s.id: s for t in after.tiers for s in t.slots}
    assert all(kept[s.id] == s for t in before.tiers for s in t.slots)


def test_new_flows_are_spread_over_healthy_targets_and_over_all_when_none_is() -> None:
    lab = a_lab()
    known = {t.node: t for t in targets(lab)}
    one, two = known.values()
    assert f"mod 2 seed 16 map {{ 0 : {one.address}, 1 : {two.address} }}" in ruleset(lab, known)
    one.healthy, two.healthy = False, True
    assert f"mod 1 seed 16 map {{ 0 : {two.address} }}" in ruleset(lab, known)
    two.healthy = False
    assert "mod 2" in ruleset(lab, known)


def test_two_checks_in_a_row_decide() -> None:
    target = Target("a", "corp", IPv4Address("10.0.0.1"))
    assert [target.note(ok) for ok in (True, True, False, True, False, False, False)] == [
        False, True, False, False, False, True, False,
    ]  # fmt: skip
    assert target.healthy is False


def test_packets_are_read_as_they_were_made_and_tcp_sums_hold() -> None:
    lab = a_lab()
    flows = Packets(lab)
    flows.sequence[:] = np.arange(12) * 70_000
    made = flows.made(np.arange(12))
    rows, numbers, sequence = read(made)
    assert list(rows) == list(numbers) == list(range(12))
    assert list(sequence) == [n * 70_000 for n in range(12)]
    tcp = made[made[:, 9] == 6]
    assert len(tcp)
    for packet in tcp:
        length = int(packet[2]) * 256 + int(packet[3])
        words = packet[20:length].astype(int)
        total = (words[0::2] * 256).sum() + words[1::2].sum() + 6 + length - 20
        ends = packet[12:20].astype(int)
        total += (ends[0::2] * 256 + ends[1::2]).sum()
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


def test_a_window_of_loss_is_what_the_receivers_missed(tmp_path: Path) -> None:
    recording = open_recording(tmp_path, 3)
    times = 1000 + np.arange(40) * 0.5
    recording.sent[:, :40] = times
    recording.back[:, :40] = times + 0.01
    recording.back[1, 10:14] = 0
    recording.back[2, [5, 6, 30]] = 0
    found = losses(between(open_recording(tmp_path), 1000, 2000), 0.5)
    assert list(found.flows) == [1, 2]
    assert found.windows == pytest.approx([2.0, 1.0])
    assert (found.sent, found.lost) == (120, 7)
    assert (found.first, found.last) == (1002.5, 1015.0)
    nothing = losses(between(recording, 1016, 2000), 0.5)
    assert (nothing.lost, nothing.first, len(nothing.windows)) == (0, 0.0, 0)
    assert SLOTS > 40


def test_an_application_has_a_server_that_no_narrower_one_claims() -> None:
    found = {s.application: s for s in servers_of(three_tiers())}
    assert found["web"].protocol == "tcp"
    assert (found["bulk"].protocol, found["bulk"].port) == ("udp", 9000)
    assert found["web"].address != found["bulk"].address
    routed = three_tiers(applications=(a_route("web", 1, chain="guarded", way_in=WayIn.VPC_ROUTE),))
    with pytest.raises(LabError, match="no traffic"):
        servers_of(routed)


def test_what_a_drill_did_is_remembered_and_forgotten() -> None:
    lab = with_condition(a_lab(), "lab-mid/us-east-1a/0#1", Condition.KILLED)
    assert lab.conditions == {"lab-mid/us-east-1a/0#1": Condition.KILLED}
    assert with_condition(lab, "lab-mid/us-east-1a/0#1", Condition.UP).conditions == {}


def test_a_folder_without_a_lab_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="ecm lab up"):
        Folder(tmp_path).read()
    folder = Folder(tmp_path)
    folder.write(a_lab())
    assert folder.read() == a_lab()
    (tmp_path / "lab.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(LabError, match="ecm lab down"):
        folder.read()
