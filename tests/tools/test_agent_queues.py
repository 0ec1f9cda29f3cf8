"""The agent sets a node's queues on real interfaces, again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecm.agent.host import Host
from ecm.agent.settings import Directories, Settings, Tools
from ecm.agent.shell import Machine
from ecm.model.document import CLASSES_FILE, Document
from tests.tools.namespaces import inside, namespace, need, run
from tests.unit.render_states import documents, render, three_tiers

pytestmark = pytest.mark.tools


def test_queues_that_stand_are_set_again_without_being_made_again(tmp_path: Path) -> None:
    need("ip", "tc")
    document = Document.model_validate(documents(render(three_tiers()))["out/us-east-1a/0#1"])
    program = tmp_path / "tc"
    with namespace("ecmtc") as space:
        program.write_text(f'#!/bin/sh\nexec ip netns exec {space} tc "$@"\n')
        program.chmod(0o755)
        for device in document.interfaces:
            run("ip", "-n", space, "link", "add", device.name, "type", "bridge")
        host = Host(Machine(), Settings(tools=Tools(tc=str(program)), directories=Directories(root=tmp_path)))
        host.shape(document)
        name = document.interfaces[0].name
        before = inside(space, "tc", "class", "show", "dev", name)
        halved = document.files[CLASSES_FILE].replace("rate 2000000kbit", "rate 1000000kbit")
        assert halved != document.files[CLASSES_FILE]
        host.shape(document.model_copy(update={"files": document.files | {CLASSES_FILE: halved}}))
        after = inside(space, "tc", "class", "show", "dev", name)
    assert before.count("rate 2Gbit") > after.count("rate 2Gbit")
    assert before.count("class htb") == after.count("class htb") > 3
