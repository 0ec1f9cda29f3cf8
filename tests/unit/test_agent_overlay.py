"""What a node takes of overlays: from whom, until when, and never more than its base declares."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ecm import signing
from ecm.agent.choosing import Choices
from ecm.agent.firewall import Firewall, digest_of
from ecm.agent.overlay import Overlays
from ecm.agent.source import FolderSource
from ecm.agent.state import State
from ecm.model.document import Document
from ecm.model.manifest import Manifest
from ecm.signing.envelope import PAYLOAD_TYPE
from tests.builders import a_digest
from tests.overlays import NOW, SERVICE, an_overlay, asked, choosing
from tests.unit.agent_nodes import Recorded
from tests.unit.render_states import render

BASE_KEY = signing.new_key()
AT = NOW.timestamp() + 1


@cache
def document(slot: str = "edge/us-east-1a/0") -> Document:
    """The document of an ingress node, or of another."""
    found = next(node for node in render(choosing()).nodes if node.slot == slot)
    return Document.model_validate_json(found.base.text)


class Taker:
    """A node's overlay, with source, clock and machine in the test's hands."""

    def __init__(self, folder: Path, service: signing.SigningKey = SERVICE) -> None:
        self.folder = folder
        self.service = service
        self.machine = Recorded()
        self.restart()

    def restart(self) -> None:
        self.overlays = Overlays(FolderSource(self.folder), State(self.folder / "state"), (BASE_KEY.public,))
        self.choices = Choices(Firewall(self.machine, "nft"), self.overlays)

    def offer(self, data: bytes) -> None:
        path = self.folder / "vpns" / "corp" / "overlay.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def turn(self, now: float = AT, base: Document | None = None) -> str:
        """Pull and follow; what the map was told, empty where nothing was."""
        before = len(self.machine.said("nft", "-f"))
        self.overlays.pull(base or document(), now)
        self.choices.follow(base or document(), now)
        return self.machine.ruleset if len(self.machine.said("nft", "-f")) > before else ""

    def reasons(self) -> dict[str, int]:
        found: dict[str, int] = self.choices.status(AT)["refused"]
        return found


@pytest.fixture
def taker(tmp_path: Path) -> Taker:
    """A node whose new flows of `web` take the fast chain by overlay 10."""
    made = Taker(tmp_path)
    made.offer(signing.sign_overlay(an_overlay(serial=10), SERVICE))
    assert "0x10200001" in made.turn()
    return made


def test_a_choice_is_an_element_that_ends_with_its_overlay(taker: Taker) -> None:
    assert taker.machine.ruleset == (
        "flush map inet ecm choices\n"
        "add element inet ecm choices {\n"
        "0.0.0.0-255.255.255.255 . 0.0.0.0-255.255.255.255 . 0-255 . 0-65535 . 0x10100001 timeout 89s : 0x10200001\n"
        "}\n"
    )
    assert taker.machine.said("nft", "-c")
    assert taker.choices.status(AT) == {
        "serial": 10,
        "base": an_overlay().base,
        "rules": 1,
        "lost": [],
        "ends_in_s": 89.0,
        "refused": {},
        "problem": "",
    }


def test_the_same_overlay_touches_nothing_and_a_new_one_replaces_all_of_it(taker: Taker) -> None:
    assert taker.turn() == ""
    one_client = asked("fast", source=IPv4Network("10.200.0.7/32"), ports=("tcp/443",))
    taker.offer(signing.sign_overlay(an_overlay(one_client, serial=11), SERVICE))
    said = taker.turn()
    assert said.startswith("flush map inet ecm choices\n")
    assert "\n10.200.0.7 . 0.0.0.0-255.255.255.255 . 6 . 443 . 0x10100001 timeout 89s : 0x10200001\n" in said


def test_an_overlay_that_says_the_same_is_written_anew_only_where_its_elements_wear_out(taker: Taker) -> None:
    for serial, seconds, said in ((11, 20, False), (12, 40, False), (13, 60, True), (14, 80, False)):
        later = an_overlay(serial=serial, now=NOW + timedelta(seconds=seconds))
        taker.offer(signing.sign_overlay(later, SERVICE))
        assert ("timeout 89s" in taker.turn(AT + seconds)) == said
        assert taker.choices.status(AT)["serial"] == serial


def test_elements_never_outlive_their_overlay(taker: Taker) -> None:
    taker.offer(signing.sign_overlay(an_overlay(serial=11, not_after=NOW + timedelta(seconds=10)), SERVICE))
    assert "timeout 9s" in taker.turn()
    assert taker.turn() == ""


def test_what_is_worn_out_goes_on_as_long_as_its_overlay(taker: Taker) -> None:
    taker.offer(signing.sign_overlay(an_overlay(serial=11, now=NOW + timedelta(seconds=40)), SERVICE))
    assert taker.turn(AT + 40) == ""
    assert "timeout 83s" in taker.turn(AT + 46)
    assert taker.turn(AT + 92) == "", "there is nothing newer"
    assert taker.turn(AT + 130) == "flush map inet ecm choices\n"


def test_at_its_end_the_map_is_empty_and_the_base_stands(taker: Taker) -> None:
    assert taker.turn(AT + 88) == ""
    assert taker.turn(AT + 90) == "flush map inet ecm choices\n"
    assert taker.choices.status(AT + 90)["serial"] is None
    assert taker.turn(AT + 91) == ""


def test_a_chain_without_a_way_from_here_is_not_chosen_until_it_has_one(taker: Taker) -> None:
    taker.offer(
        signing.sign_overlay(an_overlay(asked("fast"), asked("guarded", application="bulk"), serial=11), SERVICE)
    )
    assert taker.turn().count("timeout") == 2
    for tables, marks in (({1001}, {"0x20100002"}), (set(), set()), ({1001, 1002}, {"0x20100002", "0x10200001"})):
        taker.choices.look(document(), tables.__contains__)
        said = taker.turn()
        assert {line.rstrip(",").rsplit(" ", 1)[1] for line in said.splitlines() if " : " in line} == marks
        assert taker.turn() == ""
    assert not taker.choices.unseen
    taker.choices.look(document(), lambda _: False)
    assert taker.choices.status(AT)["lost"] == ["fast", "guarded"]


def test_another_ruleset_begins_empty_and_is_filled_at_once(taker: Taker) -> None:
    taker.choices._firewall.load("table inet ecm {}")
    assert "0x10200001" in taker.turn()


def garbage(_: Taker) -> bytes:
    return b"\x00{"


def cut_off(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11), SERVICE)[:-20]


def oversize(_: Taker) -> bytes:
    return b" " * (5 << 20)


def a_strangers(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11), signing.new_key())


def the_bases(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11), BASE_KEY)


def forged(_: Taker) -> bytes:
    envelope = json.loads(signing.sign_overlay(an_overlay(serial=11), signing.new_key()))
    envelope["signatures"][0]["keyid"] = SERVICE.public
    return json.dumps(envelope).encode()


def changed(_: Taker) -> bytes:
    envelope = json.loads(signing.sign_overlay(an_overlay(serial=11), SERVICE))
    body = base64.b64decode(envelope["payload"]).replace(b'"serial":11', b'"serial":12')
    return json.dumps(envelope | {"payload": base64.b64encode(body).decode()}).encode()


def as_a_manifest(_: Taker) -> bytes:
    manifest = Manifest(stack="dev", serial=11, plan=a_digest(), objects=())
    return signing.sign(manifest, [SERVICE])


def replayed(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(asked("guarded"), serial=9), SERVICE)


def the_same_serial(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(asked("guarded"), serial=10), SERVICE)


def expired(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11, now=NOW - timedelta(seconds=100)), SERVICE)


def from_the_future(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11, now=NOW + timedelta(seconds=60)), SERVICE)


def too_long(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11, not_after=NOW + timedelta(days=1)), SERVICE)


def another_stacks(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11, stack="prod"), SERVICE)


def another_vpns(_: Taker) -> bytes:
    return signing.sign_overlay(an_overlay(serial=11, vpn="other"), SERVICE)


def rule(**changes) -> bytes:
    overlay = an_overlay(serial=11)
    moved = overlay.rules[0].model_dump() | changes
    return signing.sign_overlay(an_overlay(serial=11, rules=(moved,)), SERVICE)


def unknown_mark(_: Taker) -> bytes:
    return rule(mark="0x10300001")


def another_applications_mark(_: Taker) -> bytes:
    return rule(mark="0x20200002")


def unknown_chain(_: Taker) -> bytes:
    return rule(chain="gone")


def unknown_class(_: Taker) -> bytes:
    return rule(traffic_class="silver")


def a_chain_that_is_not_secure_enough(_: Taker) -> bytes:
    return rule(application="secret", mark="0x10200003")


def hostile_text(_: Taker) -> bytes:
    overlay = an_overlay(serial=11)
    bad = overlay.rules[0].model_copy(update={"mark": "0x10200001 }; flush ruleset; #"})
    return signing.sign_overlay(overlay.model_copy(update={"rules": (bad,)}), SERVICE)


ATTACKS = [
    (garbage, "signature", "not a signed envelope"),
    (cut_off, "signature", "not a signed envelope"),
    (a_strangers, "signature", "no trusted key"),
    (the_bases, "signature", "no trusted key"),
    (forged, "signature", "not valid"),
    (changed, "signature", "not valid"),
    (as_a_manifest, "signature", "not a signed envelope of type"),
    (replayed, "serial", "older than 10"),
    (the_same_serial, "serial", "two overlays have serial 10"),
    (expired, "expired", "has ended"),
    (from_the_future, "future", "more than 30 s ahead"),
    (too_long, "future", "longer than 300 s"),
    (another_stacks, "stack", "of prod, VPN corp"),
    (another_vpns, "stack", "VPN other"),
    (unknown_mark, "undeclared", "with mark 0x10300001"),
    (another_applications_mark, "undeclared", "with mark 0x20200002"),
    (unknown_chain, "undeclared", "take chain gone"),
    (unknown_class, "undeclared", "in class silver"),
    (a_chain_that_is_not_secure_enough, "undeclared", "secret take chain fast"),
    (hostile_text, "signature", "not of a known version"),
]


@pytest.mark.parametrize(("attack", "reason", "said"), ATTACKS, ids=lambda v: v.__name__ if callable(v) else "")
def test_what_is_not_an_overlay_for_this_node_is_refused_counted_once_and_changes_nothing(
    attack, reason: str, said: str, taker: Taker
) -> None:
    taker.offer(attack(taker))
    assert [taker.turn() for _ in range(3)] == ["", "", ""]
    assert taker.reasons() == {reason: 1}
    assert said in taker.choices.status(AT)["problem"]
    assert taker.choices.status(AT)["serial"] == 10
    taker.offer(signing.sign_overlay(an_overlay(asked("guarded"), serial=12), SERVICE))
    assert taker.turn()
    assert taker.choices.status(AT)["problem"] == ""


@pytest.mark.parametrize(
    "attack", [a for a, *_ in ATTACKS if a not in (replayed, the_same_serial)], ids=lambda v: v.__name__
)
def test_a_node_that_holds_none_takes_none_of_them_either(attack, tmp_path: Path) -> None:
    taker = Taker(tmp_path)
    taker.offer(attack(taker))
    taker.turn()
    assert "add element" not in taker.machine.ruleset
    assert taker.choices.status(AT)["serial"] is None


def test_too_large_an_object_is_not_read(taker: Taker) -> None:
    taker.offer(oversize(taker))
    assert taker.turn() == ""
    assert "more than" in taker.choices.status(AT)["problem"]


def test_a_replay_is_refused_after_a_restart_and_the_same_overlay_is_taken_again(taker: Taker) -> None:
    same = signing.sign_overlay(an_overlay(serial=10), SERVICE)
    taker.offer(replayed(taker))
    taker.restart()
    assert taker.turn() == "", "what the agent before it has made stays until its end"
    assert taker.reasons() == {"serial": 1}
    taker.offer(same)
    assert "0x10200001" in taker.turn()


def test_serials_of_a_key_that_is_withdrawn_bind_nobody(taker: Taker) -> None:
    taker.offer(signing.sign_overlay(an_overlay(serial=1 << 62), SERVICE))
    taker.turn()
    new = signing.new_key()
    base = document().model_copy(update={"overlay": document().overlay.model_copy(update={"signers": (new.public,)})})
    assert taker.turn(base=base) == "flush map inet ecm choices\n", "nor does what it has signed before"
    taker.offer(signing.sign_overlay(an_overlay(asked("guarded"), serial=11), new))
    assert taker.turn(base=base)
    assert taker.choices.status(AT)["serial"] == 11


def test_without_signers_in_the_base_no_overlay_is_asked_for(taker: Taker) -> None:
    plain = document().model_copy(update={"overlay": None})
    assert taker.turn(base=plain) == ""
    assert taker.overlays.held is None
    assert document("out/us-east-1a/0").overlay is None, "only ingress nodes mark new flows"


def test_a_base_that_no_longer_has_the_chain_empties_the_map(taker: Taker) -> None:
    terms = document().overlay
    fewer = tuple(
        item.model_copy(update={"choices": tuple(c for c in item.choices if c.chain != "fast")})
        for item in terms.applications
    )
    base = document().model_copy(update={"overlay": terms.model_copy(update={"applications": fewer})})
    assert taker.turn(base=base) == "flush map inet ecm choices\n"
    assert taker.reasons() == {"undeclared": 1}
    assert "0x10200001" in taker.turn(), "and under the base before it stands again"


def test_what_nft_refuses_leaves_the_base_alone_and_is_not_tried_again(taker: Taker, monkeypatch) -> None:
    taker.offer(signing.sign_overlay(an_overlay(asked("guarded"), serial=11), SERVICE))
    answer = taker.machine._nft
    broken = lambda words, text: answer(words, "this is broken" if "add element" in text else text)  # noqa: E731
    monkeypatch.setattr(taker.machine, "_nft", broken)
    assert taker.turn() == "flush map inet ecm choices\n"
    assert taker.reasons() == {"ruleset": 1}
    assert taker.turn() == ""


def test_an_overlay_key_signs_no_manifest_and_a_base_key_no_overlay() -> None:
    manifest = Manifest(stack="dev", serial=1, plan=a_digest(), objects=())
    with pytest.raises(signing.SignatureError, match="no trusted key"):
        signing.open_envelope(signing.sign(manifest, [SERVICE]), [BASE_KEY.public])
    envelope = json.loads(signing.sign_overlay(an_overlay(), BASE_KEY))
    renamed = json.dumps(envelope | {"payloadType": PAYLOAD_TYPE}).encode()
    with pytest.raises(signing.SignatureError, match="not valid"):
        signing.open_envelope(renamed, [BASE_KEY.public])


def test_what_is_chosen_is_no_part_of_what_the_ruleset_is_known_by() -> None:
    held = {"name": "choices", "flags": ["interval", "timeout"]}
    assert digest_of([{"map": held}]) == digest_of([{"map": held | {"elem": [["10.0.0.1", 1]]}}])
    plain = {"name": "forwards"}
    assert digest_of([{"map": plain}]) != digest_of([{"map": plain | {"elem": [["0x1", 1]]}}])
