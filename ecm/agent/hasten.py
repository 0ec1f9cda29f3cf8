"""Makes BIRD compute OSPF's routes where it would do so too late, or not at all.

A dead neighbour is left at once: BFD notices in 0.6 s, but BIRD computes routes once a second only. Reading its
configuration again, unchanged, makes it do so within 10 ms. Without the agent the node still leaves the neighbour, up
to a second later.

A neighbour that came back is taken up for sure. A node says at most every 5 s (MinLSInterval) what it is linked to: a
link that goes and returns within that time was never said to be gone, so nothing changes for BIRD, and it goes on with
the routes that it computed while the link was away (seen with 2.0.12: for minutes, until something else changed).
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

EVERY_S: Final = 0.1
"""Between two looks at BFD; a look is one line and its answer over BIRD's socket, well under a millisecond."""
RETURNED_S: Final = 6.0
"""From BFD's finding a neighbour to another computation: MinLSInterval, and a second of BIRD's."""
_RETRY_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
_LAST_LINE: Final = re.compile(r"^\d{4} ")
_UP: Final = re.compile(r"(\S+)\s+Up\s")


class Haste:
    """Watches BFD on one node."""

    def __init__(self, control: Path, may: Callable[[], bool]) -> None:
        """`control` is BIRD's socket; `may` says whether its configuration is one to read again: none is on trial."""
        self._control = control
        self._may = may
        self.hastened = 0

    def watch(self, stopping: threading.Event) -> None:
        """Watch until `stopping`; BIRD may come and go."""
        while not stopping.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conversation:
                    conversation.settimeout(_TIMEOUT_S)
                    conversation.connect(str(self._control))
                    self._converse(conversation, stopping)
            except OSError:
                stopping.wait(_RETRY_S)

    def _converse(self, conversation: socket.socket, stopping: threading.Event) -> None:
        with conversation.makefile("r", encoding="ascii", errors="replace") as said:
            _answer(said.readline)
            up: frozenset[str] = frozenset()
            due = float("inf")
            while not stopping.is_set():
                conversation.sendall(b"show bfd sessions\n")
                seen, now = frozenset(_UP.findall(_answer(said.readline))), time.monotonic()
                if seen - up:
                    due = now + RETURNED_S
                if (up - seen or now >= due) and self._may():
                    conversation.sendall(b"configure\n")
                    _answer(said.readline)
                    self.hastened += 1
                    due = due if due > now else float("inf")
                up = seen
                stopping.wait(EVERY_S)


def _answer(read: Callable[[], str]) -> str:
    """Return an answer of BIRD, to its last line; OSError when the conversation has ended."""
    lines = []
    while True:
        line = read()
        if not line:
            raise ConnectionResetError("BIRD has ended the conversation")
        lines.append(line)
        if _LAST_LINE.match(line):
            return "".join(lines)
