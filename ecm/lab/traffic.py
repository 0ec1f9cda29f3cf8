"""The lab's traffic: thousands of flows of every application from its clients, answered by servers behind the exits.

One process with a socket in every namespace sends each flow's packets at its rate, answers them at the servers, and
records when each was sent, reached its server and came back.
"""

from __future__ import annotations

import socket
import time
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.lab.packets import Batch, Bytes, drain, enter, listening, sending
from ecm.lab.recording import SLOTS, Recording, open_recording
from ecm.lab.state import Client, Folder, Lab, Server

FIRST_PORT: Final = 16384
PORTS: Final = 16384
"""Source ports of the flows: below Linux's own range, so that nothing else on a client uses them."""
MAGIC: Final = 0x45434D31
PROBE: Final = 0xFFFFFFFF
"""Flow number of what assisted clients send: the servers answer it, and it is no part of the traffic."""
_TICK_S: Final = 0.005
_SIZES: Final = (160, 600, 1100)
"""Payload bytes, by application in turn: about voice, web and a bulk transfer."""
_IP, _UDP, _TCP = 20, 8, 20


def now() -> float:
    """Return the time as the kernel stamps arrivals."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def routes(lab: Lab) -> list[tuple[Client, Server]]:
    """Return the client and the server of every flow: every pair of a VPN in turn."""
    pairs = [(client, server) for client in lab.clients for server in lab.servers if server.vpn == client.vpn]
    return [pairs[flow % len(pairs)] for flow in range(lab.flows.count)]


class Flows:
    """The packet of every flow, ready to send but for its sequence number."""

    def __init__(self, lab: Lab) -> None:
        count = lab.flows.count
        self.count = count
        self.client = np.zeros(count, np.int64)
        self.size = np.zeros(count, np.int64)
        self.payload = np.zeros(count, np.int64)
        """Where the payload begins."""
        self.packets: Bytes = np.zeros((count, _IP + _TCP + max(_SIZES)), np.uint8)
        self.sequence = np.zeros(count, np.int64)
        self.port = np.zeros(count, np.uint16)
        for flow, (client, server) in enumerate(routes(lab)):
            tcp = server.protocol == "tcp"
            self.client[flow] = client.number
            self.payload[flow] = _IP + (_TCP if tcp else _UDP)
            self.size[flow] = self.payload[flow] + _SIZES[server.number % len(_SIZES)]
            head = _head(int(self.size[flow]), tcp=tcp)
            head += client.address.packed + server.address.packed
            head += b"\0\0" + server.port.to_bytes(2, "big")
            head += _tcp() if tcp else int(self.size[flow] - _IP).to_bytes(2, "big") + b"\0\0"
            head += MAGIC.to_bytes(4, "big") + flow.to_bytes(4, "big")
            self.packets[flow, : len(head)] = np.frombuffer(head, np.uint8)
        self._next_port = 0
        self.renew(np.arange(count))

    def renew(self, flows: npt.NDArray[np.int64]) -> None:
        """Give `flows` new source ports: to every node they are new."""
        ports = FIRST_PORT + (self._next_port + np.arange(len(flows))) % PORTS
        self._next_port += len(flows)
        self.port[flows] = ports
        self.packets[flows, _IP] = ports >> 8
        self.packets[flows, _IP + 1] = ports & 0xFF

    def made(self, flows: npt.NDArray[np.int64]) -> Bytes:
        """Return the next packet of each of `flows`, one row each."""
        packets = self.packets[flows]
        rows, at = np.arange(len(flows)), self.payload[flows] + 8
        for byte in range(4):
            packets[rows, at + byte] = (self.sequence[flows] >> (24 - 8 * byte)) & 0xFF
        tcp = packets[:, 9] == socket.IPPROTO_TCP
        if tcp.any():
            packets[tcp] = _summed(packets[tcp], self.size[flows][tcp])
        return packets


def _head(size: int, *, tcp: bool) -> bytes:
    """Return an IPv4 header up to the addresses; the kernel fills in the identification and the checksum."""
    protocol = socket.IPPROTO_TCP if tcp else socket.IPPROTO_UDP
    return bytes([0x45, 0]) + size.to_bytes(2, "big") + bytes([0, 0, 0x40, 0, 64, protocol, 0, 0])


def _tcp() -> bytes:
    """Return the rest of a TCP header after the ports: data in the middle of a connection."""
    return bytes([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0])


def _summed(packets: Bytes, size: npt.NDArray[np.int64]) -> Bytes:
    """Return TCP packets with their checksum: connection tracking takes none without."""
    words = packets[:, _IP:].astype(np.int64)
    words[:, 16:18] = 0
    total = (words[:, 0::2] * 256 + words[:, 1::2]).sum(axis=1)
    addresses = packets[:, 12:20].astype(np.int64)
    total = total + (addresses[:, 0::2] * 256 + addresses[:, 1::2]).sum(axis=1)
    total = total + socket.IPPROTO_TCP + (size - _IP)
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    check = ~total & 0xFFFF
    packets[:, _IP + 16] = check >> 8
    packets[:, _IP + 17] = check & 0xFF
    return packets


def read(packets: Bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (row, flow, sequence number) of those of `packets` that are the lab's own."""
    if not len(packets):
        none = np.zeros(0, np.int64)
        return none, none, none
    rows = np.arange(len(packets))
    at = np.where(packets[:, 9] == socket.IPPROTO_TCP, _IP + _TCP, _IP + _UDP)
    fields = [_word(packets, rows, at + 4 * field) for field in range(3)]
    mine = np.flatnonzero(fields[0] == MAGIC)
    return mine, fields[1][mine], fields[2][mine]


def _word(packets: Bytes, rows: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    value = np.zeros(len(rows), np.int64)
    for byte in range(4):
        value = value * 256 + packets[rows, at + byte]
    return value


class Traffic:
    """The running traffic."""

    def __init__(self, folder: Folder, lab: Lab) -> None:
        self._lab = lab
        self._flows = Flows(lab)
        self._recording: Recording = open_recording(folder.recording, lab.flows.count)
        self._batch = Batch()
        self._clients: dict[int, tuple[socket.socket, socket.socket]] = {}
        for client in lab.clients:
            enter(folder.client_space(client))
            device = folder.client_device(client)
            self._clients[client.number] = (sending(device), listening(device))
        enter(folder.world)
        self._server = (sending("eth0"), listening("eth0"))
        enter(folder.net)
        for _, sock in (*self._clients.values(), self._server):
            drain(sock)
        interval = 1 / lab.flows.packets_per_s
        start = now()
        # Flows start evenly over the interval, and end evenly over the lifetime.
        spread = np.arange(self._flows.count) / self._flows.count
        self._due = start + spread * interval
        self._ends = start + (1 + spread) * (lab.flows.lifetime_s or np.inf)

    def run(self) -> None:
        """Carry the traffic until the process is ended."""
        while True:
            begun = now()
            self._send(begun)
            self._answer()
            for _, sock in self._clients.values():
                self._note(sock, self._recording.back)
            time.sleep(max(0.0005, _TICK_S - (now() - begun)))

    def _send(self, at: float) -> None:
        flows = np.flatnonzero(self._due <= at)
        if not len(flows):
            return
        if self._lab.flows.lifetime_s:
            over = flows[self._ends[flows] <= at]
            self._flows.renew(over)
            self._ends[over] += self._lab.flows.lifetime_s
        packets = self._flows.made(flows)
        slots = self._flows.sequence[flows] % SLOTS
        self._recording.there[flows, slots] = 0
        self._recording.back[flows, slots] = 0
        self._recording.port[flows, slots] = self._flows.port[flows]
        self._recording.sent[flows, slots] = at
        self._flows.sequence[flows] += 1
        self._due[flows] += 1 / self._lab.flows.packets_per_s
        owners = self._flows.client[flows]
        for number, (sock, _) in self._clients.items():
            self._batch.send(sock, packets[owners == number])

    def _answer(self) -> None:
        sender, listener = self._server
        while len(packets := self._note(listener, self._recording.there)):
            answers = packets.copy()
            answers[:, 12:16], answers[:, 16:20] = packets[:, 16:20], packets[:, 12:16]
            answers[:, 20:22], answers[:, 22:24] = packets[:, 22:24], packets[:, 20:22]
            answers[:, 8] = 64
            self._batch.send(sender, answers)

    def _note(self, sock: socket.socket, times: npt.NDArray[np.float64]) -> Bytes:
        packets, arrived = self._batch.receive(sock)
        rows, flows, sequence = read(packets)
        known = flows < self._flows.count
        times[flows[known], sequence[known] % SLOTS] = arrived[rows[known]]
        return packets[rows]
