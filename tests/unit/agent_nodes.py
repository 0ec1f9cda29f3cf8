"""A node's agent with a recorded machine: every tool's answer is made here, every call is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecm import signing
from ecm.agent.apply import Machinery
from ecm.agent.feed import Feed
from ecm.agent.keys import FolderSecrets, SharedKeys
from ecm.agent.node import Node
from ecm.agent.pull import Puller
from ecm.agent.settings import Settings
from ecm.agent.shell import ToolError
from ecm.agent.source import FolderSource
from ecm.agent.state import State
from ecm.agent.version import Identity
from ecm.model.base import digest_bytes
from ecm.model.rendered import ConfigObject, Rendered
from tests.tools.running_nodes import two_tiers
from tests.unit.render_states import render

KEY = signing.new_key()
SLOT = "edge/us-east-1a/0"
WHO = Identity("dev", SLOT, 1)
PRIVATE = "gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE="


def rendered() -> Rendered:
    """Two tiers of two nodes, without clients."""
    return render(two_tiers())


def publish(
    folder: Path, serial: int, objects: list[ConfigObject] | None = None, key: signing.SigningKey = KEY
) -> None:
    """Sign and publish; by default what is rendered."""
    found = rendered().objects if objects is None else objects
    signing.publish(folder, found, ("dev", serial, digest_bytes(b"%d" % serial)), key)


def changed(change: Callable[[dict[str, Any]], Any], slot: str = SLOT) -> list[ConfigObject]:
    """All objects, one node's document changed."""
    found = []
    for item in rendered().objects:
        if item.key == f"nodes/{slot}/g1/base.json":
            document = json.loads(item.text)
            change(document)
            found.append(ConfigObject(key=item.key, text=json.dumps(document)))
        else:
            found.append(item)
    return found


@dataclass
class Recorded:
    """A machine in memory: interfaces, one ruleset, BIRD; `broken` names tools that refuse, `paths` BFD's sessions."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    tunnels: dict[str, str] = field(default_factory=dict)
    ruleset: str = ""
    broken: set[str] = field(default_factory=set)
    paths: bool = True

    def launch(self, *command: str) -> None:
        self.run(*command)

    def run(self, *command: str, stdin: str | None = None, timeout: float = 30) -> str:  # noqa: ARG002 - nothing here takes time
        self.calls.append(command)
        tool = command[0]
        if tool in self.broken or " ".join(command[:2]) in self.broken:
            raise ToolError(command, f"{tool} is broken")
        answer: dict[str, Callable[[tuple[str, ...], str], str]] = {
            "ip": self._ip,
            "nft": self._nft,
            "wg": self._wg,
            "birdc": self._birdc,
        }
        return answer.get(tool, lambda *_: "")(command[1:], stdin or "")

    def _ip(self, words: tuple[str, ...], _: str) -> str:
        if words[:3] == ("-j", "addr", "show"):
            return json.dumps(list(self.links.values()))
        if words[:2] == ("link", "add"):
            self.links[words[2]] = {"ifname": words[2], "flags": [], "mtu": 0, "addr_info": []}
        if words[:2] == ("link", "del"):
            del self.links[words[2]]
        if words[:2] == ("link", "set"):
            flags = ["UP", "MULTICAST"] if "on" in words else ["UP"]
            self.links[words[2]] |= {"mtu": int(words[4]), "flags": flags}
        if words[:2] == ("addr", "add"):
            self.links[words[-1]]["addr_info"] = [{"family": "inet", "local": words[2], "address": words[4]}]
        return "[]"

    def _nft(self, words: tuple[str, ...], stdin: str) -> str:
        if "this is broken" in stdin:
            raise ToolError(("nft",), "syntax error")
        if words[0] == "-f":
            self.ruleset = stdin
        if words[0] == "-j":
            if not self.ruleset:
                raise ToolError(("nft",), "No such file or directory")
            return json.dumps({"nftables": [{"table": {"name": "ecm", "handle": 1, "text": self.ruleset}}]})
        return ""

    def _wg(self, words: tuple[str, ...], stdin: str) -> str:
        if words[0] == "setconf":
            raise ToolError(("wg",), "Unable to modify interface: No such device")
        if words[0] == "syncconf":
            self.tunnels[words[1]] = stdin
        if words[0] == "show" and words[-1] == "dump":
            return self._dump(words[1])
        return ""

    def _dump(self, name: str) -> str:
        rows = dict(line.split(" = ") for line in self.tunnels.get(name, "").splitlines() if " = " in line)
        private, port, mark = rows.get("PrivateKey", "(none)"), rows.get("ListenPort", "0"), rows.get("FwMark", "off")
        head = f"{private}\t(none)\t{port}\t{mark}\n"
        if "PublicKey" not in rows:
            return head
        psk, end = rows.get("PresharedKey", "(none)"), rows.get("Endpoint", "(none)")
        return head + f"{rows['PublicKey']}\t{psk}\t{end}\t{rows['AllowedIPs']}\t0\t0\t0\toff\n"

    def _birdc(self, words: tuple[str, ...], _: str) -> str:
        if words[-1] == "show bfd sessions" and self.paths:
            return "".join(f"100.96.0.1  {n}  Up  10:00  0.200  0.600\n" for n in self.links if n.startswith("d"))
        return "Reconfigured\n"

    def said(self, *start: str) -> list[tuple[str, ...]]:
        """The calls that began so."""
        return [c for c in self.calls if c[: len(start)] == start]


class OneNode:
    """The agent of one node, with clock and machine in the test's hands."""

    def __init__(self, folder: Path, machine: Recorded | None = None) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.machine = machine or Recorded()
        self.now = 100.0
        secrets = folder / "secrets"
        for name in ("ecm/dev/edge/edge", "ecm/dev/pair/edge/out"):
            path = secrets / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PRIVATE)
            path.chmod(0o600)
        secrets.chmod(0o700)
        run = folder / "run"
        run.mkdir(exist_ok=True)
        self.settings = Settings.model_validate(
            {
                "directories": {"root": folder / "root", "state": folder / "state", "run": run, "proc_sys": folder},
                "intervals": {"config_s": 1, "keys_s": 1, "confirm_s": 10},
            }
        )
        self.state = State(folder / "state")
        source = FolderSource(self.config)
        puller = Puller(source, WHO, (KEY.public,), self.state.accepted())
        self.feed = Feed(source, SharedKeys(FolderSecrets(secrets), run), puller, self.state)
        self.machinery = Machinery(self.machine, self.settings)
        self.node = Node(self.settings, self.state, self.feed, self.machinery)
        self.node.start(self.now)

    def pass_time(self, seconds: float, *, sibling: bool | None = None) -> None:
        """Let the agent work for so long, a second at a time."""
        for _ in range(round(seconds)):
            self.now += 1
            current = self.node.current
            self.feed.turn(self.now, self.settings, current.document if current else None)
            self.node.step(self.now)
            self.node.look(self.now, ask=lambda *_: sibling)

    @property
    def problem(self) -> str:
        """What is wrong with what the source offers."""
        return " ".join(self.feed.offered.problems.get("config", ()))
