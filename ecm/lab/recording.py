"""When every packet of every flow was sent, reached its server, and came back: arrays in files that anyone may read.

Each flow has a ring of the last `SLOTS` packets; a packet's place is its sequence number modulo that. Times are seconds
since the epoch, 0 where nothing arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecm.lab.errors import LabError

SLOTS: Final = 2048
_ARRAYS: Final = {"sent": np.float64, "there": np.float64, "back": np.float64, "port": np.uint16}

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """The rings, one row a flow."""

    sent: Times
    there: Times
    """Arrival at the server."""
    back: Times
    """Arrival of the answer at the client."""
    port: npt.NDArray[np.uint16]
    """Source port that the packet had: a new one is a new flow to every node."""

    @property
    def flows(self) -> int:
        """Number of flows at a time."""
        return len(self.sent)


def open_recording(folder: Path, flows: int | None = None) -> Recording:
    """Open the rings of a lab to read, or make them for `flows` flows to write; LabError when there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, kind in _ARRAYS.items():
        path = folder / f"{name}.ring"
        if flows is not None:
            arrays[name] = np.memmap(path, kind, "w+", shape=(flows, SLOTS))
            continue
        if not path.is_file():
            raise LabError(f"{path}: no traffic has been recorded; is the lab up?")
        arrays[name] = np.memmap(path, kind, "r").reshape(-1, SLOTS)
    return Recording(arrays["sent"], arrays["there"], arrays["back"], arrays["port"])


@dataclass(frozen=True)
class Packets:
    """The packets of a span of time, sorted by flow, then by time."""

    flow: npt.NDArray[np.int64]
    port: npt.NDArray[np.uint16]
    sent: Times
    there: Times
    back: Times


def between(recording: Recording, start: float, end: float) -> Packets:
    """Return every packet sent in [start, end): seconds since the epoch."""
    sent = np.asarray(recording.sent)
    flow, slot = np.nonzero((sent >= start) & (sent < end))
    order = np.lexsort((sent[flow, slot], flow))
    flow, slot = flow[order], slot[order]
    return Packets(
        flow, recording.port[flow, slot], sent[flow, slot], recording.there[flow, slot], recording.back[flow, slot]
    )


@dataclass(frozen=True)
class Loss:
    """What flows lost in a span of time."""

    flows: npt.NDArray[np.int64]
    """Flows that lost at least one packet or its answer."""
    windows: Times
    """Of each of them, seconds from the arrival before its losses to the arrival after them, less one interval."""
    first: float
    """When the first lost packet was sent; 0: none was lost."""
    last: float
    """When the last was."""
    sent: int
    lost: int


def losses(packets: Packets, interval: float, calm_s: float = 1.0) -> Loss:
    """Return what was lost, by the arrivals at the clients.

    A flow's window is its longest run of losses; good spans shorter than `calm_s` within a run belong to it, so that a
    path that comes and goes counts as one outage.
    """
    lost = packets.back == 0
    found, windows = [], []
    starts = np.flatnonzero(np.diff(packets.flow, prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(lost)][: len(starts)], strict=True):
        gone = np.flatnonzero(lost[begin:end])
        if len(gone):
            found.append(packets.flow[begin])
            windows.append(_window(packets, (int(begin), int(end)), gone, (interval, calm_s)))
    when = packets.sent[lost]
    return Loss(
        np.array(found, np.int64),
        np.array(windows, np.float64),
        float(when.min()) if len(when) else 0.0,
        float(when.max()) if len(when) else 0.0,
        len(lost),
        int(lost.sum()),
    )


def _window(packets: Packets, span: tuple[int, int], gone: npt.NDArray[np.int64], timing: tuple[float, float]) -> float:
    begin, end = span
    interval, calm_s = timing
    sent = packets.sent[begin:end]
    arrived = np.where(packets.back[begin:end] > 0, packets.back[begin:end], sent)
    cuts = np.flatnonzero(np.diff(sent[gone]) > calm_s + interval)
    firsts, lasts = gone[np.r_[0, cuts + 1]], gone[np.r_[cuts, len(gone) - 1]]
    before = np.where(firsts > 0, arrived[np.maximum(firsts - 1, 0)], sent[firsts] - interval)
    after = np.where(lasts + 1 < end - begin, arrived[np.minimum(lasts + 1, end - begin - 1)], sent[lasts] + interval)
    return float(np.max(after - before - interval))
