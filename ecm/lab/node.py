"""A node of the lab: a network namespace with the real agent, which starts all else as it does on EC2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from ecm.lab.commands import end, inside, processes, run
from ecm.lab.errors import LabError
from ecm.lab.kernel import Kernel
from ecm.lab.state import Folder, write
from ecm.lab.underlay import Underlay, node_cable

NICENESS: Final = -15
"""The data plane goes before everything else on the machine: BFD counts 600 ms of silence as a dead neighbour."""
ONE_THREAD: Final = "GOMAXPROCS=1"
"""For wireguard-go: with dozens of them on a few cores, handing a packet from thread to thread is most of the work."""
_START: Final = 'mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -p /run/wireguard /run/bird && exec "$@"'


class Node:
    """One node generation of a lab, by `slot#generation`."""

    def __init__(self, folder: Folder, key: str, address: IPv4Address) -> None:
        self._folder = folder
        self.key = key
        self.address = address
        self.space = folder.space(key)
        self.disk = folder.node(key)

    @property
    def tier(self) -> str:
        """The tier that it belongs to."""
        return self.key.split("/", 1)[0]

    def install(self, underlay: Underlay, settings: Mapping[str, object], kernel: Kernel) -> None:
        """Make its namespace, its cable and its agent's settings."""
        run("ip", "netns", "add", self.space)
        underlay.plug(node_cable(self.space, self.address))
        slot, _, generation = self.key.partition("#")
        own = {
            "slot": slot,
            "generation": int(generation),
            "directories": {
                "root": str(self.disk / "root"),
                "state": str(self.disk / "state"),
                "run": "/run/ecm-agent",
            },
            "wireguard": {"implementation": "kernel" if kernel.kernel_wireguard else "userspace"},
            "bird": {"socket": "/run/bird/bird.ctl", "start": True},
        }
        for part in ("root", "state"):
            (self.disk / part).mkdir(parents=True, exist_ok=True)
        write(self.settings, json.dumps({**settings, **own}, indent=2).encode())
        # Packets of every flow: how a drill knows which flows a node carries. A node itself does not need it.
        inside(self.space, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_acct=1")

    @property
    def settings(self) -> Path:
        """The agent's settings file."""
        return self.disk / "agent.json"

    def start(self) -> None:
        """Start the agent; what it starts lives and dies with it, as on one machine."""
        command = [
            "ip", "netns", "exec", self.space, "env", ONE_THREAD,
            "nice", "-n", str(NICENESS),
            "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
            "sh", "-c", _START, "sh",
            *AGENT, "--settings", str(self.settings),
        ]  # fmt: skip
        background(command, self.disk / "agent.log")

    def kill(self) -> None:
        """End every process at once, as a power cut does."""
        end(self.space)

    def freeze(self, *, frozen: bool) -> None:
        """Stop every process where it stands, or let all go on."""
        for process in processes(self.space):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP if frozen else signal.SIGCONT)

    def enter(self, *command: str, check: bool = True) -> str:
        """Run a command as on the node, where its own sockets are."""
        for process in processes(self.space):
            return run("nsenter", "--target", str(process), "--net", "--mount", *command, check=check)
        if check:
            raise LabError(f"node {self.key} does not run")
        return ""


AGENT: Final = (sys.executable, "-m", "ecm.cli", "agent", "run")


def prefer(process: int) -> None:
    """Let a session go before others: where Linux schedules by session, niceness counts within one only."""
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(str(NICENESS))


def background(command: list[str], log: Path) -> None:
    """Start a process that outlives this one and prints to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        except OSError as error:
            raise LabError(f"{command[0]}: {error}") from error
    prefer(process.pid)
