"""The agent makes BIRD leave a dead neighbour at once and take up one that came back, and leaves it alone otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecm.agent import hasten

HEAD = "1020-bfd1:\n IP address                Interface  State      Since         Interval  Timeout\n"
UP_UP = (
    HEAD
    + " 100.96.1.11   d0k1n1   Up    22:34:01   0.200    0.600\n 100.96.1.27   d0k1n3   Up    22:34:01   0.200 0.600\n"
)
UP_DOWN = UP_UP.replace("d0k1n3   Up  ", "d0k1n3   Down")
DOWN_DOWN = UP_DOWN.replace("d0k1n1   Up  ", "d0k1n1   Down")


@contextmanager
def _bird(folder: Path, answers: list[str]) -> Iterator[tuple[Path, list[str], threading.Event]]:
    """A BIRD that answers each look with the next of `answers`, the last for ever; what it was told; the end."""
    path, told, done = folder / "bird.ctl", [], threading.Event()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def talk() -> None:
        conversation, _ = server.accept()
        with conversation, conversation.makefile("rw") as lines:
            lines.write("0001 BIRD 2.0.12 ready.\n")
            lines.flush()
            looks = 0
            for line in lines:
                told.append(line.strip())
                if line.startswith("show"):
                    lines.write(answers[min(looks, len(answers) - 1)] + "0000 \n")
                    looks += 1
                else:
                    lines.write("0002-Reading configuration from bird.conf\n0003 Reconfigured\n")
                lines.flush()
                if looks > len(answers) + 2:
                    done.set()

    threading.Thread(target=talk, daemon=True).start()
    try:
        yield path, told, done
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answers", "terms", "times"),
    [
        ([UP_UP, UP_DOWN], (True, 60), 1),
        ([UP_UP, UP_DOWN, UP_UP, UP_DOWN], (True, 60), 2),
        ([UP_UP, UP_UP], (True, 60), 0),
        ([UP_DOWN, UP_UP], (True, 60), 0),
        ([UP_UP, UP_DOWN], (False, 60), 0),
        ([DOWN_DOWN, UP_DOWN, UP_DOWN], (True, 0), 1),
        ([DOWN_DOWN, UP_DOWN, UP_UP], (True, 0), 2),
        ([DOWN_DOWN, UP_UP], (False, 0), 0),
    ],
    ids=[
        "lost",
        "lost twice",
        "all stay",
        "found just now",
        "on trial",
        "found a while ago",
        "found twice",
        "found on trial",
    ],
)
def test_bird_reads_its_configuration_again_when_a_neighbour_is_lost_or_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str], terms: tuple[bool, float], times: int
) -> None:
    may, returned_s = terms
    monkeypatch.setattr(hasten, "EVERY_S", 0.001)
    monkeypatch.setattr(hasten, "RETURNED_S", returned_s)
    stopping = threading.Event()
    with _bird(tmp_path, answers) as (path, told, done):
        haste = hasten.Haste(path, lambda: may)
        thread = threading.Thread(target=haste.watch, args=(stopping,), daemon=True)
        thread.start()
        assert done.wait(10)
        stopping.set()
        thread.join(10)
    assert told.count("configure") == haste.hastened == times
