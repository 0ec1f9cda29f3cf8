"""Whatever a stolen service key signs, or anyone writes in its place: refused, or marks of the base on numbers."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.agent.overlay import Overlays, statements
from ecm.agent.source import FolderSource
from ecm.agent.state import State
from ecm.model.base import canonical_json
from ecm.model.contract import overlay_key
from ecm.signing.envelope import OVERLAY_TYPE
from tests.overlays import SERVICE, an_overlay, asked
from tests.unit.test_agent_overlay import AT, document

GOOD = json.loads(an_overlay(asked("fast", ports=("tcp/443",))).model_dump_json())
SPAN = r"[0-9.]+(?:-[0-9.]+)?"
WORD = "(0x[0-9a-f]{8})"
ELEMENT = re.compile(rf"{SPAN} \. {SPAN} \. {SPAN} \. {SPAN} \. {WORD} timeout [0-9]{{1,3}}s : {WORD},?")
MARKS = {c.mark for item in document().overlay.applications for c in item.choices}

hostile = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.none(),
    st.booleans(),
    st.lists(st.one_of(st.integers(), st.text(max_size=5), st.ip_addresses().map(str)), max_size=3),
    st.sampled_from(["0x10200001 }; flush ruleset", "0.0.0.0/0", "fast\n", "10.0.0.1-10.0.0.2", *sorted(MARKS)]),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(lambda a: [str(a), "255.255.255.255"]),
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)).map(sorted),
)
RULE = st.dictionaries(st.sampled_from([*GOOD["rules"][0], "run"]), hostile, max_size=3)
HEAD = st.dictionaries(st.sampled_from([k for k in GOOD if k != "rules"]), hostile, max_size=2)


def signed(payload: Any) -> bytes:
    """An envelope by the service's key, whatever it holds."""
    body = canonical_json(payload)
    encoded = b"DSSEv1 %d %s %d %s" % (len(OVERLAY_TYPE), OVERLAY_TYPE.encode(), len(body), body)
    signature = {"keyid": SERVICE.public, "sig": base64.b64encode(SERVICE.sign(encoded)).decode()}
    envelope = {"payload": base64.b64encode(body).decode(), "payloadType": OVERLAY_TYPE, "signatures": [signature]}
    return json.dumps(envelope).encode()


def told(data: bytes) -> str:
    """What a node's firewall would be told."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / overlay_key("corp")
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        overlays = Overlays(FolderSource(Path(folder)), State(Path(folder) / "state"), ())
        overlays.pull(document(), AT)
        assert (overlays.held is None) == bool(overlays.problem)
        return statements(overlays.held, document(), AT)


@given(st.lists(RULE, max_size=3), HEAD)
@settings(max_examples=300, deadline=None)
def test_what_a_service_signs_is_refused_or_chooses_marks_of_the_base(rules: list[dict], head: dict) -> None:
    text = told(signed(GOOD | head | {"rules": [GOOD["rules"][0] | rule for rule in rules]}))
    for line in text.splitlines():
        if line in ("flush map inet ecm choices", "add element inet ecm choices {", "}"):
            continue
        element = ELEMENT.fullmatch(line)
        assert element, line
        assert set(element.groups()) <= MARKS
        assert int(element[1], 16) & 0x3FF == int(element[2], 16) & 0x3FF, "of the same application"


@given(st.one_of(st.binary(max_size=200), st.recursive(hostile, st.lists).map(lambda v: json.dumps(v).encode())))
@settings(max_examples=100, deadline=None)
def test_what_is_no_overlay_at_all_is_refused(data: bytes) -> None:
    assert told(data) == "flush map inet ecm choices\n"


def test_the_fuzz_reaches_what_it_is_about() -> None:
    assert told(signed(GOOD)).count("timeout") == 1
