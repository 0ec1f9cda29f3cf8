"""An assisted client: it probes through its tunnel, and when answers stop it takes another way at once.

WireGuard itself notices after 15 s, and sends from the port that it has: a load balancer goes on sending those packets
where it sent them before. The assistance needs `wg` only. Four probes without an answer, and the tunnel gets a new
source port and with it a handshake; where that is not answered, the next port, until one leads to a node that lives.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Final

from ecm.lab.clients import add_peer, handshake, remove_peer
from ecm.lab.commands import run
from ecm.lab.errors import LabError
from ecm.lab.state import Client, Folder, Lab
from ecm.lab.traffic import MAGIC, PROBE

EVERY_S: Final = 0.2
MISSED: Final = 4
"""Longer than the tiers behind the entry take to heal themselves: that is no reason to move."""
ANSWER_S: Final = 0.25
"""A node that lives answers a handshake within this, or the next port is tried."""
GRACE_S: Final = 4.0
"""After a handshake: so long the return route may take before the client moves once more."""
_FIRST_PORT, _PORTS = 42000, 18000


class Assistant:
    """Watches one client's tunnel."""

    def __init__(self, folder: Folder, lab: Lab, client: Client) -> None:
        server = next((s for s in lab.servers if s.vpn == client.vpn and s.protocol == "udp"), None)
        if server is None:
            raise LabError(f"client {client.id}: VPN {client.vpn} has no application over UDP to probe")
        self._folder, self._lab, self._client = folder, lab, client
        self._device = folder.client_device(client)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((str(server.address), server.port))
        self._sequence = 0

    def run(self) -> None:
        """Watch until the process is ended."""
        heard = time.monotonic() + GRACE_S
        while True:
            if self._probe():
                heard = max(heard, time.monotonic())
            if time.monotonic() - heard > MISSED * EVERY_S:
                self._move()
                heard = time.monotonic() + GRACE_S

    def _probe(self) -> bool:
        """Send a probe and wait for its turn to end; whether any answer has come."""
        self._sequence += 1
        end = time.monotonic() + EVERY_S
        answered = False
        with suppress(OSError):
            self._socket.send(struct.pack("!III", MAGIC, PROBE, self._sequence))
        while (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                with suppress(OSError):
                    answered = self._socket.recv(100)[:4] == struct.pack("!I", MAGIC) or answered
        return answered

    def _move(self) -> None:
        """Take new source ports until a node answers a handshake."""
        while True:
            remove_peer(self._folder, self._lab, self._client)
            run("wg", "set", self._device, "listen-port", str(_FIRST_PORT + secrets.randbelow(_PORTS)))
            add_peer(self._folder, self._lab, self._client)
            end = time.monotonic() + ANSWER_S
            with suppress(OSError):
                self._socket.send(struct.pack("!III", MAGIC, PROBE, 0))
            while time.monotonic() < end:
                if handshake(self._folder, self._client):
                    return
                time.sleep(0.02)
