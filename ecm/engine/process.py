"""Runs one CLI command: environment, output, event log, and signals passed on."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from ecm.engine.events import plain
from ecm.engine.toolchain import Toolchain

_LOOK_S = 0.1


@dataclass(frozen=True)
class Finished:
    """How a command ended. `stdout` is what it printed, `output` that and its errors, as they were interleaved."""

    exit_code: int
    output: str
    stdout: str
    interrupted: bool


def environment(toolchain: Toolchain, env: Mapping[str, str]) -> dict[str, str]:
    """`env` with what makes the CLI behave in a program: no update check, no downloads unless the caller allows them.

    Backend, passphrase and credentials are the caller's and pass through untouched.
    """
    fixed = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_DEBUG_COMMANDS": "true", "NO_COLOR": "1"}
    defaults = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true", "ECM_PYTHON": sys.executable}
    ready = {**defaults, **env, **fixed}
    if toolchain.folder is not None:
        ready["PATH"] = ":".join(filter(None, (str(toolchain.folder), env.get("PATH", ""))))
    return ready


def run(argv: list[str], *, cwd: Path, env: Mapping[str, str]) -> Finished:
    """Run a short command to its end and return what it said."""
    done = subprocess.run(
        argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Finished(done.returncode, plain(done.stdout + done.stderr).strip(), done.stdout, interrupted=False)


def follow(argv: list[str], *, cwd: Path, env: Mapping[str, str], on_event: Callable[[str], None]) -> Finished:
    """Run a long command, handing over each line of its event log as it is written.

    SIGINT and SIGTERM are passed on to the command, once each time, and the command is waited for: the engine ends
    the operations under way and saves its state. The command has a process group of its own, so that an interrupt
    typed at the terminal does not reach it twice (Pulumi takes a second one as an order to stop at once).
    """
    with tempfile.TemporaryDirectory(prefix="ecm-engine-") as folder:
        log = Path(folder, "events.jsonl")
        log.touch(mode=0o600)
        with Path(folder, "output").open("w+", encoding="utf-8", errors="replace") as output, log.open() as events:
            process = subprocess.Popen(
                [*argv, "--event-log", str(log)],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            with _signals_to(process) as received:
                _read_while_running(process, events, on_event)
            output.seek(0)
            said = plain(output.read()).strip()
    return Finished(process.returncode, said, said, interrupted=bool(received))


def _read_while_running(process: subprocess.Popen[bytes], events: TextIO, on_event: Callable[[str], None]) -> None:
    rest = ""
    running = True
    while running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
        running = process.poll() is None
        *lines, rest = (rest + events.read()).split("\n")
        for line in lines:
            on_event(line)
    if rest:
        on_event(rest)


@contextlib.contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to `process`; yields the signals that came. Other threads cannot take signals."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
