"""Many packets with one system call: sendmmsg and recvmmsg over numpy buffers, with the kernel's arrival times.

Python handles a packet at a time too slowly for thousands of flows; whole batches as arrays cost next to nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.lab.errors import LabError

Bytes = npt.NDArray[np.uint8]
Seconds = npt.NDArray[np.float64]

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET: Final = 0x40000000
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_SNDBUFFORCE: Final = 32
_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_ETH_P_IP: Final = 0x0800
_MSG_DONTWAIT: Final = 0x40
_BUFFER: Final = 8 << 20
_SIZE: Final = 1500
_CONTROL: Final = 64

# struct mmsghdr of 64-bit Linux.
_MMSGHDR: Final = np.dtype(
    [
        ("name", "<u8"), ("namelen", "<u4"), ("_1", "<u4"), ("iov", "<u8"), ("iovlen", "<u8"),
        ("control", "<u8"), ("controllen", "<u8"), ("flags", "<i4"), ("_2", "<i4"), ("len", "<u4"), ("_3", "<u4"),
    ]
)  # fmt: skip
_IOVEC: Final = np.dtype([("base", "<u8"), ("len", "<u8")])
_ADDRESS: Final = np.dtype([("family", "<u2"), ("port", ">u2"), ("address", "u1", 4), ("_", "u1", 8)])


def enter(space: str) -> None:
    """Move this thread into a network namespace; sockets that it has made stay where they were made."""
    descriptor = os.open(Path("/run/netns") / space, os.O_RDONLY)
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
            raise LabError(f"cannot enter namespace {space}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


@contextmanager
def visiting(space: str) -> Iterator[None]:
    """Let this thread make sockets in a network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(space)
        yield
    finally:
        _LIBC.setns(home, _CLONE_NEWNET)
        os.close(home)


def listening(device: str) -> socket.socket:
    """Return a socket that gets every IPv4 packet arriving at `device`, with the kernel's time of arrival."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    sock.bind((device, _ETH_P_IP))
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    return sock


def sending(device: str) -> socket.socket:
    """Return a socket that sends IPv4 packets, headers and all, out of `device`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
    return sock


class Batch:
    """Room for packets on their way in or out."""

    def __init__(self, room: int = 1024) -> None:
        self.room = room
        self.data: Bytes = np.zeros((room, _SIZE), np.uint8)
        self._iov = np.zeros(room, _IOVEC)
        self._names = np.zeros(room, _ADDRESS)
        self._control: Bytes = np.zeros((room, _CONTROL), np.uint8)
        self._messages = np.zeros(room, _MMSGHDR)
        at = np.arange(room, dtype=np.uint64)
        self._iov["base"] = self.data.ctypes.data + at * _SIZE
        self._messages["iov"] = self._iov.ctypes.data + at * _IOVEC.itemsize
        self._messages["iovlen"] = 1
        self._control_at = (self._control.ctypes.data + at * _CONTROL).astype(np.uint64)
        self._names_at = (self._names.ctypes.data + at * _ADDRESS.itemsize).astype(np.uint64)
        self._names["family"] = socket.AF_INET

    def receive(self, sock: socket.socket) -> tuple[Bytes, Seconds]:
        """Return the packets that wait, as rows, and when each arrived (seconds since the epoch)."""
        self._iov["len"] = _SIZE
        self._messages["name"] = 0
        self._messages["namelen"] = 0
        self._messages["control"] = self._control_at
        self._messages["controllen"] = _CONTROL
        got = _LIBC.recvmmsg(
            sock.fileno(), self._messages.ctypes.data_as(ctypes.c_void_p), self.room, _MSG_DONTWAIT, None
        )
        count = max(got, 0)
        stamps = self._control[:count, 16:32].copy().view("<i8")
        return self.data[:count], stamps[:, 0] + stamps[:, 1] / 1e9

    def send(self, sock: socket.socket, packets: Bytes) -> int:
        """Send `packets`, each of the length that its IP header says; the number that the kernel took."""
        done = 0
        for start in range(0, len(packets), self.room):
            part = packets[start : start + self.room]
            count = len(part)
            self.data[:count, : part.shape[1]] = part
            self._iov["len"][:count] = part[:, 2].astype(np.uint64) * 256 + part[:, 3]
            self._names["address"][:count] = part[:, 16:20]
            self._messages["name"] = self._names_at
            self._messages["namelen"] = _ADDRESS.itemsize
            self._messages["control"] = 0
            self._messages["controllen"] = 0
            done += self._send_all(sock, count)
        return done

    def _send_all(self, sock: socket.socket, count: int) -> int:
        """Send the first `count`; a packet that is refused is skipped, as one that the network loses."""
        done = sent = 0
        while done < count:
            at = self._messages.ctypes.data + done * _MMSGHDR.itemsize
            got = _LIBC.sendmmsg(sock.fileno(), ctypes.c_void_p(at), count - done, _MSG_DONTWAIT)
            if got < 0 and ctypes.get_errno() == errno.EINTR:
                continue
            sent += max(got, 0)
            done += max(got, 1)
        return sent


def drain(sock: socket.socket) -> None:
    """Drop what waits in a new socket: packets from before its settings stood."""
    with suppress(BlockingIOError):
        while True:
            sock.recv(1, socket.MSG_DONTWAIT)
